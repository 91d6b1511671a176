#!/bin/bash
# The cluster's resolver, asked by dig: Services and pods by name, records that change, truncation and
# TCP, and names outside, for which a small server of this test's own is the host's upstream.
. "$(dirname "$0")/lib.sh"

DNS=${SERVICES%.0.0/16}.0.10
UPSTREAM=127.53.31.1
cleanup() { [ -n "${upstream:-}" ] && kill "$upstream"; }

# Answers everything with 192.0.2.7, "big.test" by TCP only, and "silent.test" not at all.
cat >"$WORK/upstream.py" <<'PYTHON'
import socket, struct, sys, threading
def reply(q, tcp):
    end = q.index(b"\0", 12) + 5
    name = q[12:end - 5].lower()
    if name.startswith(b"\6silent"):
        return None
    n, flags = (40, 0x8180) if name.startswith(b"\3big") else (1, 0x8180)
    if n > 1 and not tcp:
        n, flags = 0, 0x8380
    rrs = b"".join(b"\xc0\x0c" + struct.pack(">HHIH4B", 1, 1, 60, 4, 192, 0, 2, 7 + i) for i in range(n))
    return q[:2] + struct.pack(">HHHHH", flags, 1, n, 0, 0) + q[12:end] + rrs
def tcp(s):
    while True:
        c = s.accept()[0]
        q = c.recv(4096)[2:]
        r = reply(q, True)
        c.sendall(struct.pack(">H", len(r)) + r)
        c.close()
t = socket.socket()
t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
t.bind((sys.argv[1], 53))
t.listen()
threading.Thread(target=tcp, args=(t,), daemon=True).start()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind((sys.argv[1], 53))
while True:
    q, who = u.recvfrom(4096)
    r = reply(q, False)
    if r:
        u.sendto(r, who)
PYTHON
python3 "$WORK/upstream.py" $UPSTREAM &
upstream=$!
printf 'nameserver 127.53.31.2\nnameserver %s\nnameserver %s\n' "$DNS" $UPSTREAM >"$WORK/resolv.conf"

ask() { dig +time=3 +tries=2 "@$DNS" "$@"; }
# answers NAME WANTED DIG-ARGUMENTS...: the sorted short answer on one line
answers() {
        local name=$1 wanted=$2
        shift 2
        local is
        is=$(ask +short "$@" | sort | xargs)
        if [ "$is" = "$wanted" ]; then ok "$name"; else not_ok "$name"; echo "    $*: \"$is\", not \"$wanted\""; fi
}
given() { [ "$(ask +short "${@:2}" | sort | xargs)" = "$1" ]; }

check "up" cluster up --components=etcd,apiserver,proxy --set proxy.extraArgs="--resolv-conf=$WORK/resolv.conf"

kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  clusterIP: ${SERVICES%.0.0/16}.7.7
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: out, namespace: default}
spec: {type: ExternalName, externalName: example.test}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: default, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: sql, port: 5432, protocol: TCP}]
endpoints:
- {addresses: [10.9.0.1], hostname: db-0, conditions: {ready: true}}
- {addresses: [10.9.0.2], conditions: {ready: true}}
- {addresses: [10.9.0.3], conditions: {ready: false}}
YAML

web=web.default.svc.cluster.local db=db.default.svc.cluster.local
check "a new Service has a name" eventually 10 given "${SERVICES%.0.0/16}.7.7" $web
check "a new slice has endpoints" eventually 10 given "10.9.0.1 10.9.0.2" $db
answers "the API server" "${SERVICES%.0.0/16}.0.1" kubernetes.default.svc.cluster.local
answers "over TCP" "${SERVICES%.0.0/16}.7.7" +tcp $web
answers "an endpoint by hostname" 10.9.0.1 db-0.$db
answers "an endpoint by address" 10.9.0.2 10-9-0-2.$db
answers "SRV" "0 100 80 $web." -t srv _http._tcp.$web
answers "SRV of a headless Service" "0 50 5432 10-9-0-2.$db. 0 50 5432 db-0.$db." -t srv _sql._tcp.$db
answers "a pod" 10.1.2.3 10-1-2-3.default.pod.cluster.local
answers "reverse of a Service" "$web." -x "${SERVICES%.0.0/16}.7.7"
answers "reverse of an endpoint" "db-0.$db." -x 10.9.0.1
answers "version" 1.1.0 -t txt dns-version.cluster.local
says "no AAAA: no data" "NOERROR" ask -t aaaa $web
says "no such Service" "NXDOMAIN" ask nothing.default.svc.cluster.local
says "with the zone's SOA" "ns.dns.cluster.local. hostmaster.cluster.local." ask nothing.default.svc.cluster.local
says "the question's case is kept" "WeB.DEFAULT.svc.cluster.local." ask WeB.DEFAULT.svc.cluster.local
says "EDNS version 1" "BADVERS" ask +edns=1 +noednsnegotiation $web
says "another class" "REFUSED" ask -c ch -t txt version.bind

# The first upstream is dead, the second is this server itself.
answers "a name outside" 192.0.2.7 www.example.test
answers "an ExternalName" "192.0.2.7 example.test." out.default.svc.cluster.local
says "truncated by UDP" " tc " ask +ignore big.test
check "whole by TCP" test "$(ask +short big.test | wc -l)" = 40
says "from the cache" "192.0.2.7" ask www.example.test
kill $upstream
says "upstream gone" "SERVFAIL" ask +tries=1 +time=8 other.test
upstream=

for i in $(seq 100); do printf -- '- {addresses: [10.8.0.%d]}\n' "$i"; done >"$WORK/endpoints"
kubectl apply -f - >/dev/null <<YAML
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-2, namespace: default, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints:
$(cat "$WORK/endpoints")
YAML
hundred() { [ "$(ask +short $db | wc -l)" = 102 ]; }
check "a hundred endpoints, by TCP" eventually 10 hundred
says "by UDP they do not fit" " tc " ask +ignore +bufsize=512 $db
kubectl delete service web >/dev/null
check "a deleted Service has no name" eventually 10 given "" $web
printf '\0\1\2' >"/dev/udp/$DNS/53"
answers "after bytes that are no message" 10.9.0.1 db-0.$db
