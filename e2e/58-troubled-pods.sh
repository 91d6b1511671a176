#!/bin/bash
# Pods with mistakes in them, and what their status and Events say: the words people search for.
. "$(dirname "$0")/inputs.sh"

check "registry" registry_up
check "images" push library/busybox:latest --busybox -- sh
whole_cluster
check "pods" kubectl apply -f "$MANIFESTS/troubles/pods.yaml"

# soon POD WANTED JSONPATH: its status says so after a while; "*" stands for anything
matches() {
        local is
        is=$(kubectl get pod "$1" -o "jsonpath=$3")
        # shellcheck disable=SC2053 # a pattern
        [[ "$is" = $2 ]] && return
        echo "is: $is"
        return 1
}
soon() { check "$1: $2" eventually "${SOON:-15}" matches "$1" "$2" "$3"; }
# event POD TYPE REASON MESSAGE: there is such an Event; "*" stands for anything
has_event() {
        local line
        while read -r line; do
                # shellcheck disable=SC2053
                [[ "$line" = $2 ]] && return
        done < <(kubectl get events --field-selector="involvedObject.name=$1" -o 'jsonpath={range .items[*]}{.type} {.reason} {.message}{"\n"}{end}')
        kubectl get events --field-selector="involvedObject.name=$1" -o 'jsonpath={range .items[*]}{.type} {.reason} {.message}{"\n"}{end}'
        return 1
}
event() { check "$1: Event $2" eventually 15 has_event "$1" "$2"; }

WAITING='{.status.phase} {.status.containerStatuses[0].state.waiting.reason} {.status.containerStatuses[0].state.waiting.message}'
ENDED='{.status.phase} {.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}'

# Mounting is tried again after ever longer waits: what is missing comes soon, and what comes of it is looked at last.
event no-volume 'Warning FailedMount MountVolume.SetUp failed for volume "v" : configmap "not-there" not found'
soon no-volume 'Pending ContainerCreating' '{.status.phase} {.status.containerStatuses[0].state.waiting.reason}'
check "no-volume: what it misses" kubectl create configmap not-there --from-literal=a=b

event no-secret 'Warning FailedToRetrieveImagePullSecret Unable to retrieve some image pull secrets (not-there); attempting to pull the image may not succeed.'
soon no-secret 'Running' '{.status.phase}'

event no-image 'Normal Pulling Pulling image "nobody/nothing:1"'
event no-image 'Warning Failed Failed to pull image "nobody/nothing:1": *'
event no-image 'Warning Failed Error: ErrImagePull'
event no-image 'Normal BackOff Back-off pulling image "nobody/nothing:1"'
event no-image 'Warning Failed Error: ImagePullBackOff'
soon no-image 'Pending ImagePullBackOff Back-off pulling image "nobody/nothing:1": ErrImagePull: *' "$WAITING"

soon never-pulled 'Pending ErrImageNeverPull Container image "nobody/nothing:2" is not present with pull policy of Never' "$WAITING"
event never-pulled 'Warning ErrImageNeverPull Container image "nobody/nothing:2" is not present with pull policy of Never'

soon bad-image-name 'Pending InvalidImageName Failed to apply default image tag "Nobody/NOTHING": couldn'"'"'t parse image name "Nobody/NOTHING": invalid reference format: repository name (NOTHING) must be lowercase' "$WAITING"
event bad-image-name 'Warning InspectFailed Failed to apply default image tag "Nobody/NOTHING": *'

soon no-command 'Failed StartError 128' "$ENDED"
soon no-command '*exec: "not-there": executable file not found in $PATH*' '{.status.containerStatuses[0].state.terminated.message}'
event no-command 'Warning Failed Error: *exec: "not-there": executable file not found in $PATH*'
soon no-command-again '* StartError 128' '{.status.phase} {.status.containerStatuses[0].lastState.terminated.reason} {.status.containerStatuses[0].lastState.terminated.exitCode}'

soon crash-loop 'Running CrashLoopBackOff back-off [124]0s restarting failed container=c pod=crash-loop_default(*)' "$WAITING"
soon crash-loop 'Error 3' '{.status.containerStatuses[0].lastState.terminated.reason} {.status.containerStatuses[0].lastState.terminated.exitCode}'
event crash-loop 'Warning BackOff Back-off restarting failed container c in pod crash-loop_default(*)'
says "crash-loop: its last words" "going down" kubectl logs crash-loop --previous

soon too-much-memory 'Failed OOMKilled 137' "$ENDED"

event not-alive 'Warning Unhealthy Liveness probe failed: not well'
event not-alive 'Normal Killing Container c failed liveness probe, will be restarted'
restarted() { [ "$(kubectl get pod "$1" -o 'jsonpath={.status.containerStatuses[0].restartCount}')" -ge 1 ]; }
check "not-alive: is started again" eventually 15 restarted not-alive
soon not-alive 'Error 137' '{.status.containerStatuses[0].lastState.terminated.reason} {.status.containerStatuses[0].lastState.terminated.exitCode}'

event not-ready 'Warning Unhealthy Readiness probe failed: HTTP probe failed with statuscode: 404'
soon not-ready 'Running False ContainersNotReady containers with unready status: \[c\]' \
        '{.status.phase} {.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason} {.status.conditions[?(@.type=="Ready")].message}'
check "not-ready: the page it asks for" kubectl exec not-ready -- touch /tmp/ready
soon not-ready True '{.status.conditions[?(@.type=="Ready")].status}'

event not-started 'Warning Unhealthy Startup probe failed: dial tcp *:8081: connect: connection refused'
event not-started 'Normal Killing Container c failed startup probe, will be restarted'

soon bad-init 'Failed Error 7 PodInitializing' '{.status.phase} {.status.initContainerStatuses[0].state.terminated.reason} {.status.initContainerStatuses[0].state.terminated.exitCode} {.status.containerStatuses[0].state.waiting.reason}'
says "bad-init: in kubectl's table" "Init:Error" kubectl get pod bad-init

SOON=40 soon no-volume Running '{.status.phase}'
soon too-long 'Failed DeadlineExceeded Pod was active on the node longer than the specified deadline' '{.status.phase} {.status.reason} {.status.message}'

check "all go" kubectl delete pods --all --timeout=40s --grace-period=1
