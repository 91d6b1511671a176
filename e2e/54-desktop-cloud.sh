#!/bin/bash
# A cloud of desktops: machines that come and go, work of one CPU each, users with quotas. The desktops are
# fake nodes (they say that their pods run, and run nothing) beside a real one.
. "$(dirname "$0")/inputs.sh"
DESKTOPS=4

whole_cluster --set controllers.nodeMonitorGracePeriod=15s --set controllers.nodeMonitorPeriod=1s
# The desktops' kubelets, with their own credentials in place of the machine's: an administrator's.
colibri-kubelet --kubeconfig="$KUBECONFIG" --hostname-override=desktop --fake-nodes=$DESKTOPS --fake-capacity=cpu=4,memory=8Gi \
        --node-labels=desktop=yes --root-dir="$WORK/desktops" --run-dir="$WORK/run" >"$WORK/desktops.log" 2>&1 &
desktops=$!
disown; background="$background $desktops"
all_ready() { [ "$(kubectl get nodes -l desktop=yes --no-headers | grep -cw Ready)" = $DESKTOPS ]; }
check "$DESKTOPS desktops are Ready" eventually 15 all_ready

check "work for 15 CPUs" kubectl apply -f "$MANIFESTS/desktop/work.yaml"
check "runs" kubectl rollout status deployment/work --timeout=20s
# on NODE: how many pods of the work are there
on() { kubectl get pods -l app=work -o json | jq "[.items[] | select(.spec.nodeName == \"$1\" and .metadata.deletionTimestamp == null)] | length"; }
spread() { for i in $(seq 0 $((DESKTOPS - 1))); do [ "$(on desktop-$i)" -ge 3 ] || return 1; done; }
check "spread over all desktops, four at most on each" spread
pending() { [ "$(kubectl get pods -l app=work --field-selector=status.phase=Pending -o name | wc -l)" = "$1" ]; }
running() { [ "$(kubectl get pods -l app=work --field-selector=status.phase=Running -o json | jq '[.items[] | select(.metadata.deletionTimestamp == null)] | length')" = "$1" ]; }

# --- somebody wants a desktop back ---
mine=$(on desktop-0)
room=$((DESKTOPS * 4 - 15))
[ "$mine" = 3 ] && room=0 # the free CPU is on this desktop itself
check "cordon a desktop" kubectl cordon desktop-0
check "and delete its pods" kubectl delete pods -l app=work --field-selector=spec.nodeName=desktop-0 --wait=false
check "those without room are Pending" eventually 15 pending $((mine - room))
reason="0/5 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) were unschedulable, 3 Insufficient cpu. no new claims to deallocate, preemption: 0/5 nodes are available: 2 Preemption is not helpful for scheduling, 3 No preemption victims found for incoming pod."
message() { kubectl get pods -l app=work --field-selector=status.phase=Pending -o 'jsonpath={.items[0].status.conditions[?(@.type=="PodScheduled")].message}'; }
says "their condition says why" "$reason" message
says "it is Unschedulable" Unschedulable kubectl get pods -l app=work --field-selector=status.phase=Pending -o 'jsonpath={.items[0].status.conditions[?(@.type=="PodScheduled")].reason}'
events() { kubectl get events --field-selector=reason=FailedScheduling -o 'jsonpath={.items[*].message}'; }
says "an Event says it too" "$reason" events
says "the Deployment still wants them" "15" kubectl get deployment work -o 'jsonpath={.status.replicas}'
check "uncordon" kubectl uncordon desktop-0
check "all run again" eventually 15 running 15

# --- machines go, and come back ---
kill -KILL $desktops
not_ready() { [ "$(kubectl get nodes -l desktop=yes --no-headers | grep -cw NotReady)" = $DESKTOPS ]; }
check "desktops that say nothing are NotReady" eventually 30 not_ready
says "and tainted" "node.kubernetes.io/unreachable" kubectl get node desktop-1 -o 'jsonpath={.spec.taints[*].key}'
no_ready() { [ -z "$(kubectl get deployment work -o 'jsonpath={.status.readyReplicas}')" ]; }
check "their pods do not count as ready" eventually 10 no_ready
colibri-kubelet --kubeconfig="$KUBECONFIG" --hostname-override=desktop --fake-nodes=$DESKTOPS --fake-capacity=cpu=4,memory=8Gi \
        --node-labels=desktop=yes --root-dir="$WORK/desktops" --run-dir="$WORK/run" >>"$WORK/desktops.log" 2>&1 &
desktops=$!
disown; background="$background $desktops"
check "they come back" eventually 15 all_ready
fifteen() { [ "$(kubectl get deployment work -o 'jsonpath={.status.readyReplicas}')" = 15 ]; }
check "with all the work" eventually 15 fifteen
check "the work ends" kubectl delete deployment work --cascade=foreground --timeout=20s
check "a label that a desktop gets later" kubectl label node desktop-3 room=library
check "counts: its kubelet takes a pod that asks for it" kubectl run there --image=registry.k8s.io/pause:3.9 \
        --overrides='{"spec": {"nodeSelector": {"room": "library"}}}'
check "and it is Ready" kubectl wait --for=condition=Ready pod/there --timeout=10s
check "until it goes" kubectl delete pod there --grace-period=1

# --- two users with 6 CPUs each ---
check "users and quotas" kubectl apply -f "$MANIFESTS/desktop/users.yaml"
pod() { # USER NAME CPU
        kubectl --as="$1" -n "$1" apply -f - <<YAML
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"$2"},"spec":{"nodeSelector":{"desktop":"yes"},
 "containers":[{"name":"c","image":"registry.example.org/lab/work:1","resources":{"requests":{"cpu":"$3"}}}]}}
YAML
}
for user in ana bruno; do
        for i in 1 2 3; do check "$user's pod of 2 CPUs ($i)" pod $user p$i 2; done
        refused "$user's pod over the quota" 'Error from server (Forbidden): error when creating "STDIN": pods "over" is forbidden: exceeded quota: desktop, requested: requests.cpu=1, used: requests.cpu=6, limited: requests.cpu=6' pod $user over 1
done
refused "a pod that does not say what it needs" 'is forbidden: failed quota: desktop: must specify requests.cpu for: c' \
        kubectl --as=ana -n ana run none --image=registry.example.org/lab/work:1 --overrides='{"spec":{"containers":[{"name":"c","image":"x"}]}}'
refused "others' namespaces" 'User "ana" cannot create resource "pods" in API group "" in the namespace "bruno"' kubectl --as=ana -n bruno run x --image=x
check "the quota's status counts what is used" eventually 5 field "6 3 6" -n ana resourcequota desktop '{.status.used.requests\.cpu} {.status.used.pods} {.status.hard.requests\.cpu}'
check "a pod goes" kubectl -n ana delete pod p1 --timeout=20s
check "and is counted off" eventually 10 field "4 2" -n ana resourcequota desktop '{.status.used.requests\.cpu} {.status.used.pods}'
check "room for another" pod ana over 1
check "and nobody else's" field 6 -n bruno resourcequota desktop '{.status.used.requests\.cpu}'
