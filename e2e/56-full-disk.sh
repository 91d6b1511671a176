#!/bin/bash
# A full disk, under etcd and under the images: who writes is told what is wrong, nothing acknowledged is
# lost, and when there is room again all goes on by itself.
. "$(dirname "$0")/inputs.sh"

# etcd reserves 64 MB for its log, twice; the rest is for its data.
DATA=$ROOT/var/lib/colibri
mkdir -p "$DATA/etcd" "$DATA/kubelet"
mount -t tmpfs -o size=180M,mode=700 none "$DATA/etcd"
mount -t tmpfs -o size=100M none "$DATA/kubelet"

cleanup_more() { # a mount's folder cannot be removed
        colibri_ reset >/dev/null 2>&1
        umount "$DATA/etcd" "$DATA/kubelet"
}

check "registry" registry_up
head -c 30000000 /dev/urandom >"$WORK/ballast"
check "images" eval 'push_standin library/web:1 vote && push library/big:1 --file "$WORK/standin:bin/standin" --file "$WORK/ballast:ballast" -- standin vote'
rm "$WORK/ballast"
whole_cluster

# --- under etcd ---
check "something to keep" kubectl create deployment web --image=web:1
check "runs" kubectl rollout status deployment/web --timeout=20s
head -c 300000 /dev/zero | tr '\0' x >"$WORK/value"
cat /dev/zero >"$DATA/etcd/filler" 2>/dev/null
truncate -s -4M "$DATA/etcd/filler"
written=0
write() { timeout 10 kubectl create configmap "kept-$1" --from-file=value="$WORK/value" 2>"$WORK/error" >/dev/null; }
for i in $(seq 100); do
        write "$i" || break
        written=$i
done
echo "# after $written writes of 300 KB: $(tail -n 1 "$WORK/error")"
check "at last a write is refused" [ "$written" -gt 1 -a "$written" -lt 100 ]
check "who writes is told of the disk" grep -q "no space left on device under $DATA/etcd: [0-9]* MB free, 64 MB needed" "$WORK/error"
refused "who reads is told too" "no space left on device under $DATA/etcd" timeout 20 kubectl get configmaps
told() { colibri_ status 2>&1 | grep "^etcd: no space left on device under $DATA/etcd"; }
check "colibri status tells" told
check "the supervisor's log tells" grep -q "etcd: no space left on device under $DATA/etcd" "$ROOT/var/log/colibri/supervisor.log"
check "/readyz says that it is etcd" eval "curl -sk https://127.0.0.1:$PORT/readyz | grep -F '[-]etcd failed'"
address=$(kubectl get pods -l app=web -o 'jsonpath={.items[0].status.podIP}' 2>/dev/null)
rm "$DATA/etcd/filler"
again() { kubectl create configmap again --from-literal=a=b || kubectl get configmap again; }
check "with room again, writes are taken again" eventually 30 again
healthy() { ! told && curl -fsk "https://127.0.0.1:$PORT/readyz"; }
check "and nobody complains any more" healthy
kept() { [ "$(kubectl get configmaps -o name | grep -c /kept-)" -ge "$written" ]; }
check "all that was acknowledged is there" eventually 5 kept
check "and whole" [ "$(kubectl get configmap "kept-$written" -o 'jsonpath={.data.value}' | wc -c)" = 300000 ]
steady() { [ "$(kubectl get pods -l app=web -o 'jsonpath={.items[0].status.containerStatuses[0].restartCount} {.items[0].status.phase}')" = "0 Running" ]; }
check "the container ran through it" eventually 10 steady

# --- under the images ---
cat /dev/zero 2>/dev/null | head -c 80000000 >"$DATA/kubelet/filler"
check "a big image" kubectl run big --image=big:1
waiting() { kubectl get pod big -o 'jsonpath={.status.containerStatuses[0].state.waiting.reason} {.status.containerStatuses[0].state.waiting.message}'; }
full() { waiting | grep -E '^(ErrImagePull|ImagePullBackOff) .*no space left on device'; }
check "its pull fails for want of room, and says so" eventually 15 full
failed() { kubectl get events --field-selector=involvedObject.name=big -o 'jsonpath={.items[*].message}' | grep -F 'no space left on device'; }
check "an Event says so too" eventually 5 failed
check "what was fetched in vain is gone" [ "$(du -sk "$DATA/kubelet" | cut -f1)" -lt 86000 ]
rm "$DATA/kubelet/filler"
running() { [ "$(kubectl get pod big -o 'jsonpath={.status.phase}')" = Running ]; }
check "with room again it comes up" eventually 40 running
