# What end-to-end tests share: source it first.
#
#     . "$(dirname "$0")/lib.sh"
#     cluster up                        a cluster of this test's own, below $ROOT
#     check "name" command...           prints "ok - name" or "not ok - name" and what the command said
#
# Everything is taken away again when the script ends, also after a failure or a signal.
#
# A test runs in network, mount and process namespaces of its own, so that tests and clusters of one
# machine share neither ports nor addresses nor /run/netns, and nothing outlives them. It finds what a
# machine with one network card has: eth0 with 192.0.2.2/24 and a default route. Cgroups and files are the
# machine's; where a kernel gives no namespaces, so is the rest. One that sets IN_NAMESPACE did so itself.
set -u
if [ -z "${IN_NAMESPACE:-}" ] && unshare --net --mount --pid --fork true 2>/dev/null; then
        export IN_NAMESPACE=made
        exec unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc -- "$0" "$@"
fi
here=$(cd "$(dirname "$0")/.." && pwd)
export PATH=${BUILD:-$here/build}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ "${IN_NAMESPACE:-}" = made ]; then
        export IN_NAMESPACE=inside
        mkdir -p /run/netns
        mount -t tmpfs none /run/netns
        ip link set lo up
        ip link add eth0 type veth peer name wire
        ip addr add 192.0.2.2/24 dev eth0
        ip link set wire up
        ip link set eth0 up
        ip route add default via 192.0.2.1
fi
test_name=$(basename "$0" .sh)
number=${test_name%%-*}
WORK=$(mktemp -d)
# Two runs of a test at a time are two clusters: cgroups are named after the folder.
[ -n "${ROOT:-}" ] || { mkdir -p /tmp/colibri-e2e && ROOT=$(mktemp -d "/tmp/colibri-e2e/$test_name.XXXXXX"); }
PORT=${PORT:-$((26000 + 10#$number * 10))}
# A range of Services of its own: several clusters may live on one machine.
SERVICES=10.$((200 + 10#$number % 50)).0.0/16
SETTINGS=${SETTINGS:-}
failures=0

export KUBECONFIG=$ROOT/etc/colibri/admin.kubeconfig HOME=$WORK

colibri_() {
        local command=$1
        shift
        colibri "$command" --root="$ROOT" "$@"
}

# cluster up [--components=...]: starts it; cluster down; cluster reset
cluster() {
        local command=$1
        shift
        if [ "$command" = up ]; then
                mkdir -p "$ROOT"
                colibri up --root="$ROOT" --port="$PORT" --set network.serviceCIDR="$SERVICES" \
                        --set dns.address="${SERVICES%.0.0/16}.0.10" $SETTINGS "$@"
        else
                colibri_ "$command" "$@"
        fi
}

finish() {
        local status=$?
        if [ $status != 0 ] || [ $failures != 0 ]; then
                for log in "$ROOT"/var/log/colibri/*.log; do
                        [ -e "$log" ] && { echo "--- $log"; tail -n 25 "$log"; }
                done
        fi
        type cleanup >/dev/null 2>&1 && cleanup
        [ -e "$ROOT" ] && colibri reset --root="$ROOT" >/dev/null 2>&1
        rm -rf "$ROOT" "$WORK"
        [ $failures = 0 ] && exit $status
        exit 1
}
trap finish EXIT
trap 'exit 130' INT TERM

ok() { echo "ok - $test_name: $1"; }
not_ok() {
        echo "not ok - $test_name: $1"
        failures=$((failures + 1))
}

# check NAME COMMAND...: it must succeed.
check() {
        local name=$1 out
        shift
        if out=$("$@" 2>&1); then
                ok "$name"
        else
                not_ok "$name"
                echo "    $*: ${out:0:2000}"
        fi
}

# refused NAME PATTERN COMMAND...: it must fail, and say PATTERN (a fixed string).
refused() {
        local name=$1 pattern=$2 out
        shift 2
        if out=$("$@" 2>&1); then
                not_ok "$name"
                echo "    succeeded: $*: ${out:0:1000}"
        elif grep -qF -- "$pattern" <<<"$out"; then
                ok "$name"
        else
                not_ok "$name"
                echo "    wanted: $pattern"
                echo "    said: ${out:0:2000}"
        fi
}

# says NAME PATTERN COMMAND...: it must succeed, and say PATTERN (a fixed string).
says() {
        local name=$1 pattern=$2 out
        shift 2
        if out=$("$@" 2>&1) && grep -qF -- "$pattern" <<<"$out"; then
                ok "$name"
        else
                not_ok "$name"
                echo "    wanted: $pattern"
                echo "    said: ${out:0:2000}"
        fi
}

# eventually SECONDS COMMAND...: tries until it succeeds.
eventually() {
        local until=$((SECONDS + $1))
        shift
        until "$@" >/dev/null 2>&1; do
                [ $SECONDS -lt $until ] || { "$@"; return 1; }
                sleep 0.2
        done
}

# daemon NAME: its process number
daemon() { cut -d' ' -f1 "$ROOT/run/colibri/$1.pid"; }

image() { colibri_ image "$@"; }

# busybox_image NAME...: loads a busybox under these names (docker's, registry.k8s.io's, ...)
busybox_image() {
        local names=()
        for name in "$@"; do names+=(-t "$name"); done
        python3 "$here/scripts/make-image.py" -o "$WORK/busybox.tar" "${names[@]}" --busybox -- sh
        image load "$WORK/busybox.tar"
        rm -f "$WORK/busybox.tar"
}
