#!/bin/bash
# The kubelet on runc, where the node is not at its best: registries that want a password, a kubelet that dies
# while containers live and end, volumes whose files belong to somebody else, a disk that fills up.
. "$(dirname "$0")/inputs.sh"
REGISTRY=127.0.0.1:$((PORT + 7))
PRIVATE=127.0.0.1:$((PORT + 8))
SETTINGS="--set kubelet.nodeName=here --set kubelet.nodeIP=$NODE --set apiserver.advertiseAddress=$NODE
        --set images.mirrors=docker.io=http://$REGISTRY --set images.insecureRegistries=$PRIVATE"
images=$ROOT/var/lib/colibri/kubelet/images

# A small disk for the image store.
mkdir -p "$images"
mount -t tmpfs -o size=64m,mode=755 none "$images"
cleanup_more() {
        [ -n "${supervisor:-}" ] && kill -CONT "$supervisor" 2>/dev/null
        colibri reset --root="$ROOT" >/dev/null 2>&1
        umount -l "$images" 2>/dev/null
}

# A registry that asks for a name and a password.
private_registry_up() {
        mkdir -p "$WORK/private"
        perl -e 'print "kim:", crypt("secret", q($2b$05$abcdefghijklmnopqrstuu)), "\n"' >"$WORK/htpasswd"
        cat >"$WORK/private.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $WORK/private}}
http: {addr: "$PRIVATE"}
auth: {htpasswd: {realm: private, path: $WORK/htpasswd}}
log: {level: error}
YAML
        docker-registry serve "$WORK/private.yml" >"$WORK/private.log" 2>&1 &
        background="$background $!"
        eventually 10 curl -fsS -u kim:secret "http://$PRIVATE/v2/"
}

# pod NAME IMAGE SPEC COMMAND: a pod of one container; SPEC and the container's own part as JSON members
pod() {
        jq -n --arg name "$1" --arg image "$2" --argjson spec "$3" --argjson own "$4" --arg command "$5" \
                '{apiVersion: "v1", kind: "Pod", metadata: {name: $name},
                  spec: ({restartPolicy: "Never", terminationGracePeriodSeconds: 1,
                          containers: [{name: "c", image: $image, imagePullPolicy: "IfNotPresent",
                                        command: ["sh", "-c", $command]} + $own]} + $spec)}' | kubectl apply -f - >/dev/null
}
ended() { field "$2" pod "$1" '{.status.phase}'; }
state='{.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}'

check "registry" registry_up
check "registry with a password" private_registry_up
check "image" push library/busybox:latest --busybox -- sh
whole_cluster

# --- registries ---
check "private image" python3 "$here/scripts/make-image.py" -o "$WORK/private.tar" -t tools/shell:1 --busybox -- sh
check "is pushed" skopeo --insecure-policy copy -q --dest-tls-verify=false --dest-creds kim:secret "docker-archive:$WORK/private.tar" "docker://$PRIVATE/tools/shell:1"
check "through the mirror" pod mirrored busybox '{}' '{}' 'echo here'
check "it runs" eventually 15 ended mirrored Succeeded
says "its log" here kubectl logs mirrored

check "without a secret" pod closed $PRIVATE/tools/shell:1 '{}' '{}' 'echo open'
waits() { kubectl get pod "$1" -o 'jsonpath={.status.containerStatuses[0].state.waiting.reason}' | grep -qE "$2"; }
check "it is refused" eventually 15 waits closed 'ErrImagePull|ImagePullBackOff'
says "and the Event says why" "unauthorized" kubectl get events --field-selector involvedObject.name=closed,reason=Failed -o 'jsonpath={.items[*].message}'
check "a wrong secret" kubectl create secret docker-registry wrong --docker-server=$PRIVATE --docker-username=kim --docker-password=guess
check "with a wrong one" pod mistaken $PRIVATE/tools/shell:1 '{"imagePullSecrets": [{"name": "wrong"}]}' '{}' 'echo open'
check "it is refused too" eventually 15 waits mistaken 'ErrImagePull|ImagePullBackOff'
check "the right secret" kubectl create secret docker-registry right --docker-server=$PRIVATE --docker-username=kim --docker-password=secret
check "with it" pod opened $PRIVATE/tools/shell:1 '{"imagePullSecrets": [{"name": "wrong"}, {"name": "right"}]}' '{}' 'echo open'
check "it runs" eventually 20 ended opened Succeeded
kubectl delete pod closed mistaken --now >/dev/null

# --- limits ---
check "more memory than its limit" pod greedy busybox '{}' '{"resources": {"limits": {"memory": "16Mi", "cpu": "500m"}}}' 'exec dd if=/dev/zero of=/dev/null bs=100M count=2'
check "it ends" eventually 20 ended greedy Failed
check "by the OOM killer" field "OOMKilled 137" pod greedy "$state"

# --- volumes ---
mkdir -p "$WORK/disk"
kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec:
  capacity: {storage: 10Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: local
  local: {path: $WORK/disk}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [here]}]}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk}
spec: {accessModes: [ReadWriteOnce], storageClassName: local, resources: {requests: {storage: 1Mi}}}
YAML
echo before >"$WORK/disk/before"
chmod 600 "$WORK/disk/before"
check "fsGroup" pod grouped busybox '{"securityContext": {"runAsUser": 1234, "runAsGroup": 1235, "fsGroup": 2345}, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "disk"}}]}' \
        '{"volumeMounts": [{"name": "v", "mountPath": "/v"}]}' 'cat /v/before; echo new > /v/new; stat -c "%g %n" /v /v/before /v/new; id -G'
check "it runs" eventually 20 ended grouped Succeeded
says "what was there can be read" before kubectl logs grouped
says "the folder is the group's" "2345 /v" kubectl logs grouped
says "what was there too" "2345 /v/before" kubectl logs grouped
says "and what comes" "2345 /v/new" kubectl logs grouped
says "the groups" "1235 2345" kubectl logs grouped

# --- the kubelet dies ---
check "a pod that stays" pod stays busybox '{"restartPolicy": "Always"}' '{}' 'trap "exit 0" TERM; while :; do date +%s; sleep 1; done'
mkdir -p "$WORK/signal"
signal='{"volumes": [{"name": "w", "hostPath": {"path": "'$WORK/signal'"}}]}'
own='{"volumeMounts": [{"name": "w", "mountPath": "/w"}]}'
check "a pod that ends meanwhile" pod ends busybox "$signal" "$own" 'until [ -e /w/go ]; do sleep 0.2; done; printf "last words" > /dev/termination-log; exit 3'
check "a pod that ends and is started again" pod again busybox "$(jq '. + {restartPolicy: "Always"}' <<<"$signal")" "$own" \
        'until [ -e /w/go ]; do sleep 0.2; done; [ -e /w/again ] && exec sleep 1000; touch /w/again; exit 1'
for name in stays ends again; do check "$name runs" eventually 20 field Running pod $name '{.status.phase}'; done
before=$(kubectl get pod stays -o 'jsonpath={.status.containerStatuses[0].containerID}')
supervisor=$(daemon supervisor 2>/dev/null || pgrep -f "colibri supervise --root=$ROOT")
kill -STOP $supervisor
kill -KILL "$(daemon kubelet)"
touch "$WORK/signal/go"
sleep 4
kill -CONT $supervisor
check "what ended has its code" eventually 15 field "Error 3" pod ends "$state"
check "and its last words" field "last words" pod ends '{.status.containerStatuses[0].state.terminated.message}'
check "what is to be started again is" eventually 20 field 1 pod again '{.status.containerStatuses[0].restartCount}'
check "what ran is the same" field "$before 0" pod stays '{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}'
spoke() { [ "$(kubectl logs stays | awk 'NR > 1 && $1 - last > 3 { n++ } { last = $1 } END { print n + 0 }')" = 0 ]; }
check "and spoke all the time" spoke
check "its log goes on" eval 'n=$(kubectl logs stays | wc -l); sleep 2; [ "$(kubectl logs stays | wc -l)" -gt $n ]'
check "it can be asked" kubectl exec stays -- true
check "it can be stopped" kubectl delete pod stays again --timeout=20s

# --- the disk is full ---
head -c 12000000 /dev/urandom >"$WORK/noise"
check "a large image" push library/large:1 --busybox --file "$WORK/noise:noise" -- sh
room=$(df --output=avail -B1 "$images" | tail -n 1)
check "hardly any room" eval 'head -c $((room - 16000000)) /dev/zero >"$images/filler"'
check "a pod of it" pod large large:1 '{}' '{}' 'ls -l /noise'
check "it has to wait" eventually 30 waits large 'ErrImagePull|ImagePullBackOff'
says "and its Event says why" "image store's disk is full" kubectl get events --field-selector involvedObject.name=large -o 'jsonpath={.items[*].message}'
check "other images still run" pod meanwhile busybox '{}' '{}' 'echo fine'
check "as if nothing was" eventually 15 ended meanwhile Succeeded
refused "colibri image says so too" "image store's disk is full" image pull large:1
rm "$images/filler"
check "with room again it runs" eventually 60 ended large Succeeded
says "all of it" 12000000 kubectl logs large
check "nothing half done is left" eval '[ -z "$(ls "$images/tmp")" ]'

check "all go" kubectl delete pods --all --timeout=40s --grace-period=1
check "and leave no mount" eventually 10 eval '! grep -q "$ROOT/var/lib/colibri/kubelet/containers" /proc/mounts'
check "reset" cluster reset
