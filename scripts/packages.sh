#!/bin/sh
# Installs the packages of packages.txt that are missing: scripts/packages.sh SECTION...
# kubectl comes from Debian's kubernetes-client where there is none.
set -eu
cd "$(dirname "$0")/.."

command -v dpkg-query >/dev/null 2>&1 || { echo "colibri installs on Debian 12: there is no dpkg here" >&2; exit 1; }

wanted() {
        for section in "$@"; do
                awk -v section="$section" '/^# /{ on = ($2 == section && NF == 2) } !/^#/ && NF && on' packages.txt
        done
}

have=$(mktemp)
log=$(mktemp)
policy=
trap 'rm -f "$have" "$log" $policy' EXIT
dpkg-query -W -f '${Package} ${db:Status-Status}\n' | awk '$2 == "installed" { print $1 }' | LC_ALL=C sort -u >"$have"
missing=$(wanted "$@" | LC_ALL=C sort -u | LC_ALL=C comm -23 - "$have")
command -v kubectl >/dev/null 2>&1 || missing="$missing kubernetes-client"

[ -n "$(echo $missing)" ] || exit 0
echo "installing: $(echo $missing)"
export DEBIAN_FRONTEND=noninteractive
# Services of these packages (etcd, docker-registry) must not start by themselves.
if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
fi
# An index that cannot be had anew may do as it is; another apt may be at work.
apt-get update -qq >"$log" 2>&1 || true
if ! apt-get install -y -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 --no-install-recommends $missing >>"$log" 2>&1; then
        tail -n 30 "$log" >&2
        echo "packages could not be installed:" $missing >&2
        exit 1
fi
