#!/bin/bash
# Aggregation: an API server behind ours, with its own certificate, asked through the front proxy's; kubectl top; what
# is said of it while it is away; and the APIServices that are made for what we serve ourselves.
. "$(dirname "$0")/lib.sh"

yaml=$'# YAML\n'
cleanup() { [ -n "${server:-}" ] && kill "$server"; }

check "up" cluster up --components=etcd,apiserver
[ $failures = 0 ] || exit 1
address=${SERVICES%.0.0/16}.0.77
port=$((PORT + 5))
ip addr add "$address/32" dev lo 2>/dev/null
pki=$(dirname "$(find "$ROOT" -name front-proxy-ca.crt)")
certificate() {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=metrics" \
                -addext "subjectAltName=DNS:metrics.default.svc" -keyout "$WORK/m.key" -out "$WORK/m.crt"
}
start_server() {
        python3 "$here/e2e/metrics-server.py" "$WORK/m.crt" "$WORK/m.key" "$pki/front-proxy-ca.crt" "$address" "$port" "$WORK/log" &
        server=$!
}
check "a certificate" certificate
CA=$(base64 -w0 "$WORK/m.crt")

# Our own groups have APIServices, and so have custom ones.
local_service() { kubectl get apiservice "$1" -o 'jsonpath={.metadata.labels}{.spec}{.status.conditions[0].reason}'; }
check "built-in groups are registered" eventually 10 kubectl get apiservice v1.flowcontrol.apiserver.k8s.io
says "once, as their server's" '{"kube-aggregator.kubernetes.io/automanaged":"onstart"}{"group":"apps","groupPriorityMinimum":17800,"version":"v1","versionPriority":15}Local' local_service v1.apps
check "a definition" kubectl create -f - <<<"$yaml{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition,
 metadata: {name: things.example.com}, spec: {group: example.com, scope: Cluster, names: {plural: things, kind: Thing},
 versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}"
check "is registered" eventually 10 kubectl get apiservice v1.example.com
says "and kept so" '{"kube-aggregator.kubernetes.io/automanaged":"true"}{"group":"example.com","groupPriorityMinimum":1000,"version":"v1","versionPriority":100}Local' local_service v1.example.com
# Who watches its objects hears nothing of its labels, and lists anew after a change of its schema.
kubectl get --raw '/apis/example.com/v1/things?watch=true&timeoutSeconds=60' > "$WORK/things" &
watcher=$!
watched() { grep -q "\"name\":\"$1\"" "$WORK/things"; }
thing() { kubectl create -f - <<<"$yaml{apiVersion: example.com/v1, kind: Thing, metadata: {name: $1}}"; }
check "an object" thing before
check "is watched" eventually 10 watched before
check "the definition gets a label" kubectl label crd things.example.com a=b
check "another object" thing after
check "comes on the same watch" eventually 10 watched after
check "another schema" kubectl patch crd things.example.com --type merge -p '{"spec":{"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object"}}}}}]}}'
ended() { ! kill -0 "$watcher" 2>/dev/null; }
check "ends it" eventually 10 ended
check "the definition goes" kubectl delete crd things.example.com
gone() { ! kubectl get "$@"; }
check "its registration too" eventually 10 gone apiservice v1.example.com

# Another's.
register() {
        kubectl apply -f - <<<"$yaml{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1beta1.metrics.k8s.io},
 spec: {group: metrics.k8s.io, version: v1beta1, groupPriorityMinimum: 100, versionPriority: 100, caBundle: $CA,
 service: {name: metrics, namespace: default, port: $port}}}"
}
available() { kubectl get apiservice v1beta1.metrics.k8s.io -o 'jsonpath={.status.conditions[0].status} {.status.conditions[0].reason}: {.status.conditions[0].message}'; }
becomes() { [[ $(available) = *"$1"* ]] || { available; return 1; }; }
check "an APIService" register
check "without its Service" eventually 10 becomes 'False ServiceNotFound: service/metrics in "default" is not present'
refused "is not available" "the server is currently unable to handle the request" kubectl get --raw /apis/metrics.k8s.io/v1beta1
aggregated() { curl -s -A test --cacert "$pki/ca.crt" --cert "$WORK/admin.crt" --key "$WORK/admin.key" "$@"; }
credentials() {
        kubectl config view --raw -o 'jsonpath={.users[0].user.client-certificate-data}' | base64 -d > "$WORK/admin.crt"
        kubectl config view --raw -o 'jsonpath={.users[0].user.client-key-data}' | base64 -d > "$WORK/admin.key"
}
check "credentials" credentials
url=https://127.0.0.1:$PORT
discovery() { aggregated -H 'Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' "$url/apis"; }
says "503 in plain text" "service unavailable" aggregated "$url/apis/metrics.k8s.io/v1beta1/nodes"
says "discovery names it, stale" '"versions":[{"version":"v1beta1","freshness":"Stale"}]' discovery
check "a Service" kubectl create -f - <<<"$yaml{apiVersion: v1, kind: Service, metadata: {name: metrics}, spec: {clusterIP: $address,
 ports: [{port: 1}]}}"
check "with another port" eventually 10 becomes "False ServicePortError: service/metrics in \"default\" is not listening on port $port"
check "the port" kubectl patch service metrics --type merge -p "{\"spec\":{\"ports\":[{\"port\":$port}]}}"
check "no endpoints" eventually 10 becomes 'False EndpointsNotFound: cannot find endpointslices for service/metrics in "default"'
slice() {
        kubectl apply -f - <<<"$yaml{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: metrics, labels: {kubernetes.io/service-name: metrics}},
 addressType: IPv4, ports: [{name: '', port: $port}], endpoints: [{addresses: [$address], conditions: {ready: $1}}]}"
}
check "one that is not ready" slice false
check "is none" eventually 10 becomes 'False MissingEndpoints: endpointslices for service/metrics in "default" have no addresses with port name ""'
check "one that is" slice true
check "but nobody listens" eventually 10 becomes "False FailedDiscoveryCheck: failing or missing response from https://$address:$port/apis/metrics.k8s.io/v1beta1: Get \"https://$address:$port/apis/metrics.k8s.io/v1beta1\": dial tcp $address:$port: connect: connection refused"
start_server
check "the server comes" eventually 30 becomes 'True Passed: all checks passed'

says "kubectl top nodes" "250m" kubectl top nodes --no-headers
says "kubectl top pods" "33Mi" kubectl top pods --no-headers
refused "its own errors" "there is no /apis/metrics.k8s.io/v1beta1/nonsense" kubectl get --raw /apis/metrics.k8s.io/v1beta1/nonsense
heard() { grep -F -- "$1" "$WORK/log"; }
says "it hears who asks" "/nodes kubernetes-admin" heard "/nodes kubernetes-admin"
check "impersonated ones too" kubectl auth can-i list nodes.metrics.k8s.io --as=system:admin --as-group=system:masters
check "a question as another" kubectl get --raw /apis/metrics.k8s.io/v1beta1/nodes --as=eve --as-group=system:masters --as-group=friends
says "is told as such" "eve system:masters,friends,system:authenticated" heard eve
refused "who may not, does not get there" 'nodes.metrics.k8s.io is forbidden: User "mallory" cannot list resource "nodes"' \
        kubectl get --raw /apis/metrics.k8s.io/v1beta1/nodes --as=mallory
says "the check is the aggregator's" "system:kube-aggregator system:masters" heard "GET /apis/metrics.k8s.io/v1beta1 "
says "a watch" '"type": "MODIFIED"' kubectl get --raw '/apis/metrics.k8s.io/v1beta1/nodes?watch=1'
says "a redirection is not passed on" "the backend attempted to redirect this request" aggregated "$url/apis/metrics.k8s.io/v1beta1/away"
upgrade() {
        printf 'GET /apis/metrics.k8s.io/v1beta1/talk HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: talk\r\n\r\nping' |
                timeout 10 openssl s_client -quiet -connect "127.0.0.1:$PORT" -CAfile "$pki/ca.crt" -cert "$WORK/admin.crt" -key "$WORK/admin.key" -ign_eof
}
says "an upgrade" "echo:ping" upgrade
says "discovery knows its resources" '"resource":"pods","responseKind":{"group":"","version":"","kind":"PodMetrics"}' discovery
says "kubectl too" "metrics.k8s.io/v1beta1" kubectl api-resources --api-group=metrics.k8s.io
says "its OpenAPI, listed" '/openapi/v3/apis/metrics.k8s.io/v1beta1?hash=ABCDEF' kubectl get --raw /openapi/v3
says "and served" "metrics of nodes" kubectl get --raw /openapi/v3/apis/metrics.k8s.io/v1beta1
merged() {
        kubectl get --raw /openapi/v2 | python3 -c 'import json, sys
d = json.load(sys.stdin)
assert "/apis/metrics.k8s.io/v1beta1/nodes" in d["paths"] and "/elsewhere" not in d["paths"]
assert "io.k8s.metrics.v1beta1.NodeMetricsList" in d["definitions"] and "/api/v1/pods" in d["paths"]'
}
check "v2 is one document" merged

# Request headers from somebody who is not the front proxy are not believed; from it they are.
who() { curl -s -A test --cacert "$pki/ca.crt" "$@" "$url/apis/authentication.k8s.io/v1/selfsubjectreviews" -X POST -H 'Content-Type: application/json' \
        -d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'; }
front=(--cert "$pki/front-proxy-client.crt" --key "$pki/front-proxy-client.key")
says "the front proxy is believed" '"username":"carol","groups":["staff","system:authenticated"],"extra":{"scope":["a"]}' \
        who "${front[@]}" -H "X-Remote-User: carol" -H "X-Remote-Group: staff" -H "X-Remote-Extra-Scope: a"
says "others are not" '"username":"kubernetes-admin"' who --cert "$WORK/admin.crt" --key "$WORK/admin.key" -H "X-Remote-User: carol"
says "its CA is published" "BEGIN CERTIFICATE" kubectl get configmap -n kube-system extension-apiserver-authentication \
        -o 'jsonpath={.data.requestheader-client-ca-file}'

# It goes away, and comes back.
kill "$server"
wait "$server" 2>/dev/null
says "at once nobody answers" "error trying to reach service: dial tcp $address:$port: connect: connection refused" \
        aggregated "$url/apis/metrics.k8s.io/v1beta1/nodes"
check "its endpoints go" slice false
check "it is noticed" eventually 10 becomes 'False MissingEndpoints'
refused "kubectl says so" "Metrics API not available" kubectl top nodes
says "its resources are remembered, as stale" '"kind":"PodMetrics"},"scope":"Namespaced","singularResource":"","verbs":["get","list"]}],"freshness":"Stale"' discovery
check "all else works" kubectl get nodes,pods -A
start_server
check "it comes back" slice true
check "and is well" eventually 30 becomes 'True Passed'
says "kubectl top" "250m" kubectl top nodes --no-headers
check "unregistered" kubectl delete apiservice v1beta1.metrics.k8s.io
refused "it is nobody's" "the server could not find the requested resource" kubectl get --raw /apis/metrics.k8s.io/v1beta1
[ "$IN_NAMESPACE" = inside ] || ip addr del "$address/32" dev lo 2>/dev/null
