#!/bin/bash
# Helm 3, an old and a new one, and Helm 4: a chart (clients/helm) installed, upgraded, rolled back and taken away.
. "$(dirname "$0")/clients/packages.sh"
client_packages kubectl 22 32 35 # Helm 3.9, 3.17 and 4.1
. "$(dirname "$0")/lib.sh"
chart=$here/e2e/clients/helm/chart

# h NAME ARGUMENTS...: helm, and what it must say after a "--": h "lists" list -- deployed
h() {
        local name="helm $version: $1" arguments=() text=
        shift
        while [ $# -gt 0 ] && [ "$1" != -- ]; do
                arguments+=("$1")
                shift
        done
        [ $# -gt 0 ] && text=$2
        says "$name" "$text" timeout 60 "$helm" "${arguments[@]}" -n "$ns"
}
color() { [ "$(kubectl get "$1" "$release" -n "$ns" -o "jsonpath=$2")" = "$3" ]; }
gone() { [ -z "$(kubectl get all,configmaps -n "$ns" -l site="$release" -o name)" ]; }
lasting() { [ "$(kubectl get deployment "$release" -n "$ns" -o 'jsonpath={.status.readyReplicas}{.metadata.labels.extra}')" = "$1" ]; }

walk() {
        version=$1 helm=$2 release=r ns=helm-${1//./-}
        local major=${version%%.*} server=(--dry-run=server) knows='before: "{\"before\"' back=--atomic
        [ "$major" -ge 4 ] && back=--rollback-on-failure
        [ "$version" = 3.9 ] && server=(--dry-run) knows='version: "v1.36.2+colibri1"' # it looks up nothing
        h "install --create-namespace --wait" install "$release" "$chart" --create-namespace --wait --wait-for-jobs --timeout 50s -- "STATUS: deployed"
        check "helm $version: the kind of its crds/ is there" color theme '{.spec.color}{.spec.size}' blue2
        h "status" status "$release" -- "STATUS: deployed"
        h "test" test "$release" --timeout 50s -- "Succeeded"
        refused "helm $version: install of what is there" "a name that is still in use" "$helm" install "$release" "$chart" -n "$ns"
        kubectl label deployment "$release" -n "$ns" extra=kept >/dev/null
        h "upgrade --dry-run (server)" upgrade "$release" "$chart" --set color=red "${server[@]}" -- "$knows"
        h "upgrade --wait" upgrade "$release" "$chart" --set color=red,replicas=2 --wait --timeout 50s -- "REVISION: 2"
        check "helm $version: what it changed, and a label of others" lasting 2kept
        check "helm $version: the configuration of the upgrade" color configmap '{.data.color}' red
        refused "helm $version: an upgrade that fails is taken back" "" \
                timeout 60 "$helm" upgrade "$release" "$chart" -n "$ns" --reuse-values --set 'command={false}' $back --timeout 6s
        check "helm $version: as it was before" color configmap '{.data.color}' red
        h "history" history "$release" -- "superseded"
        h "rollback --wait" rollback "$release" 1 --wait --timeout 50s -- "success"
        check "helm $version: the first configuration" color configmap '{.data.color}' blue
        h "list" list -- "deployed"
        h "get all" get all "$release" -- "HOOKS"
        h "uninstall --wait" uninstall "$release" --wait --timeout 50s -- "uninstalled"
        check "helm $version: nothing is left" eventually 10 gone
        check "helm $version: but the kind" kubectl get crd themes.helm.example.com
}

check "up" cluster up
busybox_image docker.io/library/busybox:1 >/dev/null
for minor in 22 32 35; do
        helm=$CLIENTS/bin/helm-$minor
        walk "$("$helm" version --template '{{.Version}}' | sed 's/^v//; s/\.[0-9]*$//')" "$helm"
done
check "down" cluster down
