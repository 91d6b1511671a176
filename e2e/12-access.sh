#!/bin/bash
# Who may, and what is let in, as clients are told it: default roles, impersonation, escalation, tokens, quotas, limits,
# resizes, evictions.
. "$(dirname "$0")/lib.sh"

check "up" cluster up --components=etcd,apiserver
put() { kubectl apply -f - <<<"$1"; }
raw() { kubectl create --raw "$1" -f - <<<"$2"; }
field() { kubectl get "$1" -o "jsonpath=$2"; }
for ns in default other; do
        kubectl create namespace "$ns" >/dev/null 2>&1
        kubectl -n "$ns" create serviceaccount default >/dev/null
done

# Roles of a new cluster.
says "no controllers: nothing is aggregated" "rules: null" kubectl get clusterrole view -o yaml
says "the scheduler's lease candidates" '["leasecandidates"]["create","delete","deletecollection"' field clusterrole/system:kube-scheduler '{.rules[3].resources}{.rules[3].verbs}'
says "monitoring" '["get"]' field clusterrole/system:monitoring '{.rules[1].verbs}'
says "claims of the garbage collector's kind" update field clusterrole/system:controller:pvc-protection-controller '{.rules[1].verbs[0]}'

# Impersonation by mode.
check "a role to impersonate" put 'apiVersion: v1
kind: List
items:
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: helper}, rules: [
   {apiGroups: [authentication.k8s.io], resources: [users], verbs: ["impersonate:user-info"], resourceNames: [bob]},
   {apiGroups: [authentication.k8s.io], resources: [groups], verbs: ["impersonate:user-info"], resourceNames: [dev]},
   {apiGroups: [authentication.k8s.io], resources: ["userextras/*"], verbs: ["impersonate:user-info"]},
   {apiGroups: [authentication.k8s.io], resources: [nodes], verbs: ["impersonate:arbitrary-node"]},
   {apiGroups: [""], resources: [pods], verbs: ["impersonate-on:user-info:list"]},
   {apiGroups: [authentication.k8s.io], resources: [selfsubjectreviews], verbs: ["impersonate-on:arbitrary-node:create", "impersonate-on:user-info:create"]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: helper}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: helper}, subjects: [
   {kind: ServiceAccount, name: default, namespace: default}]}'
token=$(kubectl create token default)
server=https://127.0.0.1:$PORT
as() { curl -sk -H "Authorization: Bearer $token" "$@"; }
whoami() { as -H 'Content-Type: application/json' "$@" -d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}' "$server/apis/authentication.k8s.io/v1/selfsubjectreviews" | tr -d ' \n'; }
pods=$server/api/v1/namespaces/default/pods
says "for pods" 'User \"bob\" cannot list resource \"pods\"' as -H 'Impersonate-User: bob' "$pods"
says "not for others" 'cannot impersonate-on:user-info:list resource \"configmaps\"' as -H 'Impersonate-User: bob' "${pods%pods}configmaps"
says "not as others" 'cannot impersonate:user-info resource \"users\" in API group \"authentication.k8s.io\"' as -H 'Impersonate-User: al' "$pods"
says "with a group" '"groups":["dev","system:authenticated"]' whoami -H 'Impersonate-User: bob' -H 'Impersonate-Group: dev'
says "not as a master" 'impersonatingthesystem:mastersgroupisnotallowed' whoami -H 'Impersonate-User: bob' -H 'Impersonate-Group: system:masters'
says "extra keys are prefixed" 'extra.key:Invalidvalue:\"foo\":mustbeadomain-prefixedpath' whoami -H 'Impersonate-User: bob' -H 'Impersonate-Extra-foo: x'
says "a node has its group" '"groups":["system:nodes","system:authenticated"]' whoami -H 'Impersonate-User: system:node:n1'
says "with a group of its own it is asked for plainly" 'cannotimpersonateresource\"users\"inAPIgroup\"\"' whoami -H 'Impersonate-User: system:node:n1' -H 'Impersonate-Group: system:nodes'
says "what could be markup" 'cannot get path \"/x\u0026lt;y\u0026gt;\"' as "$server/x%3Cy%3E"

# Escalation: whatever else of a role changes.
check "who may write roles" kubectl create clusterrole writer --verb=get,create,patch,update --resource=clusterroles.rbac.authorization.k8s.io
kubectl create clusterrolebinding writer --clusterrole=writer --user=gil >/dev/null
kubectl create clusterrole more --verb=get --resource=pods >/dev/null
refused "a label of a role with more than one holds" 'attempting to grant RBAC permissions not currently held' kubectl label clusterrole more a=b --as=gil
refused "rules come before their aggregation" '{APIGroups:[""], Resources:["pods"], Verbs:["get"]}' kubectl create --as=gil -f - <<<'{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"z"},"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]}'

# Reviews.
says "missing roles make it no less complete" '"incomplete":false' raw /apis/authorization.k8s.io/v1/selfsubjectrulesreviews '{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectRulesReview","spec":{"namespace":"default"}}'
refused "both kinds of attributes" 'Invalid value: {"Path":"/x","Verb":""}: cannot be specified' raw /apis/authorization.k8s.io/v1/selfsubjectaccessreviews '{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"get"},"nonResourceAttributes":{"path":"/x"}}}'

# Tokens.
review() { raw /apis/authentication.k8s.io/v1/tokenreviews "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"spec\":{\"token\":\"$1\"}}"; }
kubectl create serviceaccount gone >/dev/null
lost=$(kubectl create token gone)
refused "a token for another uid" 'does not match the UID of the service account' raw /api/v1/namespaces/default/serviceaccounts/gone/token '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","metadata":{"uid":"11111111-1111-4111-8111-111111111111"},"spec":{}}'
kubectl delete serviceaccount gone >/dev/null
says "an account that is gone" 'serviceaccounts \"gone\" not found]' review "$lost"
kubectl create serviceaccount gone >/dev/null
says "and one of its name" 'does not match claim (' review "$lost"
says "what is no token at all is nobody's" '"username":"system:anonymous"' review " x"
says "who asks sets the fields of a review" '"managedFields":[' review x
says "a refusal may not be sniffed" 'X-Content-Type-Options: nosniff' curl -sk -D - -o "$WORK/refusal" "$pods"
says "a certificate of somebody else's authority" '"reason":"Unauthorized"' curl -sk --cert "$ROOT/etc/colibri/pki/etcd-client.crt" --key "$ROOT/etc/colibri/pki/etcd-client.key" "$pods"
says "what is only created has no names" '"code":404' curl -sk --cert "$ROOT/etc/colibri/pki/apiserver-kubelet.crt" --key "$ROOT/etc/colibri/pki/apiserver-kubelet.key" "$server/apis/authorization.k8s.io/v1/subjectaccessreviews/x"

# What is let in.
pod() { echo "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{${3:-\"name\":\"$1\"}},\"spec\":{${2:+$2,}\"containers\":[{\"name\":\"c\",\"image\":\"i\"${4:+,$4}}]}}"; }
make() { kubectl create -n "${NS:-other}" -f - <<<"$1"; }
refused "a name to come" 'pods "g-" is forbidden: no PriorityClass with name nope' make "$(pod x '"priorityClassName":"nope"' '"generateName":"g-"')"
refused "no name" 'pods "Unknown" is forbidden' make "$(pod x '"priorityClassName":"nope"' '"labels":{}')"
refused "a limit for pods without overhead" 'minimum cpu usage per Pod is 100m.  No request is specified' bash -c "kubectl create -n other -f - <<<'{\"apiVersion\":\"v1\",\"kind\":\"LimitRange\",\"metadata\":{\"name\":\"l\"},\"spec\":{\"limits\":[{\"type\":\"Pod\",\"min\":{\"cpu\":\"100m\"}}]}}' >/dev/null; kubectl create -n other -f - <<<'$(pod x)'"
kubectl delete limitrange -n other l >/dev/null
quota() {
        kubectl create -n other -f - <<<"{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"metadata\":{\"name\":\"$1\"},\"spec\":{\"hard\":$2${3:-}}}" &&
                kubectl patch resourcequota -n other "$1" --subresource=status --type=merge -p "{\"status\":{\"hard\":$2,\"used\":{\"pods\":\"0\"}}}"
}
check "a quota for pods that end" quota ends '{"pods":"1"}' ',"scopes":["Terminating"]'
check "a pod" make "$(pod a)"
check "another" make "$(pod b)"
check "one is to end" kubectl patch pod -n other a -p '{"spec":{"activeDeadlineSeconds":5}}'
refused "that was all" 'exceeded quota: ends, requested: pods=1, used: pods=1, limited: pods=1' kubectl patch pod -n other b -p '{"spec":{"activeDeadlineSeconds":5}}'
check "a quota that is full" quota a '{"pods":"0"}'
kubectl create quota -n other b --hard=limits.cpu=1 >/dev/null
kubectl patch resourcequota -n other b --subresource=status --type=merge -p '{"status":{"hard":{"limits.cpu":"1"},"used":{"limits.cpu":"0"}}}' >/dev/null
refused "what a pod lacks is told first" 'failed quota: b: must specify limits.cpu for: c' make "$(pod c)"

# Resizes on a node.
kubectl create -f - >/dev/null <<<'{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1","labels":{"kubernetes.io/os":"linux"}},"status":{"allocatable":{"cpu":"1","memory":"1Gi"}}}'
sized='"resources":{"requests":{"cpu":"100m"},"limits":{"cpu":"4"}}'
NS=default make "$(pod r '"nodeName":"n1"' '' "$sized")" >/dev/null
NS=default make "$(pod s '"nodeName":"nx"' '' "$sized")" >/dev/null
resize() { kubectl patch pod "$1" --subresource=resize -p "{\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"$2\"}}}]}}"; }
check "what fits" resize r 500m
refused "what the node has not" "node didn't have enough allocatable resources: cpu, requested: 2000, allocatable: 1000" resize r 2
refused "a node that is not there" 'node "nx" not found' resize s 200m

# Evictions.
evict() { raw "/api/v1/namespaces/default/pods/$1/eviction" "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"$1\"}${2:-}}"; }
refused "an option that none may have" 'ignoreStoreReadErrorWithClusterBreakingPotential: Invalid value: true' evict r ',"deleteOptions":{"ignoreStoreReadErrorWithClusterBreakingPotential":true}'
kubectl patch pod r --subresource=status -p '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}' >/dev/null
kubectl create -f - >/dev/null <<<'{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"all"},"spec":{"minAvailable":1,"selector":{}}}'
refused "a budget for all pods" "would violate the pod's disruption budget" evict r
kubectl delete pdb all >/dev/null
check "without it" evict r
check "down" cluster down
