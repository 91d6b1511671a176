#!/bin/bash
# kubectl 1.22 to 1.35, real binaries of each, on the short walk. 40-kubectl.sh walks the whole way with those it finds;
# with these: KUBECTLS="$HOME/.cache/colibri-clients/bin/kubectl-30 ..." e2e/40-kubectl.sh
. "$(dirname "$0")/clients/packages.sh"
versions="22 23 24 25 26 27 28 29 30 31 32 33 34 35"
client_packages kubectl $versions
KUBECTLS=$(printf "$CLIENTS/bin/kubectl-%s " $versions)
VERSIONS=$(printf '1.%s ' $versions)
export KUBECTLS VERSIONS WALK=kubectl-short.sh MINIMUM=30
. "$(dirname "$0")/40-kubectl.sh"
