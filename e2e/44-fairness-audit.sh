#!/bin/bash
# Priority and fairness: who has too much under way waits or is sent away, and nobody else notices.
. "$(dirname "$0")/lib.sh"

yaml=$'# YAML\n'
cleanup() { [ -n "${hook:-}" ] && kill "$hook"; }

check "a certificate" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=hook" \
        -addext "subjectAltName=DNS:localhost" -keyout "$WORK/hook.key" -out "$WORK/hook.crt"
python3 "$here/e2e/webhook.py" "$WORK/hook.crt" "$WORK/hook.key" "$WORK/port" "$WORK/log" &
hook=$!
check "a webhook listens" eventually 20 test -s "$WORK/port"
check "up, with 15 seats" cluster up --components=etcd,apiserver \
        --set apiserver.extraArgs="--max-requests-inflight=10 --max-mutating-requests-inflight=5"
[ $failures = 0 ] || exit 1

# A webhook that takes its time makes requests that are under way for long.
hanging() {
        kubectl apply -f - <<<"$yaml{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: slow}, webhooks: [
{name: slow.example.com, admissionReviewVersions: [v1], sideEffects: None, timeoutSeconds: 4, objectSelector: {matchLabels: {slow: 'yes'}},
 clientConfig: {url: 'https://localhost:$(cat "$WORK/port")/hang', caBundle: $(base64 -w0 "$WORK/hook.crt")},
 rules: [{operations: ['*'], apiGroups: [''], apiVersions: [v1], resources: [configmaps]}]}]}"
}
level() {
        kubectl apply -f - <<<"$yaml{apiVersion: flowcontrol.apiserver.k8s.io/v1, kind: PriorityLevelConfiguration, metadata: {name: narrow},
 spec: {type: Limited, limited: {nominalConcurrencyShares: 5, borrowingLimitPercent: 0, limitResponse: $1}}}"
}
schema() {
        kubectl apply -f - <<<"$yaml{apiVersion: flowcontrol.apiserver.k8s.io/v1, kind: FlowSchema, metadata: {name: slow},
 spec: {priorityLevelConfiguration: {name: $1}, matchingPrecedence: 50, distinguisherMethod: {type: ByUser},
  rules: [{subjects: [{kind: User, user: {name: slow}}], resourceRules: [{verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*']}]}]}}"
}
dangling() { kubectl get flowschema slow -o 'jsonpath={.status.conditions[0].status} {.status.conditions[0].reason}: {.status.conditions[0].message}'; }
becomes() { [[ $(dangling) = *"$1"* ]] || { dangling; return 1; }; }
check "the webhook" hanging
check "a schema without its level" schema narrow
check "dangles" eventually 10 becomes 'True NotFound: This FlowSchema references the PriorityLevelConfiguration object named "narrow" but there is no such object'
check "the level, which sends away" level '{type: Reject}'
check "it does not dangle now" eventually 10 becomes 'False Found: This FlowSchema references the PriorityLevelConfiguration object named "narrow" and it exists'
check "the user's rights" kubectl create clusterrolebinding slow --clusterrole=cluster-admin --user=slow

kubectl config view --raw -o 'jsonpath={.users[0].user.client-certificate-data}' | base64 -d > "$WORK/admin.crt"
kubectl config view --raw -o 'jsonpath={.users[0].user.client-key-data}' | base64 -d > "$WORK/admin.key"
kubectl config view --raw -o 'jsonpath={.clusters[0].cluster.certificate-authority-data}' | base64 -d > "$WORK/ca.crt"
request() { # USER PATH ARGUMENTS...
        local user=$1 path=$2 group=friends
        shift 2
        [ "$user" = eve ] && group=system:masters
        curl -s -i -A test --max-time 30 --cacert "$WORK/ca.crt" --cert "$WORK/admin.crt" --key "$WORK/admin.key" \
                -H "Impersonate-User: $user" -H "Impersonate-Group: $group" "https://127.0.0.1:$PORT$path" "$@"
}
maps=/api/v1/namespaces/default/configmaps
slow_one() {
        request slow $maps -X POST -H 'Content-Type: application/json' \
                -d "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"$1\",\"labels\":{\"slow\":\"yes\"}}}"
}
begin() { # NAME: a request that the webhook holds up
        slow_one "$1" > "$WORK/$1" 2>&1 &
        eval "pid_$1=$!"
}
asked() { grep -q "\"name\": \"$1\"" "$WORK/log"; }
uid() { kubectl get "$1" "$2" -o 'jsonpath={.metadata.uid}'; }

says "answers name their schema" "X-Kubernetes-Pf-Flowschema-Uid: $(uid flowschema slow)" request slow $maps
says "and level" "X-Kubernetes-Pf-Prioritylevel-Uid: $(uid prioritylevelconfiguration narrow)" request slow $maps
says "others have others" "X-Kubernetes-Pf-Prioritylevel-Uid: $(uid prioritylevelconfiguration exempt)" request eve $maps
begin first
check "one is under way" eventually 10 asked first
says "the next is too many" "HTTP/1.1 429 Too Many Requests" request slow $maps
says "it may come again" "Retry-After: 1" request slow $maps
says "it is told so" "Too many requests, please try again later." request slow $maps
says "others are served" "200 OK" request eve $maps
says "exec and the like do not count" "404 Not Found" request slow /api/v1/namespaces/default/pods/p/log
metrics() { kubectl get --raw /metrics; }
says "metrics tell" 'apiserver_flowcontrol_rejected_requests_total{priority_level="narrow"} 3' metrics
says "a schema gone" deleted kubectl delete flowschema slow
says "another fits" "X-Kubernetes-Pf-Flowschema-Uid: $(uid flowschema global-default)" request slow $maps
check "back" schema narrow
wait "$pid_first"

check "a level that lets wait" level '{type: Queue, queuing: {queues: 1, handSize: 1, queueLengthLimit: 1}}'
check "it is there" eventually 10 kubectl get prioritylevelconfiguration narrow
begin second
check "one is under way" eventually 10 asked second
request slow $maps > "$WORK/waiting" 2>&1 &
waiting=$!
in_queue() { metrics | grep -qF 'apiserver_flowcontrol_current_inqueue_requests{priority_level="narrow"} 1'; }
check "the next waits" eventually 10 in_queue
says "one more is too many" "429 Too Many Requests" request slow $maps
wait "$waiting" "$pid_second"
says "who waited was served" "200 OK" cat "$WORK/waiting"

# What every cluster has comes back.
check "a level that the cluster has, deleted" kubectl delete prioritylevelconfiguration workload-low
check "comes back" eventually 10 kubectl get prioritylevelconfiguration workload-low
check "changed" kubectl patch flowschema service-accounts --type merge -p '{"spec":{"matchingPrecedence":9001}}'
precedence() { [ "$(kubectl get flowschema service-accounts -o 'jsonpath={.spec.matchingPrecedence}')" = 9000 ]; }
check "is made as it was" eventually 10 precedence
says "one's own to change" annotated kubectl annotate --overwrite flowschema service-accounts apf.kubernetes.io/autoupdate-spec=false
check "changed" kubectl patch flowschema service-accounts --type merge -p '{"spec":{"matchingPrecedence":9001}}'
sleep 0.5
says "stays" 9001 kubectl get flowschema service-accounts -o 'jsonpath={.spec.matchingPrecedence}'
