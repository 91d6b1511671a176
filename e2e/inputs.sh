# What the tests of whole clusters share, on top of lib.sh: a registry, images that stand in for those
# that people's manifests name, and a cluster that finds them there. NodePorts and cluster addresses are
# reached from these scripts as they are from a machine itself.
. "$(dirname "$0")/lib.sh"
MANIFESTS=$here/e2e/manifests
REGISTRY=127.0.0.1:5000
NODE=192.0.2.2
SETTINGS="--set kubelet.nodeName=here --set kubelet.nodeIP=$NODE --set apiserver.advertiseAddress=$NODE
        --set images.mirrors=docker.io=http://$REGISTRY,quay.io=http://$REGISTRY,gcr.io=http://$REGISTRY,registry.k8s.io=http://$REGISTRY"
background=

cleanup() {
        type cleanup_more >/dev/null 2>&1 && cleanup_more
        [ -n "$background" ] && kill $background 2>/dev/null
        [ -n "${DUMP:-}" ] && kubectl get pods,events -A -o wide
        return 0
}

# The registry, empty, with its files below DIR (default: $WORK/registry).
registry_up() {
        local dir=${1:-$WORK/registry}
        mkdir -p "$dir"
        cat >"$WORK/registry.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $dir}}
http: {addr: "$REGISTRY"}
log: {level: error}
YAML
        docker-registry serve "$WORK/registry.yml" >"$WORK/registry.log" 2>&1 &
        background="$background $!"
        eventually 10 curl -fsS http://$REGISTRY/v2/
}

# The program that the stand-ins are made of: see images/standin.c.
standin() {
        [ -x "$WORK/standin" ] || gcc -std=gnu17 -D_GNU_SOURCE -O2 -static -pthread -o "$WORK/standin" "$here/e2e/images/standin.c" 2>"$WORK/gcc.log" || {
                cat "$WORK/gcc.log"
                return 1
        }
}

# push NAME ARGUMENTS...: an image of these arguments to make-image.py, in the registry by this name,
# without the name's own registry.
push() {
        local name=$1
        shift
        python3 "$here/scripts/make-image.py" -o "$WORK/image.tar" -t "$name" "$@" &&
                skopeo --insecure-policy copy -q --dest-tls-verify=false "docker-archive:$WORK/image.tar" "docker://$REGISTRY/$name" &&
                rm -f "$WORK/image.tar"
}

# push_standin NAME PART [WORD...]: an image that plays this part.
push_standin() {
        local name=$1
        shift
        standin && push "$name" --file "$WORK/standin:bin/standin:755" -- standin "$@"
}

# whole_cluster: everything, with a Ready node.
whole_cluster() {
        check "up" cluster up "$@"
        check "the node is Ready" eventually 20 node_ready here
        [ $failures = 0 ] || exit 1 # nothing below would say more
}
node_ready() { [ "$(kubectl get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }

# field WANTED ARGUMENTS... JSONPATH: does "kubectl get ARGUMENTS" say so there?
field() {
        local is
        is=$(kubectl get "${@:2:$#-2}" -o "jsonpath=${*: -1}") && [ "$is" = "$1" ] && return
        echo "is: $is"
        return 1
}
