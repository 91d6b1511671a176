# A kubectl's short way: what differs between versions in how they speak to a server (discovery, schemas, patches, apply,
# streams by SPDY or WebSocket), and the end of everything. Sourced by 40-kubectl.sh as kubectl-walk.sh is.
. "$here/e2e/kubectl-try.sh"

try "version" -o "v1.36.2+colibri1" -- version
try "api-resources" -o "deployments" -- api-resources
try "explain" -o "maxUnavailable" -- explain deployment.spec.strategy --recursive
try "create namespace" -o "created" -- create namespace "$NS"
k config set-context --current --namespace="$NS" >/dev/null
until_true 10 k get serviceaccount default

mkdir -p kustom
cat >kustom/app.yaml <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: c, image: "busybox:1", command: [sh, -c, "echo said; mkdir /w; echo page >/w/index.html; exec httpd -f -p 8080 -h /w"]}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {selector: {app: app}, ports: [{port: 80, targetPort: 8080}]}
Y
echo 'resources: [app.yaml]' >kustom/kustomization.yaml
try "kustomize" -o "kind: Deployment" -- kustomize kustom
try "diff (new)" -x "+kind: Deployment" -- diff -k kustom
try "apply" -o "deployment.apps/app created" -- apply -k kustom
try "apply again" -o "deployment.apps/app unchanged" -- apply -k kustom
try "diff (same)" -- diff -k kustom
try "apply --server-side" -o "serverside-applied" -- apply --server-side --force-conflicts -k kustom
try "apply (unknown field)" -x "nonsense" -i '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"nonsense":1}' -- apply -f -
try "rollout status" -o "successfully rolled out" -t 60 -- rollout status deployment/app --timeout=50s
try "scale" -o "scaled" -- scale deployment app --replicas=2
try "patch (strategic)" -o "patched" -- patch deployment app -p '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"b"}]}]}}}}'
try "patch --type=json" -o "patched" -- patch deployment app --type=json -p '[{"op":"replace","path":"/spec/replicas","value":1}]'
try "set image" -o "image updated" -- set image deployment/app c=busybox:2
try "rollout undo" -o "rolled back" -- rollout undo deployment/app
try "rollout status after undo" -o "successfully rolled out" -t 60 -- rollout status deployment/app --timeout=50s
export KUBE_EDITOR="sed -i 's/revisionHistoryLimit: 10/revisionHistoryLimit: 9/'"
try "edit" -o "edited" -- edit deployment app
only() { [ "$(k get pods -l app=app -o name | wc -l)" = 1 ]; }
tryf "get -o name" 0 until_true 30 only
pod=$(k get pods -l app=app -o 'jsonpath={.items[0].metadata.name}')
try "wait" -o "condition met" -- wait --for=condition=Ready "pod/$pod" --timeout=20s
try "get -o wide" -o "1/1" -- get pods -o wide
try "describe" -o "Started" -- describe pod "$pod"
try "logs" -o "said" -- logs "$pod"
try "exec" -o "hi line" -i line -- exec -i "$pod" -- sh -c 'read x; echo hi $x'
copies() { head -c 100000 /dev/urandom >there && k cp there "$pod:/tmp/there" && k cp "$pod:/tmp/there" back && cmp there back; }
tryf "cp" 0 copies
tryf "port-forward" 0 forwards service/app 80
debugs() { k debug "$pod" --image=busybox:1 -c dbg -- sleep 100 && until_true 20 eval "k get pod $pod -o yaml | grep -A 30 ephemeralContainerStatuses | grep -q running"; }
tryf "debug" 25 debugs
run_attached() { k run once --image=busybox:1 --restart=Never -i --rm -- sh -c 'read x; echo got $x' <<<line | grep -q "got line"; }
tryf "run -i --rm" 0 run_attached
try "create token" -s 24 -o "ey" -- create token default
try "auth can-i" -x "no" -- auth can-i create pods --as=mallory
role='{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"r","namespace":"'$NS'"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]}'
try "auth reconcile" -o "reconciled" -i "$role" -- auth reconcile -f -
try "drain" -o "drained" -- drain "$NODE_NAME" --ignore-daemonsets --timeout=25s
try "delete" -o "deleted" -- delete -k kustom --cascade=foreground
try "delete namespace" -o "deleted" -t 60 -- delete namespace "$NS" --timeout=50s
