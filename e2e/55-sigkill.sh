#!/bin/bash
# Fifty times SIGKILL to a daemon or to etcd amid a loop of writes: no acknowledged object is lost or there
# twice, no container is started again, and ten seconds after the last one all is as it was asked for.
. "$(dirname "$0")/inputs.sh"
KILLS=${KILLS:-50}

check "registry" registry_up
check "images" push_standin library/web:1 vote
whole_cluster

check "what runs all the time" kubectl create deployment steady --image=web:1 --replicas=3
check "is there" kubectl rollout status deployment/steady --timeout=20s
# Which containers run, since when, and how often they were started again.
containers() {
        kubectl get pods -l app=steady -o json |
                jq -r '.items[] | [.metadata.uid, .status.podIP, .status.containerStatuses[0].containerID, .status.containerStatuses[0].state.running.startedAt, .status.containerStatuses[0].restartCount] | @tsv' | sort
}
containers >"$WORK/before"

# Writers: objects with names, objects with generated names (told apart by a label, so that doubles show),
# and a Deployment that is scaled up and down. Only what was acknowledged is noted.
stop=$WORK/stop
cat >"$WORK/writer.py" <<'PY'
import http.client, itertools, json, os, ssl, sys, time
kind, port, work = sys.argv[1], int(sys.argv[2]), sys.argv[3]
tls = ssl.create_default_context(cafile=work + "/ca.crt")
tls.load_cert_chain(work + "/client.crt", work + "/client.key")
conn = None
with open(f"{work}/{kind}", "a", buffering=1) as acknowledged:
    for i in itertools.count():
        if os.path.exists(work + "/stop"):
            break
        meta = {"name": f"named-{i}"} if kind == "named" else {"generateName": "generated-", "labels": {"g": str(i)}}
        try:
            if not conn:
                conn = http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=5)
            conn.request("POST", "/api/v1/namespaces/default/configmaps",
                         json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"i": str(i)}}),
                         {"Content-Type": "application/json"})
            answer = conn.getresponse()
            made = json.loads(answer.read())
            if answer.status == 201:
                print(i, made["metadata"]["name"], file=acknowledged)
        except (OSError, http.client.HTTPException, ValueError):
            conn = None
        time.sleep(0.02)
PY
for part in certificate-authority:ca.crt client-certificate:client.crt client-key:client.key; do
        kubectl config view --raw --minify -o "jsonpath={..${part%:*}-data}" | base64 -d >"$WORK/${part#*:}"
done
applied() {
        for ((i = 0; ; i++)); do
                [ -e "$stop" ] && return
                kubectl apply -f - >/dev/null 2>&1 <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"applied"},"data":{"i":"'$i'"}}' && echo $i >"$WORK/applied"
                n=$((1 + i % 3))
                kubectl scale deployment moving --replicas=$n >/dev/null 2>&1 && echo $n >"$WORK/scaled"
        done
}
echo 1 >"$WORK/scaled"
echo 0 >"$WORK/applied"
check "what moves" kubectl create deployment moving --image=web:1 --replicas=1
python3 "$WORK/writer.py" named "$PORT" "$WORK" & writers=$!
python3 "$WORK/writer.py" generated "$PORT" "$WORK" & writers="$writers $!"
applied & writers="$writers $!"
background="$background $writers"

killed=0
order=$(shuf -e apiserver controllers etcd scheduler kubelet proxy)
for victim in $(for i in $(seq 20); do echo "$order"; done); do
        [ $killed -lt "$KILLS" ] || break
        pid=$(daemon "$victim") && kill -KILL "$pid" 2>/dev/null && killed=$((killed + 1))
        sleep "0.$((4 + RANDOM % 4))"
done
check "$KILLS kills" [ $killed = "$KILLS" ]
touch "$stop"
wait $writers
ended=$SECONDS
echo "# writes acknowledged: $(wc -l <"$WORK/named") named, $(wc -l <"$WORK/generated") generated, applied $(cat "$WORK/applied")"

converged() {
        kubectl get --raw /readyz >/dev/null 2>&1 && node_ready here || return 1
        local n
        n=$(cat "$WORK/scaled")
        [ "$(kubectl get deployment moving -o 'jsonpath={.spec.replicas} {.status.replicas} {.status.readyReplicas} {.status.updatedReplicas}')" = "$n $n $n $n" ] &&
                [ "$(kubectl get pods -l app=moving -o name | wc -l)" = "$n" ] &&
                [ "$(kubectl get deployment steady -o 'jsonpath={.status.readyReplicas}')" = 3 ]
}
check "all is as it was asked for, within 10 s" eventually 10 converged
echo "# converged after $((SECONDS - ended)) s"
containers >"$WORK/after"
check "no container was started again" diff "$WORK/before" "$WORK/after"
kubectl get configmaps -o json >"$WORK/all"
jq -r '.items[].metadata.name' "$WORK/all" | sort >"$WORK/names"
check "writes were acknowledged meanwhile" [ "$(cat "$WORK/named" "$WORK/generated" | wc -l)" -gt 50 ]
check "no named object is lost" [ -z "$(cut -d' ' -f2 "$WORK/named" | sort | comm -23 - "$WORK/names")" ]
check "no generated object is lost" [ -z "$(cut -d' ' -f2 "$WORK/generated" | sort | comm -23 - "$WORK/names")" ]
# A request that was not acknowledged may have been carried out; one that was, exactly once.
jq -r '.items[] | select(.metadata.labels.g) | .metadata.labels.g' "$WORK/all" | sort | uniq -d >"$WORK/twice"
check "none that was acknowledged is there twice" [ -z "$(cut -d' ' -f1 "$WORK/generated" | sort | comm -12 - "$WORK/twice")" ]
last() { [ "$(kubectl get configmap applied -o 'jsonpath={.data.i}')" -ge "$(cat "$WORK/applied")" ]; }
check "the last apply that was acknowledged is there" last
web() { curl -fsS --max-time 2 "http://$(kubectl get pods -l app=steady -o 'jsonpath={.items[0].status.podIP}')/"; }
check "the containers serve" web
check "a Deployment still comes up" eval 'kubectl create deployment later --image=web:1 && kubectl rollout status deployment/later --timeout=15s'
