# What end-to-end tests share: source it first.
#
#     . "$(dirname "$0")/lib.sh"
#     cluster up                        a cluster of this test's own, below $ROOT
#     check "name" command...           prints "ok - name" or "not ok - name" and what the command said
#
# Everything is taken away again when the script ends, also after a failure or a signal.
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
export PATH=$here/build/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
test_name=$(basename "$0" .sh)
number=${test_name%%-*}
ROOT=${ROOT:-/tmp/colibri-e2e/$test_name}
PORT=${PORT:-$((26000 + 10#$number * 10))}
# A range of Services of its own: several clusters may live on one machine.
SERVICES=10.$((200 + 10#$number % 50)).0.0/16
SETTINGS=${SETTINGS:-}
WORK=$(mktemp -d)
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
