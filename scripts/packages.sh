#!/bin/sh
# Installs the packages of packages.txt that are missing: scripts/packages.sh SECTION...
# kubectl comes from Debian's kubernetes-client where there is none.
set -eu
cd "$(dirname "$0")/.."

wanted() {
        for section in "$@"; do
                awk -v section="$section" '/^# /{ on = ($2 == section && NF == 2) } !/^#/ && NF && on' packages.txt
        done
}

missing=$(
        dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null | awk '$2 == "installed" { print $1 }' | sort -u >/tmp/.colibri-have.$$
        wanted "$@" | sort -u | comm -23 - /tmp/.colibri-have.$$
        rm -f /tmp/.colibri-have.$$
)
command -v kubectl >/dev/null 2>&1 || missing="$missing kubernetes-client"

[ -n "$(echo $missing)" ] || exit 0
echo "installing: $(echo $missing)"
export DEBIAN_FRONTEND=noninteractive
# Services of these packages (etcd, docker-registry) must not start by themselves.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
        trap 'rm -f $policy' EXIT
fi
log=$(mktemp)
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        exit 1
fi
rm -f "$log"
