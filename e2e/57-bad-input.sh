#!/bin/bash
# What the API server says to input that is wrong, by accident or by intent: the status, the reason and the
# words of Kubernetes, which people and programs look for. Then what is no API request at all. It must be
# as well afterwards as before, and no bigger.
. "$(dirname "$0")/lib.sh"

check "up" cluster up --components=etcd,apiserver
for part in certificate-authority:ca.crt client-certificate:client.crt client-key:client.key; do
        kubectl config view --raw --minify -o "jsonpath={..${part%:*}-data}" | base64 -d >"$WORK/${part#*:}"
done
SERVER=https://127.0.0.1:$PORT
curl_() { curl -sS --max-time 20 --cacert "$WORK/ca.crt" --cert "$WORK/client.crt" --key "$WORK/client.key" "$@"; }

# answer NAME CODE REASON MESSAGE METHOD PATH [BODY [CURL-ARGUMENTS...]]: MESSAGE is a pattern; BODY "@file" too
answer() {
        local name=$1 code=$2 reason=$3 message=$4 method=$5 path=$6 body=${7:-} is type=application/json
        shift 6
        [ $# = 0 ] || shift
        [ "$method" = PATCH ] && type=application/merge-patch+json
        [ -n "$body" ] && set -- -H "Content-Type: $type" --data-binary "$body" "$@"
        curl_ -X "$method" -o "$WORK/answer" -w '%{http_code}' "$@" "$SERVER$path" >"$WORK/code" 2>"$WORK/curl"
        is="$(cat "$WORK/code") $(jq -r '"\(.kind) \(.status) \(.code) \(.reason) \(.message)"' "$WORK/answer" 2>&1)"
        # shellcheck disable=SC2053 # a pattern
        if [[ "$is" = "$code Status Failure $code $reason "$message ]]; then
                ok "$name"
        else
                not_ok "$name"
                echo "    wanted: $code Status Failure $code $reason $message"
                echo "    said: ${is:0:1500} $(head -c 500 "$WORK/curl")"
        fi
}
CM=/api/v1/namespaces/default/configmaps
DEPLOYMENTS=/apis/apps/v1/namespaces/default/deployments
curl_ -o /dev/null "$SERVER$CM" -H 'Content-Type: application/json' -d '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"1"}}'

# --- paths and headers ---
answer "a name that is no part of a path" 400 BadRequest 'Name parameter invalid: "..": may not be '"'..'" GET $CM/%2e%2e
answer "nothing behind a route" 404 NotFound 'the server could not find the requested resource' GET /version/x
answer "a type that a route does not take" 415 UnsupportedMediaType '415: Unsupported Media Type' GET /version "" -H 'Content-Type: text/plain'
answer "a page in a form that it does not come in" 406 NotAcceptable 'only the following media types are accepted: application/json, application/yaml, text/plain' GET /statusz "" -H 'Accept: application/json'
says "HTTP where TLS belongs" "Client sent an HTTP request to an HTTPS server." curl -sS --max-time 20 "http://127.0.0.1:$PORT/"
says "an expectation that nobody knows" "HTTP/1.1 417 Expectation Failed" curl_ -i -H "Expect: tea" "$SERVER/version"

# --- malformed ---
answer "JSON that ends early" 400 BadRequest "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input*" POST $CM '{"apiVersion":'
answer "no JSON at all" 400 BadRequest "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: *" POST $CM 'hello'
answer "an empty body" 400 BadRequest "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)" POST $CM "" -H 'Content-Type: application/json'
answer "another kind than the path's" 400 BadRequest 'ConfigMap in version "v1" cannot be handled as a Pod: converting (v1.ConfigMap) to (core.Pod): unknown conversion' POST /api/v1/namespaces/default/pods '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}'
answer "a version that is not there" 400 BadRequest 'Deployment in version "v9" cannot be handled as a Deployment: no kind "Deployment" is registered for version "v9" in scheme *' POST $DEPLOYMENTS '{"apiVersion":"v9","kind":"Deployment","metadata":{"name":"x"}}'
answer "a group version that is none" 400 BadRequest 'the object provided is unrecognized (must be of type Deployment): unexpected GroupVersion string: a/b/c *' POST $DEPLOYMENTS '{"apiVersion":"a/b/c","kind":"Deployment"}'
answer "a patch that is no JSON" 400 BadRequest '*' PATCH $CM/x '{'
answer "protobuf that is none" 400 BadRequest 'the object provided is unrecognized (must be of type ConfigMap): provided data does not appear to be a protobuf message, expected prefix *' POST $CM "" -H 'Content-Type: application/vnd.kubernetes.protobuf' --data-binary 'abcdefgh'
answer "a format that is not spoken" 415 UnsupportedMediaType '*' POST $CM "" -H 'Content-Type: text/xml' --data-binary '<a/>'
answer "a patch type that is not spoken" 415 UnsupportedMediaType '*' PATCH $CM/x "" -H 'Content-Type: application/json' --data-binary '{}'
answer "an answer that nobody can give" 406 NotAcceptable 'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf' GET $CM/x "" -H 'Accept: application/json;as=Foo;g=meta.k8s.io;v=v1'
answer "a wildcard that routes do not know" 406 NotAcceptable '406: Not Acceptable*Available representations: application/json, application/yaml, application/vnd.kubernetes.protobuf' GET $CM/x "" -H 'Accept: application/*'
answer "a method that a document does not take" 405 MethodNotAllowed 'the server does not allow this method on the requested resource' POST /version
answer "a version that is a number" 400 BadRequest "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .apiVersion of type string *" POST $CM '{"apiVersion":1,"kind":"ConfigMap"}'
answer "a collection's delete with a limit that is none" 400 BadRequest 'strconv.ParseInt: parsing "x": invalid syntax' DELETE "$CM?limit=x"
answer "a continue token that ends early" 400 BadRequest 'invalid continue token: continue key is not valid: unexpected end of JSON input' GET "$CM?limit=1&continue=eyJ2"

# --- wrong types, unknown fields ---
answer "a word where a number belongs" 400 BadRequest 'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32' POST $DEPLOYMENTS '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},"spec":{"replicas":"three"}}'
answer "a number where a word belongs" 400 BadRequest 'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string' POST $CM '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"y"},"data":{"a":1}}'
answer "a list where an object belongs" 400 BadRequest 'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal array into Go struct field ConfigMap.metadata of type v1.ObjectMeta' POST $CM '{"apiVersion":"v1","kind":"ConfigMap","metadata":[]}'
answer "unknown fields, strictly" 400 BadRequest 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "metadata.bogus", unknown field "bogus"' POST "$CM?fieldValidation=Strict" '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"y","bogus":1},"bogus":2}'
warned() { curl_ -D - -o /dev/null "$SERVER$CM?fieldValidation=Warn&dryRun=All" -H 'Content-Type: application/json' -d '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"y"},"bogus":2}' | tr -d '\r'; }
says "unknown fields, with a warning" 'arning: 299 - "unknown field \"bogus\""' warned
refused "kubectl: an unknown field" 'unknown field "' kubectl apply -f - <<<'{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},"spec":{"replica":1,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}'
refused "kubectl: a kind that is not there" 'no matches for kind "Deploymant" in version "apps/v1"' kubectl apply -f - <<<'{"apiVersion":"apps/v1","kind":"Deploymant","metadata":{"name":"x"}}'

# --- against the rules ---
kubectl create serviceaccount default >/dev/null
answer "a name out of rule" 422 Invalid "ConfigMap \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '*')" POST $CM '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"Bad_Name"}}'
answer "no name" 422 Invalid 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required' POST $CM '{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}'
answer "a label out of rule" 422 Invalid 'ConfigMap "y" is invalid: metadata.labels: Invalid value: "!": a valid label must be *' POST $CM '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"y","labels":{"a":"!"}}}'
answer "a Deployment whose selector is not its template's" 422 Invalid 'Deployment.apps "x" is invalid: spec.template.metadata.labels: Invalid value: {"c":"d"}: `selector` does not match template `labels`' POST $DEPLOYMENTS '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"c":"d"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}'
answer "a pod without containers" 422 Invalid 'Pod "x" is invalid: spec.containers: Required value' POST /api/v1/namespaces/default/pods '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[]}}'
answer "a quantity that is none" 400 BadRequest "Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular expression *" POST /api/v1/namespaces/default/pods '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"lots"}}}]}}'
answer "another namespace than the path's" 400 BadRequest 'the namespace of the provided object does not match the namespace sent on the request' POST $CM '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"y","namespace":"other"}}'
answer "another name than the path's" 400 BadRequest 'the name of the object (y) does not match the name on the URL (x)' PUT $CM/x '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"y"}}'
answer "a namespace that is not there" 404 NotFound 'namespaces "nowhere" not found' POST /api/v1/namespaces/nowhere/configmaps '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"y"}}'
answer "what is there" 409 AlreadyExists 'configmaps "x" already exists' POST $CM '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}'

# --- stale writes ---
old=$(kubectl get configmap x -o 'jsonpath={.metadata.resourceVersion}')
kubectl label configmap x changed=yes >/dev/null
answer "a stale write" 409 Conflict 'Operation cannot be fulfilled on configmaps "x": the object has been modified; please apply your changes to the latest version and try again' PUT $CM/x '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","resourceVersion":"'"$old"'"}}'
answer "a stale patch" 409 Conflict 'Operation cannot be fulfilled on configmaps "x": the object has been modified; please apply your changes to the latest version and try again' PATCH $CM/x '{"metadata":{"resourceVersion":"'"$old"'","labels":{"a":"b"}}}'
answer "a deletion of what was meant" 409 Conflict 'Operation cannot be fulfilled on ConfigMap "x": the UID in the precondition (00000000-0000-0000-0000-000000000000) does not match the UID in record (*). The object might have been deleted and then recreated' DELETE $CM/x '{"preconditions":{"uid":"00000000-0000-0000-0000-000000000000"}}'
answer "a resourceVersion that is none" 400 BadRequest 'invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax' GET "$CM?resourceVersion=x"
refused "kubectl: a stale replace" 'the object has been modified' kubectl replace -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","resourceVersion":"'"$old"'"}}'

# --- too big, too deep ---
python3 - "$WORK" <<'PY'
import sys
def cm(name, data): return '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":%s}' % (name, data)
def put(name, text): open(sys.argv[1] + "/" + name, "w", encoding="utf-8", errors="surrogateescape").write(text)
put("4M", cm("big", '{"a":"%s"}' % ("x" * 4000000)))
put("1.2M", cm("big", '{"a":"%s"}' % ("x" * 1200000)))
put("deep", "[" * 200000)
put("deepfield", cm("deep", '{"a":' * 20000 + "1" + "}" * 20000))
put("keys", cm("keys", "{%s}" % ",".join('"k%d":"v"' % i for i in range(30000))))
put("twice", cm("twice", '{"a":"1","a":"2"}'))
put("number", cm("n", '{"a":' + "9" * 100000 + "}"))
put("utf8", cm("utf", '{"a":"\udcff\udcfe"}'))
put("bomb.yaml", "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join("%s: &%s [%s]\n" % (chr(98+i), chr(98+i), ",".join(["*" + chr(97+i)] * 9)) for i in range(9)))
PY
answer "4 MB" 413 RequestEntityTooLarge 'Request entity too large: limit is 3145728' POST $CM "@$WORK/4M"
answer "4 MB without a length" 413 RequestEntityTooLarge 'Request entity too large: limit is 3145728' POST $CM "@$WORK/4M" -H 'Transfer-Encoding: chunked'
answer "a ConfigMap of 1.2 MB" 422 Invalid 'ConfigMap "big" is invalid: \[\]: Too long: may not be more than 1048576 bytes' POST $CM "@$WORK/1.2M"
answer "200,000 brackets" 400 BadRequest "*" POST $CM "@$WORK/deep"
answer "20,000 objects in one another" 400 BadRequest "*" POST $CM "@$WORK/deepfield"
answer "a number of 100,000 digits" 400 BadRequest "*" POST $CM "@$WORK/number"
answer "a member twice, strictly" 400 BadRequest '*strict decoding error: duplicate field "data.a"' POST "$CM?fieldValidation=Strict" "@$WORK/twice"
answer "YAML that grows" 400 BadRequest "*" POST $CM "" -H 'Content-Type: application/yaml' --data-binary "@$WORK/bomb.yaml"

code() { curl_ -o "$WORK/answer" -w '%{http_code}' "$@"; }
check "30,000 keys" [ "$(code "$SERVER$CM?dryRun=All" -H 'Content-Type: application/json' --data-binary "@$WORK/keys")" = 201 ]

# --- expressions that would take for ever ---
CRDS=/apis/apiextensions.k8s.io/v1/customresourcedefinitions
python3 - "$WORK" <<'PY'
import json, sys
def put(name, value): json.dump(value, open(sys.argv[1] + "/" + name, "w"))
def crd(schema):
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "foos.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
                     "versions": [{"name": "v1", "served": True, "storage": True,
                                   "schema": {"openAPIV3Schema": {"type": "object", "properties": {"s": schema}}}}]}}
put("crd-repeat", crd({"type": "string", "pattern": "((a{1000}){1000}){1000}"}))
put("crd-evil", crd({"type": "string", "pattern": "^(a+)+$", "maxLength": 100000}))
put("crd-rule", crd({"type": "string", "maxLength": 1000, "x-kubernetes-validations": [{"rule": "(" * 3000 + "true" + ")" * 3000}]}))
put("crd-cost", crd({"type": "array", "maxItems": 1000000, "items": {"type": "string", "maxLength": 1000000},
                     "x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, self.all(z, x + y + z != 'a')))"}]}))
deep = {"type": "string"}
for i in range(400): deep = {"type": "object", "properties": {"p": deep}}
put("crd-deep", crd(deep))
put("foo", {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "f"}, "s": "a" * 99999 + "!"})
PY
answer "a pattern that would fill the memory" 422 Invalid '*invalid repeat count: `{1000}`*' POST "$CRDS?dryRun=All" "@$WORK/crd-repeat"
answer "a rule of 3,000 brackets" 422 Invalid '*' POST "$CRDS?dryRun=All" "@$WORK/crd-rule"
answer "a rule that could run for years" 422 Invalid '*' POST "$CRDS?dryRun=All" "@$WORK/crd-cost"
check "a schema of 400 levels is answered" eval '[[ "$(code "$SERVER$CRDS?dryRun=All" -H "Content-Type: application/json" --data-binary "@$WORK/crd-deep")" =~ ^(201|400|422)$ ]]'
check "an evil pattern is let in" [ "$(code "$SERVER$CRDS" -H 'Content-Type: application/json' --data-binary "@$WORK/crd-evil")" = 201 ]
check "the kind is there" eventually 5 kubectl get foos.example.com
before=$(date +%s%N)
answer "what it is evil to" 422 Invalid '*should match*' POST /apis/example.com/v1/namespaces/default/foos "@$WORK/foo"
took=$((($(date +%s%N) - before) / 1000000))
echo "# judged in $took ms"
check "and it is judged soon" [ $took -lt 3000 ]
check "the definition goes" kubectl delete crd foos.example.com

# --- who and what is not known ---
answer "no credentials" 403 Forbidden 'configmaps is forbidden: User "system:anonymous" cannot list resource "configmaps" in API group "" in the namespace "default"' GET $CM "" --cert "" --key ""
answer "a token that is none" 401 Unauthorized 'Unauthorized' GET $CM "" --cert "" --key "" -H 'Authorization: Bearer a.b.c'
answer "a path that is not there" 404 NotFound 'the server could not find the requested resource' GET /apis/apps/v1/nothings
answer "a method that is not allowed" 405 MethodNotAllowed 'the server does not allow this method on the requested resource' DELETE /api/v1/namespaces
answer "a selector that is none" 400 BadRequest "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt" GET "$CM?labelSelector=bad%21key"
answer "a field that Jobs do not know" 400 BadRequest 'field label "spec.x" not supported for Job' GET "/apis/batch/v1/jobs?fieldSelector=spec.x=a"
answer "a field that slices do not know" 400 BadRequest 'field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: spec.x' GET "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.x=a"
answer "a template generation that is no number" 400 BadRequest 'DaemonSet in version "v1" cannot be handled as a DaemonSet: strconv.ParseInt: parsing "x": invalid syntax' POST /apis/apps/v1/namespaces/default/daemonsets '{"metadata":{"name":"x","annotations":{"deprecated.daemonset.template.generation":"x"}}}'
answer "a token of another account" 422 Invalid 'TokenRequest.authentication.k8s.io "default" is invalid: metadata.name: Invalid value: "other": must match the service account name if specified' POST /api/v1/namespaces/default/serviceaccounts/default/token '{"metadata":{"name":"other"}}'
answer "a path with dots" 404 NotFound '*' GET "/api/v1/namespaces/default/configmaps/%2e%2e%2fsecrets"

# --- no requests at all ---
python3 - "$PORT" "$WORK" >"$WORK/abuse" 2>&1 <<'PY'
import socket, ssl, sys
port, work = int(sys.argv[1]), sys.argv[2]
tls = ssl.create_default_context(cafile=work + "/ca.crt")
tls.load_cert_chain(work + "/client.crt", work + "/client.key")
def send(data, plain=False, want=True):
    s = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        if not plain:
            s = tls.wrap_socket(s, server_hostname="127.0.0.1")
        s.sendall(data)
        return s.recv(200).split(b"\r\n")[0].decode() if want else ""
    except (OSError, ssl.SSLError) as e:
        return "closed"
    finally:
        s.close()
print("no-tls", send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", plain=True))
print("noise", send(bytes(range(256)) * 20))
print("no-version", send(b"GET /\r\n\r\n"))
print("long-line", send(b"GET /" + b"a" * 2000000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"))
print("headers", send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 2000000 + b"\r\n\r\n"))
print("two-lengths", send(b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"))
print("negative", send(b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nabcdef"))
print("huge", send(b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999999999999\r\n\r\n{"))
for i in range(200):  # bodies that never come
    send(b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", want=False)
PY
for case in noise no-version long-line headers two-lengths negative huge; do
        check "no request: $case is refused" grep -qE "^$case (closed|HTTP/1.[01] (400|413|414|431) |$)" "$WORK/abuse"
done

# --- no bigger ---
rss=$(awk '/VmRSS/ { print $2 }' "/proc/$(daemon apiserver)/status")
echo "# the API server's memory: $rss KB"
check "it has not grown" [ "$rss" -lt 102400 ]

# --- ten thousand connections: most never say a word, some stop amid their handshake, some send a body that never
# ends, some ask for megabytes and do not read ---
if ulimit -n 11000 2>/dev/null; then
        python3 - "$PORT" "$WORK" >"$WORK/many" 2>&1 <<'PY' &
import signal, socket, ssl, sys
port, work = int(sys.argv[1]), sys.argv[2]
tls = ssl.create_default_context(cafile=work + "/ca.crt")
tls.load_cert_chain(work + "/client.crt", work + "/client.key")
def open_(say=b"", secure=False):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(20)
    s.connect(("127.0.0.1", port))
    if secure:
        s = tls.wrap_socket(s, server_hostname="127.0.0.1")
    s.sendall(say)
    return s
outgoing = ssl.MemoryBIO()
try:
    tls.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1").do_handshake()
except ssl.SSLWantReadError:
    hello = outgoing.read()
held = [open_(b"GET /openapi/v2 HTTP/1.1\r\nHost: x\r\n\r\n", True) for _ in range(150)]
held += [open_(b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{", True) for _ in range(150)]
held += [open_(hello[:len(hello) // 2]) for _ in range(1000)]
held += [open_() for _ in range(8700)]
print("open", len(held), flush=True)
signal.pause()
PY
        many=$!
        files() { find "/proc/$(daemon apiserver)/fd" | wc -l; }
        check "ten thousand connections" eventually 40 grep -q '^open 10000' "$WORK/many"
        says "others are served meanwhile" ok timeout 5 kubectl get --raw /readyz
        says "others write meanwhile" labeled timeout 5 kubectl label configmap x many=yes
        memory=$(awk '/VmRSS/ { print $2 }' "/proc/$(daemon apiserver)/status")
        echo "# the API server's memory with them: $memory KB, files: $(files)"
        check "they cost less than 20 KB each" [ "$memory" -lt 300000 ]
        kill $many
        few() { [ "$(files)" -lt 200 ]; }
        check "gone, they leave no open file behind" eventually 10 few
else
        echo "# no ten thousand connections: the limit of open files is $(ulimit -Hn)"
fi

# --- well afterwards ---
says "it is ready" ok kubectl get --raw /readyz
check "it never died" [ "$(grep -c ' ready$' "$ROOT/var/log/colibri/apiserver.log")" = 1 ]
says "what was there is there" "a: \"1\"" kubectl get configmap x -o yaml
check "nothing else is" [ "$(kubectl get configmaps -o name | wc -l)" -le 2 ]
