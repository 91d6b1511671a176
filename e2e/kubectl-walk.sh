# One kubectl's way through its commands; sourced by 40-kubectl.sh with
#
#     K            the binary          MINOR      27, for 1.27
#     DIR          a folder, current   NODE_NAME  a pretending node of its own
. "$here/e2e/kubectl-try.sh"

# --- what it connects to ---
try "version" -o "v1.36.2+colibri1" -- version
try "version -o json" -o '"serverVersion"' -- version -o json
try "cluster-info" -o "is running at" -- cluster-info
try "api-versions" -o "apps/v1" -- api-versions
try "api-resources" -o "deployments" -- api-resources
try "api-resources -o wide" -o "deletecollection" -- api-resources -o wide
try "api-resources --verbs" -o "pods" -- api-resources --verbs=list,get --namespaced=true -o name
try "api-resources --api-group" -o "cronjobs" -- api-resources --api-group=batch
try "explain" -o "containers" -- explain pod.spec
try "explain a field" -o "image" -- explain pod.spec.containers.image
try "explain --recursive" -o "maxUnavailable" -- explain deployment --recursive
try "explain --api-version" -o "schedule" -- explain cronjob.spec --api-version=batch/v1
try "config view" -o "server: https://" -- config view
try "get --raw" -o "ok" -- get --raw /readyz

# --- namespaces and generators ---
try "create namespace" -o "created" -- create namespace "$NS"
try "config set-context" -o "modified" -- config set-context --current --namespace="$NS"
until_true 10 k get serviceaccount default
echo text >file
printf 'A=b\nC=d\n' >env
try "create configmap" -o "created" -- create configmap cm --from-literal=a=b --from-file=file
try "create configmap --from-env-file" -o "created" -- create configmap env --from-env-file=env
try "create secret generic" -o "created" -- create secret generic s --from-literal=a=b
try "create secret docker-registry" -o "created" -- create secret docker-registry reg --docker-username=u --docker-password=p --docker-server=r
if openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out crt -subj /CN=x -days 2 >/dev/null 2>&1; then
        try "create secret tls" -o "created" -- create secret tls tls --cert=crt --key=key
fi
try "create serviceaccount" -o "created" -- create serviceaccount sa
try "create token" -s 24 -o "ey" -- create token sa
try "create token --duration --audience" -s 24 -o "ey" -- create token sa --duration=20m --audience=x
try "create role" -o "created" -- create role r --verb=get,list --resource=pods,deployments.apps --resource=pods/log
try "create rolebinding" -o "created" -- create rolebinding rb --role=r --serviceaccount="$NS:sa"
try "create clusterrole" -o "created" -- create clusterrole "$NS" --verb=get --resource=nodes
try "create clusterrole --aggregation-rule" -o "created" -- create clusterrole "$NS-agg" --aggregation-rule=x=y
try "create clusterrolebinding" -o "created" -- create clusterrolebinding "$NS" --clusterrole="$NS" --user=jane
try "create quota" -o "created" -- create quota q --hard=configmaps=50,services.nodeports=20
try "create poddisruptionbudget" -s 21 -o "created" -- create poddisruptionbudget pdb --selector=app=none --min-available=1
try "create priorityclass" -o "created" -- create priorityclass "$NS" --value=10 --description=x
try "create deployment" -o "created" -- create deployment d --image=busybox:1 --replicas=2 -- sh -c 'echo started; sleep 1000'
try "create job" -o "created" -- create job j --image=busybox:1 -- echo done
# policy/v1 and batch/v1 of these came with 1.21
try "create cronjob" -s 21 -o "created" -- create cronjob cj --image=busybox:1 --schedule='0 0 1 1 *' -- echo done
try "create job --from" -s 21 -o "created" -- create job jj --from=cronjob/cj
try "create service clusterip" -o "created" -- create service clusterip sc --tcp=80:8080
try "create service nodeport" -o "created" -- create service nodeport sn --tcp=80:8080
try "create service externalname" -o "created" -- create service externalname se --external-name=example.com
try "create service loadbalancer" -o "created" -- create service loadbalancer sl --tcp=80:8080
try "create ingress" -o "created" -- create ingress i --rule='a.example/b*=sc:80' --default-backend=sc:80
try "create --dry-run=client" -o "kind: Deployment" -- create deployment x --image=x --dry-run=client -o yaml
try "create --dry-run=server" -o "server dry run" -- create deployment x --image=x --dry-run=server
try "create again" -x 'configmaps "cm" already exists' -- create configmap cm

cat >pods.yaml <<'Y'
apiVersion: v1
kind: Pod
metadata: {name: two, labels: {app: two}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: a, image: busybox:1, command: [sh, -c, 'echo from a; mkdir -p /w; echo page > /w/index.html; exec httpd -f -p 8080 -h /w'], ports: [{containerPort: 8080}]}
  - {name: b, image: busybox:1, command: [sh, -c, 'i=0; while :; do echo from b $i; i=$((i+1)); sleep 0.2; done']}
---
apiVersion: v1
kind: Pod
metadata: {name: crashes}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: busybox:1, command: [sh, -c, 'echo attempt; test -e /d/again && sleep 1000; touch /d/again; exit 1'], volumeMounts: [{name: d, mountPath: /d}]}
  volumes: [{name: d, emptyDir: {}}]
Y
try "create -f" -o "pod/two created" -- create -f pods.yaml
try "create -f -" -o "created" -i '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"stdin"}}' -- create -f -
try "run" -o "created" -- run p --image=busybox:1 --restart=Never --labels=app=p -- sh -c 'echo hello; sleep 1000'
try "run --expose" -o "service/pe created" -- run pe --image=busybox:1 --port=80 --expose -- sleep 1000
try "run --dry-run --overrides" -o "hostNetwork" -- run x --image=x --dry-run=client -o yaml --overrides='{"spec":{"hostNetwork":true}}'

# --- apply ---
cat >app.yaml <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, labels: {app: app}}
spec:
  replicas: 2
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: 'busybox:1', command: [sleep, '1000']}]
---
apiVersion: v1
kind: Service
metadata: {name: app, labels: {app: app}}
spec: {selector: {app: app}, ports: [{port: 80, targetPort: 8080}]}
Y
sed 's/1000/1001/' app.yaml >changed.yaml
mkdir -p kustom
cp app.yaml kustom/app.yaml
printf 'resources: [app.yaml]\nnamePrefix: kus-\ncommonLabels: {via: kustomize}\nconfigMapGenerator: [{name: g, literals: [a=b]}]\n' >kustom/kustomization.yaml
try "diff (new)" -x "+kind: Deployment" -- diff -f app.yaml
try "apply -f" -o "deployment.apps/app created" -- apply -f app.yaml
try "apply again" -o "deployment.apps/app unchanged" -- apply -f app.yaml
try "diff (same)" -- diff -f app.yaml
try "diff (changed)" -x "1001" -- diff -f changed.yaml
try "apply changed" -o "deployment.apps/app configured" -- apply -f changed.yaml
try "apply --dry-run=server" -o "server dry run" -- apply -f app.yaml --dry-run=server
try "apply view-last-applied" -o "1001" -- apply view-last-applied deployment/app
try "apply set-last-applied" -o "configured" -- apply set-last-applied -f app.yaml
sed '1,/^---/d; s/8080/8081/' app.yaml >service.yaml
try "apply --server-side (conflict)" -x "conflict" -- apply --server-side --field-manager=other -f service.yaml
try "apply --server-side --force" -o "serverside-applied" -- apply --server-side --force-conflicts --field-manager=other -f service.yaml
try "apply --server-side" -o "serverside-applied" -- apply --server-side -f app.yaml --force-conflicts
try "apply -k" -o "deployment.apps/kus-app created" -- apply -k kustom
try "apply -k again" -o "deployment.apps/kus-app unchanged" -- apply -k kustom
try "kustomize" -o "kus-app" -- kustomize kustom
# --prune-whitelist became --prune-allowlist in 1.26
prune_flag=--prune-allowlist=core/v1/Service
[ "$MINOR" -lt 26 ] && prune_flag=--prune-whitelist=core/v1/Service
k kustomize kustom 2>/dev/null | awk '/^---/ { doc = ""; next } { doc = doc $0 "\n" } END { printf "%s", doc }' >kus.yaml # the Deployment is its last
try "apply --prune" -o "service/kus-app pruned" -- apply --prune -l via=kustomize $prune_flag -f kus.yaml

# --- rollouts ---
try "rollout status" -o "successfully rolled out" -t 60 -- rollout status deployment/app --timeout=50s
try "set image" -o "image updated" -- set image deployment/app c=busybox:2
# 1.27 says "annotate" where others say "annotated"
try "annotate change-cause" -o "annotate" -- annotate deployment/app kubernetes.io/change-cause=second
try "rollout status after set image" -o "successfully rolled out" -t 60 -- rollout status deployment/app --timeout=50s
try "rollout history" -o "second" -- rollout history deployment/app
try "rollout history --revision" -o "busybox" -- rollout history deployment/app --revision=2
try "rollout undo" -o "rolled back" -- rollout undo deployment/app
try "rollout pause" -o "paused" -- rollout pause deployment/app
try "rollout resume" -o "resumed" -- rollout resume deployment/app
try "rollout restart" -o "restarted" -- rollout restart deployment/app
try "rollout status after restart" -o "successfully rolled out" -t 60 -- rollout status deployment/app --timeout=50s
try "scale" -o "scaled" -- scale deployment/app --replicas=3
try "scale --current-replicas" -x "Expected replicas to be 7" -- scale deployment/app --current-replicas=7 --replicas=1
try "autoscale" -o "autoscaled" -- autoscale deployment app --min=1 --max=3 --cpu-percent=80
try "set env" -o "env updated" -- set env deployment/d A=b
try "set env --list" -o "A=b" -- set env deployment/d --list
try "set env --from" -o "env updated" -- set env deployment/d --from=configmap/env
try "set resources" -o "resource requirements updated" -- set resources deployment/d --requests=cpu=10m
try "set serviceaccount" -o "serviceaccount updated" -- set serviceaccount deployment/d sa
try "set selector" -o "selector updated" -- set selector service/sc app=d
try "set subject" -o "subjects updated" -- set subject rolebinding rb --user=joe
try "expose" -o "exposed" -- expose deployment d --port=80 --target-port=8080

# --- changes ---
try "label" -o "labeled" -- label pod p tier=one
try "label --overwrite" -o "labeled" -- label pod p tier=two --overwrite
try "label twice" -x "already has a value" -- label pod p tier=three
try "label (remove)" -- label pod p tier-
try "annotate" -o "annotate" -- annotate pod p note=x
try "annotate --all" -o "annotate" -- annotate configmaps --all note=x
try "patch (strategic)" -o "patched" -- patch deployment d -p '{"spec":{"template":{"spec":{"containers":[{"name":"busybox","env":[{"name":"X","value":"y"}]}]}}}}'
try "patch --type=merge" -o "patched" -- patch configmap cm --type=merge -p '{"data":{"a":"c"}}'
try "patch --type=json" -o "patched" -- patch configmap cm --type=json -p '[{"op":"replace","path":"/data/a","value":"d"}]'
try "patch --subresource" -s 24 -o "patched" -- patch deployment d --subresource=scale --type=merge -p '{"spec":{"replicas":1}}'
try "patch (refused)" -x "is invalid" -- patch deployment d --type=merge -p '{"spec":{"replicas":-1}}'
k get configmap cm -o yaml | sed 's/a: d/a: e/' >cm.yaml
try "replace" -o "replaced" -- replace -f cm.yaml
try "replace (stale)" -x "the object has been modified" -- replace -f cm.yaml
try "replace --force" -o "replaced" -- replace --force -f kus.yaml
export KUBE_EDITOR="sed -i 's/note: x/note: edited/'"
try "edit" -o "edited" -- edit configmap cm
try "edit (no change)" -o "no changes" -- edit configmap cm
export KUBE_EDITOR="sed -i s/1000/1002/"
try "edit -f" -o "edited" -- edit -f app.yaml
export KUBE_EDITOR="sed -i s/100[0-9]/1003/"
try "apply edit-last-applied" -o "edited" -- apply edit-last-applied deployment/app
k get deployment app -o yaml >app-now.yaml

# --- get ---
try "get" -o "two" -- get pods
try "get -o wide" -o "NOMINATED NODE" -- get pods -o wide
try "get -o yaml" -o "kind: Pod" -- get pod p -o yaml
try "get -o json" -o '"kind": "List"' -- get pods -o json
try "get -o name" -o "pod/two" -- get pods -o name
try "get -o jsonpath" -o "two" -- get pods -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'
try "get -o jsonpath (filter)" -o "Ready" -- get pod two -o 'jsonpath={.status.conditions[?(@.type=="Ready")].type}'
try "get -o custom-columns" -o "NAME" -- get pods -o custom-columns=NAME:.metadata.name,PHASE:.status.phase
try "get -o go-template" -o "two" -- get pods -o 'go-template={{range .items}}{{.metadata.name}} {{end}}'
try "get -A" -o "$NS" -- get pods -A
try "get --sort-by" -o "two" -- get pods --sort-by=.metadata.creationTimestamp
try "get -l" -o "two" -- get pods -l 'app in (two),app'
try "get --field-selector" -o "two" -- get pods --field-selector=metadata.name=two,status.phase!=Failed
try "get --field-selector (refused)" -x "field label not supported" -- get pods --field-selector=spec.foo=x
try "get --show-labels" -o "app=two" -- get pods --show-labels
try "get -L" -o "APP" -- get pods -L app
try "get --show-managed-fields" -s 21 -o "managedFields" -- get pod p -o yaml --show-managed-fields
try "get all" -o "deployment.apps/app" -- get all
try "get several kinds" -o "configmap/cm" -- get pods,configmaps,services
try "get kind/name" -o "configmap/cm" -- get pod/p configmap/cm
try "get -f" -o "deployment.apps/app" -- get -f app.yaml
try "get -k" -o "kus-app" -- get -k kustom --ignore-not-found
try "get --chunk-size" -o "two" -- get pods --chunk-size=1
try "get --no-headers" -o "two" -- get pods --no-headers
try "get --server-print=false" -o "two" -- get pods --server-print=false
try "get --subresource" -s 24 -o "status:" -- get deployment d --subresource=status -o yaml
try "get (absent)" -x 'pods "nobody" not found' -- get pod nobody
try "get --ignore-not-found" -- get pod nobody --ignore-not-found
try "get (no such kind)" -x "the server doesn't have a resource type" -- get nonsense
try "get short names" -o "sa" -- get cm,sa,svc,deploy,rs,cj,ing,quota,pdb,hpa
try "get nodes -o wide" -o "CONTAINER-RUNTIME" -- get nodes -o wide
try "get events" -o "Scheduled" -- get events
try "get events --sort-by" -o "Scheduled" -- get events --sort-by=.lastTimestamp --field-selector=reason=Scheduled
try "events" -s 26 -o "Scheduled" -- events
try "events --for" -s 26 -o "Pulled" -- events --for=pod/two --types=Normal
watches() { # prints what is there, then what changes
        timeout 30 "$K" get configmaps -w >watched &
        local pid=$!
        until_true 10 grep -q cm watched
        k create configmap watched-one >/dev/null
        until_true 10 grep -q watched-one watched
        local code=$?
        kill $pid
        return $code
}
tryf "get -w" 0 watches
watches_only() {
        timeout 30 "$K" get configmaps --watch-only --output-watch-events >events &
        local pid=$!
        # Nothing tells when the watch is there: something changes until it is seen.
        until_true 15 eval 'k label configmap watched-one n=$RANDOM --overwrite >/dev/null; grep -q MODIFIED events'
        k delete configmap watched-one >/dev/null
        until_true 10 grep -q 'DELETED.*watched-one' events
        local code=$?
        kill $pid
        return $code
}
tryf "get --watch-only --output-watch-events" 0 watches_only

# --- describe ---
k apply -f - >/dev/null <<Y
{"kind":"List","apiVersion":"v1","items":[
 {"kind":"LimitRange","apiVersion":"v1","metadata":{"name":"lr"},"spec":{"limits":[{"type":"PersistentVolumeClaim","max":{"storage":"1Gi"}}]}},
 {"kind":"PersistentVolumeClaim","apiVersion":"v1","metadata":{"name":"pvc"},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"none","resources":{"requests":{"storage":"1Mi"}}}},
 {"kind":"PersistentVolume","apiVersion":"v1","metadata":{"name":"$NS-pv"},"spec":{"capacity":{"storage":"1Mi"},"accessModes":["ReadWriteMany"],"storageClassName":"other","hostPath":{"path":"/tmp/none"}}},
 {"kind":"StorageClass","apiVersion":"storage.k8s.io/v1","metadata":{"name":"$NS-sc"},"provisioner":"x.example/y"},
 {"kind":"NetworkPolicy","apiVersion":"networking.k8s.io/v1","metadata":{"name":"np"},"spec":{"podSelector":{"matchLabels":{"a":"b"}},"ingress":[{"ports":[{"port":80}]}]}},
 {"kind":"StatefulSet","apiVersion":"apps/v1","metadata":{"name":"sts"},"spec":{"replicas":0,"serviceName":"x","selector":{"matchLabels":{"a":"sts"}},"template":{"metadata":{"labels":{"a":"sts"}},"spec":{"containers":[{"name":"c","image":"busybox:1"}]}}}},
 {"kind":"DaemonSet","apiVersion":"apps/v1","metadata":{"name":"ds"},"spec":{"selector":{"matchLabels":{"a":"ds"}},"template":{"metadata":{"labels":{"a":"ds"}},"spec":{"nodeSelector":{"no":"where"},"containers":[{"name":"c","image":"busybox:1"}]}}}},
 {"kind":"ReplicationController","apiVersion":"v1","metadata":{"name":"rc"},"spec":{"replicas":0,"selector":{"a":"rc"},"template":{"metadata":{"labels":{"a":"rc"}},"spec":{"containers":[{"name":"c","image":"busybox:1"}]}}}},
 {"kind":"IngressClass","apiVersion":"networking.k8s.io/v1","metadata":{"name":"$NS-ic"},"spec":{"controller":"x.example/y"}}]}
Y
ready pod/two
for what in pod/two pod/crashes deployment/app replicaset service/app endpoints/app endpointslice node/"$NODE_NAME" nodes namespace/"$NS" \
        configmap/cm secret/s serviceaccount/sa role/r rolebinding/rb clusterrole/view clusterrolebinding/cluster-admin job/j \
        cronjob/cj ingress/i resourcequota/q limitrange/lr poddisruptionbudget/pdb priorityclass/system-node-critical pvc/pvc \
        "pv/$NS-pv" "storageclass/$NS-sc" networkpolicy/np hpa/app statefulset/sts daemonset/ds replicationcontroller/rc \
        "ingressclass/$NS-ic" events; do
        since=0
        # policy/v1, autoscaling/v2 and discovery.k8s.io/v1 came with 1.21 to 1.23; the older describers ask for v1beta1 only
        case $what in poddisruptionbudget/*) since=21 ;; endpointslice) since=21 ;; cronjob/*) since=21 ;; esac
        name=${what%%/*}
        [ "$what" = pod/crashes ] && name="pod (restarted)"
        try "describe $name" -s $since -o "Name" -- describe $what
done
try "describe pod shows events" -o "Scheduled" -- describe pod two
try "describe -l" -o "from a" -- describe pods -l app=two
try "describe (absent)" -x "not found" -- describe pod nobody

# --- waiting ---
try "wait --for=condition" -o "condition met" -- wait --for=condition=Ready pod/two --timeout=25s
try "wait --for=condition (job)" -o "condition met" -- wait --for=condition=complete job/j --timeout=25s
try "wait --for=jsonpath" -s 23 -o "condition met" -- wait '--for=jsonpath={.status.phase}=Running' pod/two --timeout=25s
try "wait --for=create" -s 31 -o "condition met" -- wait --for=create pod/two --timeout=5s
try "wait (times out)" -x "timed out" -- wait --for=condition=Nonsense pod/two --timeout=1s

# --- logs ---
ready pod/p
try "logs" -o "hello" -- logs p
try "logs -c" -o "from b" -- logs two -c b
try "logs --tail" -o "from b" -- logs two -c b --tail=1
tail_lines() { [ "$(k logs two -c b --tail=2 | wc -l)" = 2 ]; }
tryf "logs --tail counts" 0 tail_lines
try "logs --since" -o "from b" -- logs two -c b --since=5s
try "logs --timestamps" -o "Z from a" -- logs two -c a --timestamps
try "logs --limit-bytes" -o "from" -- logs two -c b --limit-bytes=5
try "logs -l" -o "from a" -- logs -l app=two -c a
try "logs --all-containers --prefix" -o "[pod/two/b]" -- logs two --all-containers --prefix
try "logs deployment/" -o "started" -- logs deployment/d
try "logs job/" -o "done" -- logs job/j
try "logs (no such container)" -x "container zz is not valid for pod two" -- logs two -c zz
try "logs (absent)" -x 'pods "nobody" not found' -- logs nobody
follows() { # -f goes on by itself
        timeout 20 "$K" logs -f two -c b --tail=1 >followed &
        local pid=$!
        until_true 15 eval '[ "$(wc -l <followed)" -gt 3 ]'
        local code=$?
        kill $pid
        return $code
}
tryf "logs -f" 0 follows
until_true 20 field pod/crashes '{.status.containerStatuses[0].restartCount}' 1
try "logs --previous" -o "attempt" -- logs crashes --previous
try "logs --previous (none)" -x "previous terminated container" -- logs p --previous
try "logs -f (ends with the container)" -o "done" -- logs -f job/j

# --- exec and its kin ---
try "exec" -o "root" -- exec p -- cat /etc/passwd
exit_code() { k exec p -- sh -c "exit $1"; [ $? = "$1" ]; }
tryf "exec (exit code)" 0 exit_code 7
stdin() { [ "$(printf 'in and out' | k exec -i p -- cat)" = "in and out" ]; }
tryf "exec -i" 0 stdin
streams() { k exec p -- sh -c 'echo out; echo err >&2' >o 2>e && grep -qx out o && grep -qx err e; }
tryf "exec (two streams)" 0 streams
terminal() {
        script -qec "stty rows 33 cols 77; timeout --foreground 20 $K exec -it p -- sh -c 'stty size; tty; exit 4'" /dev/null </dev/null >terminal
        [ $? = 4 ] && grep -q '33 77' terminal && grep -q /dev/pts terminal
}
tryf "exec -it (size, exit code)" 0 terminal
try "exec deployment/" -- exec deployment/app -- true
try "exec -c" -o "uid=0" -- exec two -c b -- id
try "exec (no such container)" -x "container zz is not valid for pod two" -- exec two -c zz -- true
try "exec (no such command)" -x 'exec: "nonsense": executable file not found' -- exec p -- nonsense
try "exec (absent)" -x 'pods "nobody" not found' -- exec nobody -- true
lots() { head -c 5000000 /dev/urandom >lots && k exec -i p -- cat <lots | cmp - lots; }
tryf "exec -i (5 MB there and back)" 0 lots
attaches() {
        timeout 20 "$K" attach two -c b >attached 2>&1 &
        local pid=$!
        until_true 15 grep -q "from b" attached
        local code=$?
        kill $pid
        return $code
}
tryf "attach" 0 attaches
run_attached() {
        k run "$1" --image=busybox:1 --restart=Never -i --rm -- sh -c 'read x; echo got $x; exit 5' <<<line >ran 2>&1
        [ $? = 5 ] && grep -q "got line" ran
}
tryf "run -i --rm (exit code)" 0 run_attached ra
copies() { head -c 300000 /dev/urandom >there && k cp there p:/tmp/there && k cp p:/tmp/there back && cmp there back; }
tryf "cp (to and from a pod)" 0 copies
tryf "port-forward pod/" 0 forwards pod/two 8080
k apply -f - >/dev/null <<'Y'
{"kind":"Service","apiVersion":"v1","metadata":{"name":"two"},"spec":{"selector":{"app":"two"},"ports":[{"port":80,"targetPort":8080}]}}
Y
until_true 10 field endpoints/two '{.subsets[0].ports[0].port}' 8080
tryf "port-forward service/" 0 forwards service/two 80
proxies() {
        local port=$((20100 + MINOR)) pid code base
        "$K" proxy --port="$port" >proxy 2>&1 &
        pid=$!
        until_true 20 grep -q Starting proxy
        base=http://127.0.0.1:$port/api/v1/namespaces/$NS
        curl -s "$base/pods/two" | grep -q '"Pod"' && [ "$(curl -sL "$base/pods/two:8080/proxy")" = page ] &&
                [ "$(curl -s "$base/services/two/proxy/index.html")" = page ]
        code=$?
        kill $pid
        return $code
}
tryf "proxy (and pods/, services/proxy)" 0 proxies
debugs() { # the containers of debug are ephemeral, or of a copy
        k debug p --image=busybox:1 -c dbg -- sh -c 'echo debugging; sleep 100' >/dev/null 2>&1 &&
                until_true 15 eval 'k logs p -c dbg | grep -q debugging'
}
tryf "debug (ephemeral container)" 25 debugs
try "debug --copy-to" -s 23 -- debug p --image=busybox:1 --copy-to=p-copy -c extra -- sleep 100
debugs_node() {
        local name
        name=$(k debug "node/$(k get nodes -o name | grep -v ghost | head -n 1 | cut -d/ -f2)" --image=busybox:1 -- ls /host/etc 2>&1 |
                sed -n 's/^Creating debugging pod \([^ ]*\) .*/\1/p')
        until_true 40 eval "k logs $name | grep -q hostname"
}
tryf "debug node/" 23 debugs_node

# --- who may ---
try "auth can-i" -o "yes" -- auth can-i create pods
try "auth can-i --as" -x "no" -- auth can-i create pods --as=mallory
try "auth can-i --list" -o "Resources" -- auth can-i --list --as="system:serviceaccount:$NS:sa"
try "auth can-i (subresource)" -o "yes" -- auth can-i get pods --subresource=log
try "auth whoami" -s 28 -o "kubernetes" -- auth whoami
try "auth reconcile" -o "reconciled" -i "$(k create role rec --verb=get --resource=pods -n "$NS" --dry-run=client -o json | sed "s/\"name\": \"rec\"/\"namespace\": \"$NS\", &/")" -- auth reconcile -f -
try "--as" -x 'User "mallory" cannot list resource "pods"' -- get pods --as=mallory
try "--token" -s 24 -x "Forbidden" -- --kubeconfig=/dev/null --server="$(k config view -o 'jsonpath={.clusters[0].cluster.server}')" \
        --insecure-skip-tls-verify --token="$(k create token sa 2>/dev/null)" get secrets -n "$NS"
if [ -s key ]; then
        openssl req -new -key key -subj /CN=jane/O=dev -out csr 2>/dev/null
        k create -f - >/dev/null <<Y
{"kind":"CertificateSigningRequest","apiVersion":"certificates.k8s.io/v1","metadata":{"name":"$NS"},
 "spec":{"request":"$(base64 -w0 csr)","signerName":"kubernetes.io/kube-apiserver-client","usages":["client auth"]}}
Y
        try "certificate approve" -o "approved" -- certificate approve "$NS"
        try "describe csr" -o "Approved" -- describe csr "$NS"
fi

# --- nodes ---
try "cordon" -o "cordoned" -- cordon "$NODE_NAME"
try "get node (cordoned)" -o "SchedulingDisabled" -- get node "$NODE_NAME"
try "uncordon" -o "uncordoned" -- uncordon "$NODE_NAME"
try "taint" -o "tainted" -- taint node "$NODE_NAME" k=v:NoSchedule
try "taint --overwrite" -o "modified" -- taint node "$NODE_NAME" k=w:NoSchedule --overwrite
try "taint (remove)" -o "untainted" -- taint node "$NODE_NAME" k:NoSchedule-
try "label node" -o "labeled" -- label node "$NODE_NAME" disk=ssd
k apply -f - >/dev/null <<Y
{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"drained"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"drained"}},"template":{"metadata":{"labels":{"a":"drained"}},
 "spec":{"terminationGracePeriodSeconds":0,"nodeSelector":{"kubernetes.io/hostname":"$NODE_NAME"},"tolerations":[{"key":"ghost","operator":"Exists"}],"containers":[{"name":"c","image":"busybox:1"}]}}}}
Y
until_true 20 field deployment/drained '{.status.readyReplicas}' 2
try "drain" -o "drained" -- drain "$NODE_NAME" --ignore-daemonsets --timeout=25s
empty() { ! k get pods -l a=drained -o wide | grep -q "Running.*$NODE_NAME"; }
tryf "drain leaves nobody" 0 until_true 10 empty
k delete deployment drained --wait=false >/dev/null
k uncordon "$NODE_NAME" >/dev/null
real=$(k get nodes -o name | grep -v ghost | head -n 1 | cut -d/ -f2)
try "get --raw (a node's stats)" -o '"podRef"' -- get --raw "/api/v1/nodes/$real/proxy/stats/summary"
try "get --raw (a node's metrics)" -o 'container_memory_working_set_bytes{container="c",namespace="'"$NS" -- get --raw "/api/v1/nodes/$real/proxy/metrics/resource"
try "top nodes (no metrics)" -x "etrics" -- top nodes
try "top pods (no metrics)" -x "etrics" -- top pods

# --- delete ---
try "delete --dry-run=server" -o "server dry run" -- delete configmap cm --dry-run=server
try "delete" -o "deleted" -- delete configmap cm
try "delete (absent)" -x "not found" -- delete configmap cm
try "delete --ignore-not-found" -- delete configmap cm --ignore-not-found
try "delete -l" -o "deleted" -- delete pods -l app=p --now
try "delete --wait=false" -o "deleted" -- delete pod pe --wait=false
try "delete --force" -o "force deleted" -- delete pod crashes --force --grace-period=0
try "delete --field-selector" -o "deleted" -- delete secrets --field-selector=metadata.name=reg
orphans() { k delete deployment d --cascade=orphan && k get replicasets -l app=d -o name | grep -q d- && k delete replicasets -l app=d; }
tryf "delete --cascade=orphan" 0 orphans
try "delete --cascade=foreground" -o "deleted" -- delete deployment kus-app --cascade=foreground
try "delete (background)" -o "deleted" -- delete deployment app
gone() { [ -z "$(k get pods -l app=app -o name)" ]; }
tryf "its pods are gone" 0 until_true 20 gone
try "delete -f" -o "service \"app\" deleted" -- delete -f app.yaml --ignore-not-found
try "delete -k" -o "deleted" -- delete -k kustom --ignore-not-found
try "delete --all" -o "deleted" -- delete jobs --all
try "wait --for=delete" -s 23 -- wait --for=delete pod/crashes --timeout=20s
try "delete namespace" -o "deleted" -t 60 -- delete namespace "$NS" --timeout=50s
k get namespace "$NS" -o 'jsonpath={.status}' --ignore-not-found # what it waits for
k delete clusterrole,clusterrolebinding "$NS" --ignore-not-found >/dev/null
k delete clusterrole "$NS-agg" --ignore-not-found >/dev/null
k delete "pv/$NS-pv" "sc/$NS-sc" "ingressclass/$NS-ic" "priorityclass/$NS" "csr/$NS" --ignore-not-found >/dev/null 2>&1
