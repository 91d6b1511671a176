#!/bin/bash
# Priority and fairness: who has too much under way waits or is sent away, and nobody else notices. The audit log: what a
# policy wants recorded is, as upstream writes it, and a full disk stops nobody.
. "$(dirname "$0")/lib.sh"

yaml=$'# YAML\n'
cleanup() {
        [ -n "${hook:-}" ] && kill "$hook"
        [ "$IN_NAMESPACE" = inside ] && umount -l "$WORK/small"
}

check "a certificate" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=hook" \
        -addext "subjectAltName=DNS:localhost" -keyout "$WORK/hook.key" -out "$WORK/hook.crt"
python3 "$here/e2e/webhook.py" "$WORK/hook.crt" "$WORK/hook.key" "$WORK/port" "$WORK/log" &
hook=$!
check "a webhook listens" eventually 20 test -s "$WORK/port"
cat > "$WORK/policy.yaml" <<'END'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: [system:masters], resources: [{group: "", resources: [pods/log]}]}
- {level: RequestResponse, omitManagedFields: true, namespaces: [default], resources: [{group: "", resources: [secrets]}]}
- {level: Request, verbs: [create, patch, delete], resources: [{group: "", resources: [serviceaccounts, serviceaccounts/token]}]}
- {level: Metadata, resources: [{group: "", resources: [pods, pods/log]}]}
- {level: Metadata, nonResourceURLs: ["/nothing*"]}
END
mkdir "$WORK/small"
[ "$IN_NAMESPACE" = inside ] && mount -t tmpfs -o size=256k none "$WORK/small"
cat > "$WORK/audit.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://localhost:$(cat "$WORK/port")/audit', certificate-authority-data: $(base64 -w0 "$WORK/hook.crt")}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
END
check "up, with 15 seats" cluster up --components=etcd,apiserver \
        --set apiserver.auditPolicyFile="$WORK/policy.yaml" --set apiserver.auditLogPath="$WORK/small/audit.log" \
        --set apiserver.extraArgs="--max-requests-inflight=10 --max-mutating-requests-inflight=5 --audit-webhook-config-file=$WORK/audit.kubeconfig --audit-webhook-batch-max-wait=500ms"
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
says "metrics tell" 'apiserver_flowcontrol_rejected_requests_total{flow_schema="slow",priority_level="narrow",reason="concurrency-limit"} 3' metrics
says "and what was asked for" 'apiserver_request_total{code="429",component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",verb="LIST",version="v1"}' metrics
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
in_queue() { metrics | grep -qF 'apiserver_flowcontrol_current_inqueue_requests{flow_schema="slow",priority_level="narrow"} 1'; }
check "the next waits" eventually 10 in_queue
says "who waits can be seen" "slow, " kubectl get --raw "/debug/api_priority_and_fairness/dump_requests?includeRequestDetails=1"
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

# --- the audit log ---

# event EXPRESSION: the events E for which it holds, a line each
event() {
        python3 -c '
import json, sys
found = False
for line in open(sys.argv[1]):
    e = json.loads(line)
    ref, status, user, notes = e.get("objectRef", {}), e.get("responseStatus", {}), e["user"].get("username"), e.get("annotations", {})
    if eval(sys.argv[2]):
        print(line, end="")
        found = True
sys.exit(not found)' "$WORK/small/audit.log" "$1"
}
recorded() { # NAME PATTERN EXPRESSION
        local name=$1
        eventually 10 event "$3" > /dev/null
        says "$name" "$2" event "$3"
}
check "a secret" kubectl create secret generic s --from-literal=a=b
recorded "is recorded with what came" '"requestObject":{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s"' 'e["verb"] == "create" and ref["resource"] == "secrets"'
recorded "and went" '"responseObject":{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s","namespace":"default","uid":' 'e["verb"] == "create" and ref["resource"] == "secrets"'
recorded "by whom, about what" '"objectRef":{"resource":"secrets","namespace":"default","name":"s","apiVersion":"v1"}' 'ref["resource"] == "secrets" and user == "kubernetes-admin" and e["sourceIPs"] == ["127.0.0.1"]'
recorded "and why" '"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}' 'e["verb"] == "create" and e["stage"] == "ResponseComplete"'
refused "managed fields are left out" "" event '"managedFields" in line'
refused "so are stages" "" event 'e["stage"] == "RequestReceived"'
refused "and what has no level" "" event 'ref.get("subresource") == "log"'
sent() { grep '"kind": "EventList"' "$WORK/log" | grep -q '"resource": "secrets", "namespace": "default", "name": "s"'; }
check "another server hears of it too" eventually 10 sent
check "a list" kubectl get secrets
recorded "whole" '"kind":"Table"' 'e["verb"] == "list"'
check "a watch" kubectl get --raw '/api/v1/namespaces/default/secrets?watch=1&timeoutSeconds=1'
recorded "as it begins" '"verb":"watch"' 'e["stage"] == "ResponseStarted" and e["verb"] == "watch"'
recorded "and as it ends" '"verb":"watch"' 'e["stage"] == "ResponseComplete" and e["verb"] == "watch"'
refused "a refusal" "cannot get resource" kubectl get pod p --as=eve
recorded "with its reason" '"responseStatus":{"metadata":{},"status":"Failure","message":"pods \"p\" is forbidden: User \"eve\" cannot get' 'status.get("code") == 403'
recorded "who asked for whom" '"impersonatedUser":{"username":"eve"' 'notes.get("authorization.k8s.io/decision") == "forbid" and user == "kubernetes-admin"'
check "a service account" kubectl create serviceaccount a
recorded "with what came" '"name":"a"' 'e["level"] == "Request" and e["verb"] == "create" and "responseObject" not in e'
check "a patch" kubectl label serviceaccount a x=y
recorded "with itself" '"requestObject":{"metadata":{"labels":{"x":"y"}}}' 'e["verb"] == "patch"'
check "a token" kubectl create token a
recorded "of a subresource" '"subresource":"token"' 'ref["resource"] == "serviceaccounts" and ref.get("subresource") == "token"'
says "a wrong token" 401 curl -s -A test --cacert "$WORK/ca.crt" -H "Authorization: Bearer x" "https://127.0.0.1:$PORT/nothing"
recorded "is recorded" '"user":{},"sourceIPs":["127.0.0.1"],"userAgent":"test","responseStatus":{"metadata":{},"message":"Authentication failed, attempted: bearer","code":401}' 'status.get("code") == 401'
says "an answer has an id" "Audit-Id: 12345" request eve /nothing/here -H "Audit-ID: 12345"
recorded "the client's" '"auditID":"12345"' 'e["auditID"] == "12345" and status["code"] == 404'
check "a namespace" kubectl create namespace judged
check "that is judged" kubectl label namespace judged pod-security.kubernetes.io/audit=restricted
pod() { kubectl create -n judged -f - <<<"$yaml{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {serviceAccountName: default, automountServiceAccountToken: false, containers: [{name: c, image: x}]}}"; }
check "its service account" kubectl create serviceaccount -n judged default
check "a pod" pod
recorded "what is wrong with it" '"pod-security.kubernetes.io/audit-violations":"would violate PodSecurity \"restricted:latest\": ' '"pod-security.kubernetes.io/enforce-policy" in notes'

policy() {
        kubectl apply -f - <<<"$yaml{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: odd.example.com}, spec: {
 matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [secrets]}]},
 validations: [{expression: 'false', message: never}], auditAnnotations: [{key: who, valueExpression: 'request.userInfo.username'}]}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: odd}, spec: {policyName: odd.example.com, validationActions: [Audit]}}"
}
check "a policy that only notes" policy
noted() { kubectl create secret generic "noted-$RANDOM" && event '"odd.example.com/who" in notes'; }
check "notes what it wants" eventually 10 noted
recorded "and what failed" 'validation.policy.admission.k8s.io/validation_failure":"[{\"message\":\"never\",\"policy\":\"odd.example.com\",\"binding\":\"odd\",\"expressionIndex\":0,\"validationActions\":[\"Audit\"]}]"' '"odd.example.com/who" in notes'
check "it goes" kubectl delete validatingadmissionpolicy odd.example.com

if [ "$IN_NAMESPACE" = inside ]; then
        dd if=/dev/zero of="$WORK/small/filler" bs=4096 2>/dev/null
        told() { grep -q 'audit log .*No space left on device' "$ROOT/var/log/colibri/apiserver.log"; }
        many() { local i; for i in {1..40}; do request eve /api/v1/namespaces/default/secrets || return; told && return; done; }
        check "a full disk stops nobody" many
        check "and is told" eventually 5 told
        rm "$WORK/small/filler"
        check "room again" kubectl create secret generic late
        recorded "is used" '"name":"late"' 'ref.get("name") == "late"'
fi
