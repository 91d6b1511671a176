#!/bin/bash
# The supervisor by itself, with etcd as the only daemon: it starts it, says so when asked again, starts
# it again when it is killed, leaves it alone when it dies itself, and leaves nothing behind.
. "$(dirname "$0")/lib.sh"

etcd_answers() {
        ETCDCTL_API=3 etcdctl --endpoints="https://127.0.0.1:$((PORT + 1))" --cacert="$ROOT/etc/colibri/pki/etcd-ca.crt" \
                --cert="$ROOT/etc/colibri/pki/etcd-client.crt" --key="$ROOT/etc/colibri/pki/etcd-client.key" "$@"
}

etcd_is_another_than() {
        local now
        now=$(daemon etcd) && [ "$now" != "$1" ] && kill -0 "$now"
}

check "up" cluster up --components=etcd
check "etcd answers with its certificates" eventually 10 etcd_answers put kept value
says "up again" "already runs" cluster up --components=etcd
refused "without a certificate etcd says nothing" "TransientFailure" env ETCDCTL_API=3 etcdctl --command-timeout=2s \
        --endpoints="https://127.0.0.1:$((PORT + 1))" --insecure-skip-tls-verify get kept

before=$(daemon etcd)
kill -KILL "$before"
check "etcd is started again after SIGKILL" eventually 10 etcd_is_another_than "$before"
check "and has kept what it acknowledged" eventually 10 grep -q value <(etcd_answers get kept)

before=$(daemon etcd)
kill -KILL "$(daemon supervisor)"
check "etcd lives on when the supervisor dies" kill -0 "$before"
check "up brings the supervisor back" cluster up --components=etcd
check "which adopts the same etcd" [ "$(daemon etcd)" = "$before" ]

settings=$ROOT/etc/colibri/colibri.yaml
two_ups() { cluster up --components=etcd & cluster up --components=etcd && wait $!; }
check "down" cluster down
check "two ups at a time" two_ups
one_supervisor() { [ "$(pgrep -fc "supervise --root=$ROOT")" = 1 ]; } # one that forks looks like two
check "there is one supervisor" eventually 5 one_supervisor
check "status" eventually 5 colibri_ status
says "tells what runs" "running" colibri_ status

check "down" cluster down
# Whose parent died may stay a zombie where process 1 reaps nobody: it no longer runs all the same.
check "etcd is gone" [ -z "$(sed -nE '/^State:\tZ/!s/^State:/&/p' "/proc/$before/status" 2>/dev/null)" ]
for name in supervisor etcd; do echo "1 1 0" >"$ROOT/run/colibri/$name.pid"; done
check "up, with process files that name others" cluster up --components=etcd
check "etcd answers" eventually 10 etcd_answers get kept
for name in supervisor etcd; do
        echo "$$ $(awk '{ print $22 + 1 }' /proc/$$/stat) 0" >"$WORK/$name.pid"
done
check "down again" cluster down
cp "$WORK"/*.pid "$ROOT/run/colibri/"
says "down does not touch a process that got the same number" "did not run" cluster down

# --- what users get wrong ---
refused "an unknown setting is refused" 'there is no setting "apiserver.prot"' colibri_ status --set apiserver.prot=1
refused "an unknown option" 'what is "--rot=/x"' colibri up --rot=/x
refused "an argument too many" 'what is "now"' colibri_ up now
refused "a missing value" '--root wants a value' colibri up --root
refused "an unknown command" 'no command "upp"' colibri upp
says "help" "--components=LIST" colibri help
refused "options may follow arguments" "ARCHIVE" colibri image frobnicate --root="$ROOT"
refused "other components than those it began with" 'cluster.components is "etcd"' cluster up --components=etcd,apiserver
cp "$settings" "$WORK/good"
echo 'apiserver: {' >>"$settings"
refused "broken settings" "colibri.yaml" cluster up --components=etcd
sed 's/^cluster:/clutter:/' "$WORK/good" >"$settings"
refused "a misspelt group" 'there is no setting "clutter.components"' cluster up --components=etcd
cp "$WORK/good" "$settings"

check "reset" cluster reset
check "no file is left" [ -z "$(find "$ROOT" -mindepth 1 2>/dev/null)" ]
refused "and status says so" "there is no cluster" colibri_ status
