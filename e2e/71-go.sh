#!/bin/bash
# Clients written in Go: client-go, controller-runtime, Argo CD's gitops-engine and Flux's ssa (clients/go).
. "$(dirname "$0")/clients/packages.sh"
client_packages go
. "$(dirname "$0")/lib.sh"

check "up" cluster up
busybox_image docker.io/library/busybox:1 docker.io/library/busybox:2 >/dev/null
export MANIFESTS=$here/e2e/clients/go/manifests
client_says timeout 300 "$CLIENTS/bin/goclients" ${*:-client-go controller-runtime gitops-engine ssa}
check "down" cluster down
