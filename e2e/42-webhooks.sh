#!/bin/bash
# Admission webhooks over real HTTPS: what they change, refuse and say, in which order; what happens when they do
# not answer; and that nobody else waits for one that hangs.
. "$(dirname "$0")/lib.sh"

# kubectl takes what begins with a brace for JSON.
yaml=$'# YAML\n'

cleanup() { [ -n "${hook:-}" ] && kill "$hook"; }

self_signed() { # NAME SUBJECT-ALTERNATIVES
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
                -addext "subjectAltName=$2" -keyout "$WORK/$1.key" -out "$WORK/$1.crt"
}
check "a certificate" self_signed hook "DNS:hook.default.svc,DNS:localhost,IP:127.0.0.1"
check "another one" self_signed other "DNS:localhost"
python3 "$here/e2e/webhook.py" "$WORK/hook.crt" "$WORK/hook.key" "$WORK/port" "$WORK/log" &
hook=$!
check "the webhook listens" eventually 20 test -s "$WORK/port"
port=$(cat "$WORK/port")
CA=$(base64 -w0 "$WORK/hook.crt")

check "up" cluster up --components=etcd,apiserver

# config KIND NAME {PATH FIELDS}...: a webhook a pair, about ConfigMaps with the label hook=NAME. FIELDS may be "".
config() {
        local kind=$1 name=$2 i=0 to
        shift 2
        {
                echo "$yaml{apiVersion: admissionregistration.k8s.io/v1, kind: ${kind}WebhookConfiguration, metadata: {name: $name}, webhooks: ["
                while [ $# -gt 0 ]; do
                        i=$((i + 1))
                        to="clientConfig: {url: 'https://localhost:$port$1', caBundle: $CA}, "
                        [[ $2 = *clientConfig* ]] && to=
                        [[ $2 = *timeoutSeconds* ]] || to+="timeoutSeconds: 10, "
                        echo "{name: h$i.$name.example.com, admissionReviewVersions: [v1], sideEffects: None," \
                                "objectSelector: {matchLabels: {hook: $name}}, ${to}$2${2:+, }" \
                                "rules: [{operations: ['*'], apiGroups: [''], apiVersions: [v1], resources: [configmaps]}]},"
                        shift 2
                done
                echo "]}"
        } | kubectl apply -f -
}
make() { kubectl create -f - <<<"$yaml{apiVersion: v1, kind: ConfigMap, metadata: {name: $1, labels: {hook: $2}}}"; }
label() { kubectl get configmap "$1" -o "jsonpath={.metadata.labels.$2}"; }
asked() { grep -c "^$1" "$WORK/log"; }
heard() { grep -F -- "$1" "$WORK/log"; }

check "validating" config Validating ok /allow ""
says "it lets in, with a warning" "Warning: looked at a" make a ok
says "it was asked with its time" 1 asked "/allow?timeout=10s localhost:$port "
check "about a version, by somebody" heard '"resource": {"group": "", "version": "v1", "resource": "configmaps"}'
check "the object" heard '"object": {"kind": "ConfigMap", "apiVersion": "v1"'
says "and is asked of deletion" deleted kubectl delete configmap a
check "with the old object" heard '"object": null, "oldObject": {"kind": "ConfigMap"'

check "one that refuses" config Validating never /deny ""
refused "is heard" 'admission webhook "h1.never.example.com" denied the request: not today' make a never
refused "nothing is there" "not found" kubectl get configmap a
check "one without words" config Validating mute /silent ""
refused "has its own text" 'admission webhook "h1.mute.example.com" denied the request without explanation' make a mute
check "objects that it is not about" make elsewhere none
check "two judges" config Validating pair /allow "" /deny ""
refused "one is enough" 'admission webhook "h2.pair.example.com" denied' make a pair

check "mutating" config Mutating change /label/x ""
check "is asked" make changed change
says "and changes" 1 label changed x
check "the first again after the second" config Mutating again /label/x "reinvocationPolicy: IfNeeded" /once "" /label/y ""
check "they are asked" make again again
says "the first twice" 2 label again x
says "the second changed" yes label again once
says "the third once" 1 label again y
check "a patch that fits nothing" config Mutating lost /lost ""
refused "is an error" "Internal error occurred" make a lost

scale_hook() {
        kubectl apply -f - <<END
# YAML
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: scale}, webhooks: [
{name: scale.example.com, admissionReviewVersions: [v1], sideEffects: None,
 rules: [{operations: [UPDATE], apiGroups: [apps], apiVersions: [v1], resources: [deployments/scale]}],
 clientConfig: {url: "https://localhost:$port/replicas", caBundle: $CA}}]}
END
}
check "a webhook of scale" scale_hook
check "a deployment" kubectl create deployment d --image=x
check "scaled to five" kubectl scale deployment d --replicas=5
says "two, as the webhook wants" 2 kubectl get deployment d -o "jsonpath={.spec.replicas}"
check "it saw a Scale" heard '"kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}'

connect_hook() {
        kubectl apply -f - <<END
# YAML
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: connect}, webhooks: [
{name: connect.example.com, admissionReviewVersions: [v1], sideEffects: None,
 rules: [{operations: [CONNECT], apiGroups: [""], apiVersions: [v1], resources: [pods/exec, services/proxy]}],
 clientConfig: {url: "https://localhost:$port/deny", caBundle: $CA}}]}
END
}
check "a webhook of exec" connect_hook
refused "is asked" 'admission webhook "connect.example.com" denied the request: not today' \
        kubectl create --raw "/api/v1/namespaces/default/pods/p/exec?command=ls&command=-l&tty=1" -f /dev/null
check "and knows what is to be run" heard '{"kind": "PodExecOptions", "apiVersion": "v1", "tty": true, "command": ["ls", "-l"]}'
refused "of a proxy too" 'denied the request: not today' kubectl get --raw /api/v1/namespaces/default/services/s/proxy/x
check "and where to" heard '"path": "/x"'
refused "attach is another matter" 'pods "p" not found' kubectl create --raw "/api/v1/namespaces/default/pods/p/attach" -f /dev/null

check "conditions" config Validating some /deny "matchConditions: [{name: a, expression: \"object.metadata.name == 'bad'\"}]"
check "one that does not hold" make good some
refused "one that holds" 'denied the request: not today' make bad some
check "a condition that fails" config Validating err /allow "matchConditions: [{name: a, expression: \"object.data.x == 'y'\"}]"
refused "is a refusal" "resulted in error: no such key: data" make a err

check "a refused connection" config Validating dead /x "clientConfig: {url: 'https://127.0.0.1:1/x', caBundle: $CA}"
refused "is an error" \
        'failed calling webhook "h1.dead.example.com": failed to call webhook: Post "https://127.0.0.1:1/x?timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused' \
        make a dead
check "or ignored" config Validating dead /x "clientConfig: {url: 'https://127.0.0.1:1/x', caBundle: $CA}, failurePolicy: Ignore"
check "if that is wanted" make ignored dead
check "a certificate of somebody else" config Validating foreign /allow \
        "clientConfig: {url: 'https://localhost:$port/allow', caBundle: $(base64 -w0 "$WORK/other.crt")}"
refused "is not trusted" "tls: failed to verify certificate: x509: certificate signed by unknown authority" make a foreign
check "an error of the server" config Validating broken /broken ""
refused "is told" 'an error on the server ("no such luck") has prevented the request from succeeding' make a broken
check "an answer to another question" config Validating other /other-uid ""
refused "is invalid" 'received invalid webhook response: expected response.uid=' make a other

check "a webhook that hangs" config Validating hang /hang "timeoutSeconds: 8"
hanging() {
        refused "its request ends with its time" '/hang?timeout=8s": context deadline exceeded' make a hang
        touch "$WORK/timed-out"
}
others() { make free none && [ ! -e "$WORK/timed-out" ]; }
hanging > "$WORK/hanging" 2>&1 &
waiter=$!
check "it was asked" eventually 10 heard /hang
check "nobody else waits for it" others
wait $waiter
cat "$WORK/hanging"
check "and in time" grep -q "^ok" "$WORK/hanging"

# Services are their cluster IP: here an address of this machine.
address=${SERVICES%.0.0/16}.0.77
ip addr add "$address/32" dev lo 2>/dev/null
check "of a Service" config Validating svc /x \
        "clientConfig: {service: {name: hook, namespace: default, path: /deny, port: $port}, caBundle: $CA}"
refused "that is missing" "Post \"https://hook.default.svc:$port/deny?timeout=10s\": service \"hook\" not found" make a svc
check "the Service" kubectl create -f - \
        <<<"$yaml{apiVersion: v1, kind: Service, metadata: {name: hook}, spec: {clusterIP: $address, ports: [{port: $port}]}}"
refused "is asked by its name" 'admission webhook "h1.svc.example.com" denied the request: not today' make a svc
says "which the server sees" 1 asked "/deny?timeout=10s hook.default.svc:$port "
[ "$IN_NAMESPACE" = inside ] || ip addr del "$address/32" dev lo 2>/dev/null

# Conversion of custom resources: stored as v1, asked for in both.
crd() { # PATH
        kubectl apply -f - <<<"$yaml{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: ends.example.com}, spec: {
                group: example.com, scope: Namespaced, names: {plural: ends, singular: end, kind: End, listKind: EndList},
                conversion: {strategy: Webhook, webhook: {conversionReviewVersions: [v1], clientConfig: {url: 'https://localhost:$port$1', caBundle: $CA}}},
                versions: [
                  {name: v1beta1, served: true, storage: false, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {host: {type: string}, port: {type: string}}}}}}},
                  {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {hostPort: {type: string}}}}}}}]}}"
}
end() { kubectl apply -f - <<<"$yaml{apiVersion: example.com/$1, kind: End, metadata: {name: $2}, spec: {$3}}"; }
spec() { kubectl get "ends.$1.example.com" "$2" -o 'jsonpath={.spec}'; }
check "a definition with a conversion webhook" crd /convert
check "is served" kubectl wait --for=condition=Established crd/ends.example.com --timeout=20s
check "an object of the old version" end v1beta1 old 'host: a, port: "1"'
says "is read as it was written" '{"host":"a","port":"1"}' spec v1beta1 old
says "and converted" '{"hostPort":"a:1"}' spec v1 old
check "one of the new version" end v1 new 'hostPort: "b:2"'
says "is converted, too" '{"host":"b","port":"2"}' spec v1beta1 new
says "so are lists" 'b a' kubectl get ends.v1beta1.example.com -o 'jsonpath={.items[*].spec.host}'
check "a patch in the old version" kubectl patch ends.v1beta1.example.com new --type merge -p '{"spec":{"port":"3"}}'
says "is one of the new, too" '{"hostPort":"b:3"}' spec v1 new
watched() {
        kubectl get --raw "/apis/example.com/v1beta1/namespaces/default/ends?watch=1&timeoutSeconds=3" > "$WORK/watched" &
        sleep 1
        end v1 seen 'hostPort: "d:5"' && end v1 seen 'hostPort: "d:6"'
        wait $!
        grep -o '"type":"[A-Z]*"\|"host":"[a-z]*"\|"port":"[0-9]*"' "$WORK/watched" | tr -d '\n'
}
says "watchers get their version, in order" '"type":"ADDED""host":"d""port":"5""type":"MODIFIED""host":"d""port":"6"' watched
check "the webhook was told what is wanted" heard '"desiredAPIVersion": "example.com/v1"'
# matchPolicy Equivalent: a policy sees objects in the version that its rules name.
policy() { # NAME GROUP VERSION RESOURCE EXPRESSION
        kubectl create -f - <<<"$yaml{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: $1}, spec: {
                matchConstraints: {resourceRules: [{apiGroups: [$2], apiVersions: [$3], operations: [CREATE, UPDATE], resources: [$4]}]},
                validations: [{expression: '$5', messageExpression: 'object.apiVersion + \" asked as \" + request.requestKind.version'}]}}" &&
                kubectl create -f - <<<"$yaml{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: $1},
                spec: {policyName: $1, validationActions: [Deny]}}"
}
autoscaler() {
        kubectl create -f - <<<"$yaml{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {name: $1}, spec: {maxReplicas: 3,
                scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}, targetCPUUtilizationPercentage: $2}}"
}
check "a policy about version 2" policy hpa autoscaling v2 horizontalpodautoscalers 'object.spec.metrics[0].resource.target.averageUtilization < 90'
refused "judges version 1" "denied request: autoscaling/v2 asked as v1" autoscaler busy 95
check "by what it would be" autoscaler calm 50
check "a policy about the new version" policy ends example.com v1 ends '!object.spec.hostPort.startsWith("bad:")'
refused "has the old one converted" "denied request: example.com/v1 asked as v1beta1" end v1beta1 bad 'host: bad, port: "1"'
check "and lets in what is well" end v1beta1 fine 'host: fine, port: "1"'
check "no policies" kubectl delete validatingadmissionpolicy hpa ends

check "a webhook that refuses" crd /convert-refuse
refused "its words are heard" 'conversion webhook for example.com/v1beta1, Kind=End failed: not that one' end v1beta1 third 'host: c'
check "one that is broken" crd /convert-broken
refused "fails" 'conversion webhook for example.com/v1beta1, Kind=End failed: an error on the server ("no such luck") has prevented the request from succeeding' end v1beta1 third 'host: c'
check "one that renames" crd /convert-rename
refused "may not" 'returned invalid object: must have the same name: third != other' end v1beta1 third 'host: c'
check "one that loses objects" crd /convert-lose
refused "is found out" 'conversion webhook for example.com/v1beta1, Kind=End returned 0 objects, expected 1' end v1beta1 third 'host: c'
check "who needs none is not troubled" end v1 third 'hostPort: "c:4"'
