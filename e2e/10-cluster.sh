#!/bin/bash
# A cluster comes up, says so when asked again, runs a pod, goes down, comes up with its data, and
# leaves nothing behind: what this machine shows before and after is compared, line by line.
. "$(dirname "$0")/lib.sh"

# What of this machine a cluster could leave behind: this test is alone in its namespaces, but for cgroups.
machine() {
        echo "interfaces:" && ip -o link | awk '{ print $2 }'
        echo "addresses and routes:" && ip -o address | awk '{ print $2, $4 }' && ip route
        echo "nft tables:" && nft list tables
        echo "mounts:" && awk -v root="$ROOT" 'index($2, "/tmp/") != 1 || index($2, root) == 1 { print $2 }' /proc/mounts | sort
        echo "network namespaces:" && ls /run/netns
        echo "processes:" && ps -e -o comm= | grep -vxE 'ps|grep|sort|10-cluster.sh|awk' | sort
        echo "files:" && find "$ROOT" /run /var/run /dev/shm /var/lib /var/log /etc -xdev -path '*colibri*' ! -path '/var/lib/dpkg/*' 2>/dev/null | sort -u
        echo "cgroups:" && find /sys/fs/cgroup -type d -name "*${cgroup:-nothing yet}*"
}
# What goes meanwhile is another's.
same() { ! diff -u "$WORK/before" "$WORK/after" | grep -E '^\+[^+]'; }
argument() { tr '\0' '\n' <"/proc/$(daemon "$1")/cmdline" | sed -n "s/^--$2=//p"; }
gone() { ! kubectl get "$@"; }
no_process() { ! pgrep -f "^[^ ]*(etcd|runc|conmon|colibri-[a-z]+|sleep 1000)"; }

mkdir -p "$ROOT"
machine >"$WORK/before"
check "up" cluster up
says "up again" "already runs" cluster up
says "status" "is ready" colibri_ status
cgroup=$(argument kubelet cgroup-root)

busybox_image docker.io/library/busybox:latest >/dev/null
check "a pod runs" kubectl run first --image=busybox --image-pull-policy=IfNotPresent -- sh -c 'echo hello; sleep 1000'
check "it is ready" kubectl wait --for=condition=Ready pod/first --timeout=30s
says "its log" hello kubectl logs first
says "exec" uid=0 kubectl exec first -- id
check "a config map" kubectl create configmap kept --from-literal=a=b
check "a Service" kubectl expose pod first --port=80
says "its cgroup is there" "$cgroup" find /sys/fs/cgroup -type d -name "*$cgroup*"
machine >"$WORK/after"
refused "this machine shows that a pod runs" conmon same

# An owner of a kind that is so new that nobody watches it yet.
kubectl create -f - >/dev/null <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: webs.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: webs, kind: Web}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
YAML
check "a kind is served" eventually 5 kubectl get --raw /apis/example.com/v1/namespaces/default/webs
uid=$(kubectl create -o 'jsonpath={.metadata.uid}' -f - <<<'{"apiVersion": "example.com/v1", "kind": "Web", "metadata": {"name": "w"}}')
kubectl create -f - >/dev/null <<<'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences":
        [{"apiVersion": "example.com/v1", "kind": "Web", "name": "w", "uid": "'"$uid"'"}]}}'
check "its owner goes" kubectl delete web w
check "what it owned goes too" eventually 20 gone configmap owned
check "the kind goes" kubectl delete crd webs.example.com

for name in apiserver controllers scheduler kubelet proxy etcd; do kill -KILL "$(daemon $name)"; done
check "everything is killed at once, and comes back" eventually 20 kubectl get --raw /readyz
check "the pod answers" eventually 10 kubectl exec first -- true
says "it was not restarted" "Running 0" kubectl get pod first -o 'jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}'

check "down" cluster down
refused "nothing answers" "refused" kubectl get configmaps
check "no process is left" no_process
check "up with its data" cluster up
says "the config map is there" b kubectl get configmap kept -o 'jsonpath={.data.a}'
check "the pod runs again" eventually 30 kubectl exec first -- true
says "its image was not lost" "Running 1" kubectl get pod first -o 'jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}'
check "a pull that hangs" kubectl run second --image=192.0.2.77/none:1
check "hangs" eventually 10 pgrep skopeo

check "reset" cluster reset
machine >"$WORK/after"
check "nothing is left" same
