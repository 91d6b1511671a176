#!/bin/bash
# The power fails: every process dies at once, mounts, namespaces, interfaces, rules and /run are gone, the disk
# stays. After `colibri up` all that was acknowledged is there, and pods go on as after a reboot of a node.
. "$(dirname "$0")/lib.sh"

# All that a machine forgets; this test is process 1 of its own, and alone with its interfaces.
power_loss() {
        local group
        group=$(tr '\0' '\n' <"/proc/$(daemon kubelet)/cmdline" | sed -n 's/^--cgroup-root=//p')
        pkill -9 '^(colibri|conmon|etcd)' # who could still write down how the others end
        for process in /proc/[0-9]*; do
                [ "${process#/proc/}" -gt 1 ] && [ "${process#/proc/}" != "$BASHPID" ] && kill -9 "${process#/proc/}"
        done 2>/dev/null
        wait
        sleep 0.3
        awk -v root="$ROOT/" 'index($2, root) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l
        rm -rf "$ROOT/run"
        umount -l /run/netns/* 2>/dev/null
        rm -f /run/netns/*
        for link in $(ip -o link | sed -nE 's/^[0-9]+: ([^:@]+).*/\1/p' | grep -vxE 'lo|eth0|wire'); do ip link del "$link"; done 2>/dev/null
        nft flush ruleset
        find /sys/fs/cgroup -depth -type d -path "*/$group*" -exec rmdir {} \; 2>/dev/null
        true
}
state() { kubectl get pods -o 'jsonpath={range .items[*]}{.metadata.labels.app} {.status.phase} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort | uniq -c | xargs; }
is() { [ "$(state)" = "$1" ]; }
pod() { kubectl get pod -l app="$1" -o "jsonpath={.items[0].status.$2}"; }

check "up" cluster up
busybox_image docker.io/library/busybox:1 >/dev/null
kubectl apply -f - >/dev/null <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: c
        image: busybox:1
        command: [sh, -c, 'echo line >>/kept/file; echo "attempt $(wc -l </kept/file)"; hostname >/index.html; exec httpd -f -p 8080 -h /']
        readinessProbe: {httpGet: {path: /index.html, port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: kept, mountPath: /kept}]
      volumes: [{name: kept, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: once, labels: {app: once}}
spec: {restartPolicy: Never, containers: [{name: c, image: 'busybox:1', command: [sh, -c, 'echo once; sleep 1000']}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  template:
    metadata: {labels: {app: job}}
    spec:
      restartPolicy: OnFailure
      containers:
      - {name: c, image: 'busybox:1', command: [sh, -c, 'test -e /kept/file && exit 0; touch /kept/file; sleep 1000'], volumeMounts: [{name: kept, mountPath: /kept}]}
      volumes: [{name: kept, emptyDir: {}}]
YAML
check "all run" eventually 30 is "1 job Running 0 1 once Running 0 2 web Running 0"
address=$(kubectl get service web -o 'jsonpath={.spec.clusterIP}')
check "the Service answers" eventually 20 curl -fsS --max-time 2 "http://$address/index.html"

power_loss
refused "nothing is left running" "" pgrep -f 'etcd|colibri|conmon|httpd'
check "up again" cluster up
check "pods that restart run, the Job ends, the one that must not restart has failed" \
        eventually 40 is "1 job Succeeded 1 1 once Failed 0 2 web Running 1"
check "the Service answers again" eventually 20 curl -fsS --max-time 2 "http://$address/index.html"
says "how the containers ended is not known" "255 Unknown" echo "$(pod web 'containerStatuses[0].lastState.terminated.exitCode') $(pod web 'containerStatuses[0].lastState.terminated.reason')"
says "also of the pod that failed" "255 Unknown" echo "$(pod once 'containerStatuses[0].state.terminated.exitCode') $(pod once 'containerStatuses[0].state.terminated.reason')"
says "its log is there" once kubectl logs once
says "the log before" "attempt 1" kubectl logs deployment/web --previous
says "the log now: its volume was kept" "attempt 2" kubectl logs deployment/web
check "exec" kubectl exec deployment/web -- true
check "deletion" kubectl delete deployment,job,pod,service --all --timeout=60s
