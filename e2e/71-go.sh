#!/bin/bash
# Clients written in Go: client-go, controller-runtime, Argo CD's gitops-engine and Flux's ssa (clients/go).
. "$(dirname "$0")/clients/packages.sh"
client_packages go
. "$(dirname "$0")/lib.sh"

check "up" cluster up
busybox_image docker.io/library/busybox:1 docker.io/library/busybox:2 >/dev/null
MANIFESTS=$here/e2e/clients/go/manifests timeout 300 "$CLIENTS/bin/goclients" ${*:-client-go controller-runtime gitops-engine ssa} |
        sed -u "s/^\(not \)*ok - /&$test_name: /" | tee "$WORK/said"
status=${PIPESTATUS[0]}
failures=$((failures + $(grep -c '^not ok' "$WORK/said")))
check "they came to their end" test $status -le 1
check "down" cluster down
