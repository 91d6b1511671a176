#!/bin/bash
# A cluster comes up, says so when asked again, runs a pod, goes down, comes up with its data, and
# leaves nothing behind.
. "$(dirname "$0")/lib.sh"

leftovers() {
        ! { ls -d "$ROOT"/etc "$ROOT"/var "$ROOT"/run "$ROOT"/*/colibri/* 2>/dev/null | grep -E 'colibri/' ||
                mount | grep -F "$ROOT" || nft list tables 2>/dev/null | grep -F "$table" || ip -o link | grep -F "$bridge" ||
                find /sys/fs/cgroup -maxdepth 3 -name "$cgroup*" | grep . || pgrep -f "$ROOT/"; }
}

check "up" cluster up
says "up again" "already runs" cluster up
says "status" "is ready" colibri_ status
setting() { sed -nE "s/^  $1: \"(.*)\"/\1/p" "$ROOT/etc/colibri/colibri.yaml"; }
bridge=$(ip -o link | grep -oE 'colibri[0-9a-f]{6}' | head -n 1)
table=colibri-${bridge#colibri} cgroup=colibri-${bridge#colibri}

busybox_image docker.io/library/busybox:latest
check "a pod runs" kubectl run first --image=busybox --image-pull-policy=IfNotPresent --restart=Never -- sh -c 'echo hello; sleep 1000'
check "it is ready" kubectl wait --for=condition=Ready pod/first --timeout=30s
says "its log" hello kubectl logs first
says "exec" uid=0 kubectl exec first -- id
check "a config map" kubectl create configmap kept --from-literal=a=b

check "down" cluster down
refused "nothing answers" "refused" kubectl get configmaps
check "up with its data" cluster up
says "the config map is there" b kubectl get configmap kept -o 'jsonpath={.data.a}'

check "reset" cluster reset
check "nothing is left" leftovers
