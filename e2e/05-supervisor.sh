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

refused "an unknown setting is refused" 'there is no setting "apiserver.prot"' colibri_ status --set apiserver.prot=1
check "down" cluster down
# Whose parent died may stay a zombie where process 1 reaps nobody: it no longer runs all the same.
check "etcd is gone" [ -z "$(sed -nE '/^State:\tZ/!s/^State:/&/p' "/proc/$before/status" 2>/dev/null)" ]
check "reset" cluster reset
check "no file is left" [ -z "$(find "$ROOT" -type f 2>/dev/null)" ]
