#!/bin/bash
# Two applications everybody has tried Kubernetes with, of several parts that find one another by the names
# of Services: a vote that travels from a web page through a queue and a worker to a database and a result
# page; a guestbook with a master and replicas. All from a registry, through mirrors.
. "$(dirname "$0")/inputs.sh"
VOTING=${VOTING:-$MANIFESTS/voting} GUESTBOOK=${GUESTBOOK:-$MANIFESTS/guestbook}

check "registry" registry_up
check "images" eval 'push_standin library/redis:alpine store 6379 && push_standin library/postgres:15-alpine store 5432 &&
        push_standin dockersamples/examplevotingapp_vote:latest vote && push_standin dockersamples/examplevotingapp_result:latest result &&
        push_standin dockersamples/examplevotingapp_worker:latest worker && push_standin redis:e2e store 6379 &&
        push_standin google_samples/gb-redisslave:v1 replica redis-master 6379 && push_standin google-samples/gb-frontend:v5 guestbook &&
        push_standin library/client:latest get'
whole_cluster

# Files in an order that starts Deployments before what they need: nothing minds.
check "the voting application" kubectl apply -f "$VOTING"
# In a namespace of its own: to both applications "app: redis" means something of theirs.
check "the guestbook" eval 'kubectl create namespace guestbook && kubectl -n guestbook create -f "$GUESTBOOK"'
check "all Deployments are there" kubectl wait --for=condition=available deployment --all --all-namespaces --timeout=40s
# all_ready N: N pods, all Running, with all containers ready and never restarted
all_ready() {
        [ "$(kubectl get pods -A -o json | jq -c '[.items[] | select(.status.phase == "Running") | .status.containerStatuses[] | select(.ready and .restartCount == 0)] | length')" = "$1" ]
}
check "all 11 pods are Running and Ready" eventually 10 all_ready 11

# --- the vote ---
check "the page answers on the node's port" eventually 5 curl -fsS --max-time 2 http://$NODE:31000/
says "and on this machine's own address" "Cats vs Dogs" curl -fsS --max-time 2 http://127.0.0.1:31000/
says "somebody votes" voted curl -fsS --max-time 5 -d vote=cats http://$NODE:31000/
says "somebody else votes" voted curl -fsS --max-time 5 -d vote=dogs http://$NODE:31000/
# which of two votes cast at once comes first is nobody's promise
counted() { [ "$(tr ' ' '\n' | grep -xE 'cats|dogs' | sort | xargs)" = "cats dogs" ]; }
result() { curl -fsS --max-time 5 http://$NODE:31001/ | counted; }
check "both votes reach the result page" eventually 10 result
address=$(kubectl get service vote -o 'jsonpath={.spec.clusterIP}')
says "the Service's own address and port" "Cats vs Dogs" curl -fsS --max-time 2 "http://$address:8080/"

# --- the guestbook ---
port=$(kubectl -n guestbook get service frontend -o 'jsonpath={.spec.ports[0].nodePort}')
page=http://$NODE:$port/guestbook.php?key=messages
check "an entry is written through the master" eventually 5 curl -fsS --max-time 5 "$page&cmd=set&value=hello,world"
for i in 1 2 3 4 5 6; do
        says "and read through a replica ($i)" "hello,world" curl -fsS --max-time 5 "$page&cmd=get"
done
front=$(kubectl -n guestbook get endpoints frontend 2>/dev/null -o 'jsonpath={.subsets[0].addresses[*].ip}' | wc -w)
check "the frontend has three endpoints" [ "$front" = 3 ]

# --- from pod to pod, by name ---
# asked NAME HOST PORT: what a pod of its own, that runs once, got from there
ended() { [ "$(kubectl get pod "$1" -o 'jsonpath={.status.phase}')" = Succeeded ]; }
asked() {
        kubectl run "ask-$1" --image=client --restart=Never --command -- standin get "$2" "$3" / >/dev/null
        eventually 15 ended "ask-$1" # kubectl 1.20 has no `wait --for=jsonpath`
        kubectl logs "ask-$1"
        kubectl delete pod "ask-$1" --wait=false >/dev/null
}
says "by name" "Cats vs Dogs" asked short vote 8080
says "by name and namespace" "Guestbook" asked namespace frontend.guestbook 80
by_full_name() { asked full result.default.svc.cluster.local 8081 | counted; }
check "by full name" by_full_name

check "scale the frontend" kubectl -n guestbook scale deployment frontend --replicas=5
endpoints() { [ "$(kubectl -n guestbook get endpointslices -l kubernetes.io/service-name=frontend -o json | jq '[.items[].endpoints[]? | select(.conditions.ready)] | length')" = "$1" ]; }
check "five endpoints" eventually 10 endpoints 5
check "delete what was applied" eval 'kubectl delete -f "$VOTING" --wait=false && kubectl -n guestbook delete -f "$GUESTBOOK" --wait=false'
nothing() { [ -z "$(kubectl get pods,deployments,replicasets -A -o name)" ]; }
check "nothing stays" eventually 15 nothing
refused "the page is gone" "" curl -fsS --max-time 2 http://$NODE:31000/
