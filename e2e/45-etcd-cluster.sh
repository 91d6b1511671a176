#!/bin/bash
# Two API servers on an etcd cluster of three with TLS: members die and come back under a writer and a watcher.
# And an etcd whose database is full: what users are told, what they can still do, and that it recovers.
. "$(dirname "$0")/lib.sh"

members=()
cleanup() {
        for pid in "${members[@]}"; do kill -9 "$pid" 2>/dev/null; done
        colibri reset --root="$ROOT-two" >/dev/null 2>&1
        colibri reset --root="$ROOT-full" >/dev/null 2>&1
        rm -rf "$ROOT-two" "$ROOT-full"
}

# --- a database that is full ---
full() { colibri "$1" --root="$ROOT-full" "${@:2}"; }
check "an etcd with little room" full up --port=$((PORT + 5)) --components=etcd,apiserver --set etcd.quota=8000000
export KUBECONFIG=$ROOT-full/etc/colibri/admin.kubeconfig
head -c 400000 /dev/urandom | base64 -w0 >"$WORK/value"
check "a first object" kubectl create configmap first --from-file="$WORK/value"
written=1
until [ $written = 50 ] || ! kubectl create configmap "big-$written" --from-file="$WORK/value" >/dev/null 2>"$WORK/error"; do written=$((written + 1)); done
check "at last a write is refused, in etcd's words" grep -F 'etcdserver: mvcc: database space exceeded' "$WORK/error"
echo "# after $written objects"
says "reads go on" first kubectl get configmaps
check "deletions go through" eval 'kubectl get configmaps -o name | grep big- | xargs kubectl delete --wait=false'
check "the log tells that it is full" grep -F "etcd's database is full" "$ROOT-full/var/log/colibri/apiserver.log"
check "and writes are taken again, by itself" eventually 20 kubectl create configmap again --from-file="$WORK/value"
check "the log tells of that too" grep -F 'etcd has room again' "$ROOT-full/var/log/colibri/apiserver.log"
says "nothing else is gone" first kubectl get configmaps -o name
full down >/dev/null

# --- three members ---
# The certificates are those that colibri makes: one root for all.
mkdir -p "$ROOT/etc/colibri" "$ROOT-two/etc/colibri"
cp -r "$ROOT-full/etc/colibri/pki" "$ROOT/etc/colibri/"
cp -r "$ROOT-full/etc/colibri/pki" "$ROOT-two/etc/colibri/"
pki=$ROOT/etc/colibri/pki
client() { echo "https://127.0.0.1:$((PORT + 100 + $1))"; }
peer() { echo "https://127.0.0.1:$((PORT + 110 + $1))"; }
start_member() {
        etcd --name="m$1" --data-dir="$WORK/m$1" --logger=zap --log-level=error \
                --listen-client-urls="$(client "$1")" --advertise-client-urls="$(client "$1")" \
                --listen-peer-urls="$(peer "$1")" --initial-advertise-peer-urls="$(peer "$1")" \
                --initial-cluster="m0=$(peer 0),m1=$(peer 1),m2=$(peer 2)" --initial-cluster-token=e2e \
                --client-cert-auth --trusted-ca-file="$pki/etcd-ca.crt" --cert-file="$pki/etcd-server.crt" --key-file="$pki/etcd-server.key" \
                --peer-client-cert-auth --peer-trusted-ca-file="$pki/etcd-ca.crt" --peer-cert-file="$pki/etcd-peer.crt" \
                --peer-key-file="$pki/etcd-peer.key" >>"$WORK/m$1.log" 2>&1 &
        members[$1]=$!
}
kill_member() {
        kill -9 "${members[$1]}"
        wait "${members[$1]}" 2>/dev/null
}
for i in 0 1 2; do start_member $i; done
endpoints=$(client 0),$(client 1),$(client 2)
SETTINGS="--set etcd.endpoints=$endpoints"
check "one API server" cluster up --components=apiserver
check "another" colibri up --root="$ROOT-two" --port=$((PORT + 1)) --components=apiserver --set network.serviceCIDR="$SERVICES" $SETTINGS
export KUBECONFIG=$ROOT/etc/colibri/admin.kubeconfig
python3 "$here/e2e/several.py" "$KUBECONFIG" "https://127.0.0.1:$PORT" "https://127.0.0.1:$((PORT + 1))" >"$WORK/several" 2>&1 &
client_pid=$!
sleep 2
kill_member 0 # the one that both speak to
sleep 3
start_member 0
sleep 2
kill_member 1
sleep 3
start_member 1
sleep 2
kill -STOP "${members[2]}" # now it is this one. It does not say that it is gone
sleep 8
kill -CONT "${members[2]}"
kill -TERM $client_pid
wait $client_pid
echo "# $(tail -c 1000 "$WORK/several")"
number_of() { python3 -c "import json,sys; r = json.load(open('$WORK/several')); v = r['$1']; print(v if isinstance(v, int) else len(v))"; }
check "writes went on" [ "$(number_of acked)" -gt 10 ]
for what in stale lost unseen doubled expired; do check "none $what" [ "$(number_of $what)" = 0 ]; done
check "who hangs is left in a few seconds" [ "$(number_of slowest)" -lt 8 ]
# Without a majority nothing is promised.
kill_member 1
kill_member 2
refused "a read without a majority says so" "etcd" timeout 30 kubectl get configmap n-0
start_member 1
check "with one again, all is well" eventually 20 kubectl get configmap n-0
