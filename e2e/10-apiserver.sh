#!/bin/bash
# The API server on a real etcd, through kubectl: what users do to objects, what they are told when they
# are wrong, and what is left after etcd and the server were killed.
. "$(dirname "$0")/lib.sh"

check "up" cluster up --components=etcd,apiserver
says "version" "v1.36.2+colibri1" kubectl version
says "namespaces of a new cluster" kube-system kubectl get namespaces
says "api-resources" "deployments" kubectl api-resources

says "what it is" "apiserver statusz" kubectl get --raw /statusz
says "with which flags" "secure-port=$PORT" kubectl get --raw /flagz
says "a check by its name" ok kubectl get --raw /readyz/poststarthook/rbac/bootstrap-roles
says "all of them" "[+]poststarthook/start-apiextensions-controllers ok" kubectl get --raw '/livez?verbose'
says "escapes in a path that names no resource" '"kind":"APIResourceList"' kubectl get --raw /%61pi/v1

check "create" kubectl create configmap x --from-literal=a=b
says "get -o yaml" "a: b" kubectl get configmap x -o yaml
refused "create again" 'configmaps "x" already exists' kubectl create configmap x --from-literal=a=b
refused "what is not there" 'configmaps "y" not found' kubectl get configmap y
says "label" labeled kubectl label configmap x k=v
says "selector" x kubectl get configmaps -l k=v -o name
says "apply" created kubectl apply -f "$here/manifests/hello/hello.yaml"
says "apply again" unchanged kubectl apply -f "$here/manifests/hello/hello.yaml"
says "merge patch" patched kubectl patch deployment hello --type=merge -p '{"spec":{"replicas":3}}'
says "the patch is there" 3 kubectl get deployment hello -o 'jsonpath={.spec.replicas}'
says "scale" scaled kubectl scale deployment hello --replicas=1
says "server-side apply" serverside-applied kubectl apply --server-side --force-conflicts -f "$here/manifests/hello/hello.yaml"
says "explain" "replicas" kubectl explain deployment.spec
says "auth can-i" yes kubectl auth can-i create pods
refused "somebody without rights" 'cannot list resource "pods"' kubectl get pods --as=mallory
refused "a name out of rule" 'a lowercase RFC 1123 subdomain' kubectl create configmap Bad_Name
refused "malformed JSON" "unexpected end of JSON input" kubectl create --raw /api/v1/namespaces/default/configmaps -f - <<<'{"kind":'

# Applied by the server, twice: what changes nothing is not written, and has no new version, generation or manager.
kubectl create serviceaccount default >/dev/null
apply_all() {
        kubectl apply --server-side --force-conflicts -f "$here/e2e/manifests/desktop/users.yaml" -f "$here/e2e/manifests/recommender/user.yaml" &&
                kubectl apply --server-side --force-conflicts -R -f "$here/e2e/manifests/guestbook" -f "$here/e2e/manifests/voting" \
                        -f "$here/e2e/manifests/api" -f "$here/e2e/manifests/recommender/k8s" -f "$here/manifests/hello/hello.yaml"
}
state() {
        kubectl get namespaces,resourcequotas,limitranges,persistentvolumes,persistentvolumeclaims,deployments,services,configmaps,secrets,roles,rolebindings \
                -A --show-managed-fields -o 'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion} {.metadata.generation} {.metadata.managedFields}{"\n"}{end}'
}
check "apply --server-side of many" apply_all
check "and once more" apply_all
state >"$WORK/before"
check "twice is enough" apply_all
state >"$WORK/after"
check "a write that changes nothing is none" cmp "$WORK/before" "$WORK/after"
many() { [ "$(grep -c f: "$WORK/after")" -ge 30 ]; }
check "of many objects" many

writes=0
for i in $(seq 20); do
        [ "$i" = 7 ] && kill -KILL "$(daemon apiserver)"
        [ "$i" = 14 ] && kill -KILL "$(daemon etcd)"
        eventually 15 kubectl create configmap "kept-$i" --from-literal=i="$i" && writes=$((writes + 1))
done
kept() { [ "$(kubectl get configmaps -o name | grep -c kept-)" = "$writes" ]; }
check "every acknowledged write is there after both were killed" eventually 15 kept

# Long lists are made while they are sent; in protobuf once the sizes of their items are known, from the first list of them.
for part in crt:.users[0].user.client-certificate-data key:.users[0].user.client-key-data; do
        kubectl config view --raw -o "jsonpath={${part#*:}}" | base64 -d >"$WORK/admin.${part%%:*}"
done
list() { # FILE ACCEPT
        curl -sk -A test -D "$WORK/head" --cert "$WORK/admin.crt" --key "$WORK/admin.key" -H "Accept: $2" -o "$WORK/$1" \
                "https://127.0.0.1:$PORT/api/v1/namespaces/default/configmaps"
}
long() {
        local text
        text=$(printf '%08000d' 0)
        for i in $(seq 40); do
                printf '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"long-%d","annotations":{"a":"%s"}},"data":{"b":"%s"}}\n' "$i" "$text" "$text"
        done | kubectl create -f -
}
check "long objects" long
protobuf=application/vnd.kubernetes.protobuf
first() { list first "$protobuf" && grep -qi '^content-length: ' "$WORK/head" && [ "$(stat -c %s "$WORK/first")" -gt 640000 ]; }
again() { list again "$protobuf" && grep -qi '^transfer-encoding: chunked' "$WORK/head" && cmp "$WORK/first" "$WORK/again" || ! list first "$protobuf"; }
check "a long list in protobuf" first
check "the same while it is made" eventually 5 again # the list may have got another resourceVersion
rows() { list table 'application/json;as=Table;g=meta.k8s.io;v=v1' && grep -qi '^transfer-encoding: chunked' "$WORK/head" && jq -e '[.rows[].cells[0]] | length >= 40 and (unique | length) == length' "$WORK/table"; }
check "a long Table while it is made" rows

echo '{"kind":"ListOptions","apiVersion":"rbac.authorization.k8s.io/v1"}' >"$WORK/options.json"
refused "kinds of the machinery are known, and no roles" "converting (v1.ListOptions) to (rbac.Role): unknown conversion" \
        kubectl create --raw /apis/rbac.authorization.k8s.io/v1/namespaces/default/roles -f "$WORK/options.json"

check "delete" kubectl delete configmap x
refused "it is gone" "not found" kubectl get configmap x
check "down" cluster down
check "reset" cluster reset
