#!/bin/bash
# An API server's Deployment with an init container, ConfigMaps and Secrets, in front of a database; then
# chaos: every second one of its pods is deleted without grace while clients post through the Service.
. "$(dirname "$0")/inputs.sh"
API=${API:-$MANIFESTS/api}
ROUNDS=${ROUNDS:-12}

check "registry" registry_up
check "images" eval 'push_standin library/mongo:4.2.6 store 27017 && standin &&
        push uspcodelab/spira-api:latest --file "$WORK/standin:bin/python3:755" -- sh'
whole_cluster
check "a namespace" kubectl create namespace spira
kubectl() { command kubectl --namespace=spira "$@"; }

# First what needs the rest: the pods wait, and say for what.
check "the Deployment" kubectl apply -f "$API/api-server.yml"
why() { kubectl get pods -l app=spira-api-server -o 'jsonpath={.items[*].status.initContainerStatuses[*].state.waiting.reason}' | grep "$1"; }
check "its pods miss their ConfigMaps" eventually 10 why CreateContainerConfigError
says "and say so" 'configmap "mongo-client-env" not found' kubectl get pods -l app=spira-api-server -o 'jsonpath={.items[*].status.initContainerStatuses[*].state.waiting.message}'
check "the rest" kubectl apply -f "$API"
check "all are available" kubectl wait --for=condition=available deployment/spira-api-server --timeout=40s
says "the init container has run" Completed kubectl get pods -l app=spira-api-server -o 'jsonpath={.items[0].status.initContainerStatuses[0].state.terminated.reason}'
URL=http://$(kubectl get service spira-api-server -o 'jsonpath={.spec.clusterIP}')/v1/inferences
check "the Service answers" eventually 5 curl -fsS --max-time 2 -d first "$URL"

# --- chaos ---
three() { [ "$(kubectl get deployment spira-api-server -o 'jsonpath={.status.readyReplicas} {.status.replicas}')" = "3 3" ]; }
"$here/e2e/load.py" --post --timeout 5 "$URL" >"$WORK/load.json" &
load=$!
writes=0
slow=0
for i in $(seq "$ROUNDS"); do
        began=$(date +%s%N)
        pod=$(kubectl get pods -l app=spira-api-server --field-selector=status.phase=Running -o name | shuf -n 1)
        kubectl delete "$pod" --grace-period=0 --force >"$WORK/said" 2>&1 || { not_ok "delete $pod"; cat "$WORK/said"; }
        kubectl create configmap "written-$i" --from-literal=i="$i" >/dev/null && writes=$((writes + 1))
        left=$((1000 - ($(date +%s%N) - began) / 1000000))
        [ $left -gt 0 ] && sleep "$(printf '0.%03d' "$left")"
        three || slow=$((slow + 1))
done
check "back to three" eventually 10 three
sleep 1
kill -TERM $load
wait $load
echo "# $ROUNDS pods deleted, $slow times not yet three a second later; clients: $(jq -c '{ok, failed}' "$WORK/load.json")"
check "many requests were answered" [ "$(jq .ok "$WORK/load.json")" -gt $((ROUNDS * 20)) ]
# A request may be on its way to a pod that dies; one that begins later goes elsewhere.
check "not more failed than there were connections to dying pods" [ "$(jq '[.failed[]] | add // 0' "$WORK/load.json")" -le $((ROUNDS * 4)) ]
check "none timed out" [ "$(jq '[.failed | to_entries[] | select(.key | test("imed out|imeout"))] | length' "$WORK/load.json")" = 0 ]

# --- nothing that was acknowledged is lost ---
curl -fsS --max-time 5 "$URL" | tr ' ' '\n' | sort >"$WORK/have"
jq -r '.acked[]' "$WORK/load.json" | sort >"$WORK/acked"
check "the database has every acknowledged post" [ -z "$(comm -23 "$WORK/acked" "$WORK/have")" ]
check "every acknowledged API write is there" [ "$(kubectl get configmaps -o name | grep -c written-)" = "$writes" ]
check "no pod more than three" [ "$(kubectl get pods -l app=spira-api-server -o name | wc -l)" = 3 ]
check "the namespace goes" kubectl delete namespace spira --timeout=40s
