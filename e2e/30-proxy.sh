#!/bin/bash
# Services: colibri-proxy on a real API server, plain processes in network namespaces as pods.
. "$(dirname "$0")/lib.sh"
PREFIX=${SERVICES%.0.0/16}
TABLE=proxytest
SETTINGS="--set kubelet.nodeName=here --set network.nftTable=$TABLE --set network.clusterCIDR=10.244.0.0/16 --set apiserver.advertiseAddress=198.51.100.1"
PODS=10.244.0
NODE=198.51.100.1  # this machine, as others see it
OTHER=198.51.100.9 # a machine outside the cluster

# --- a machine with a bridge of pods, and a neighbour ---
# server NAME: says who it is and who asked, on TCP and UDP port 8080
cat >"$WORK/server.py" <<'PY'
import socket, sys, threading
name = sys.argv[1].encode()
tcp = socket.create_server(("0.0.0.0", 8080), backlog=128)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", 8080))
def datagrams():
    while True:
        _, peer = udp.recvfrom(2000)
        udp.sendto(name + b" " + peer[0].encode(), peer)
threading.Thread(target=datagrams, daemon=True).start()
while True:
    c, peer = tcp.accept()
    c.sendall(name + b" " + peer[0].encode())
    c.close()
PY
# client tcp|udp ADDRESS PORT [COUNT [SOURCE PORT]]: the answers, or why there is none
cat >"$WORK/client.py" <<'PY'
import socket, sys
kind, addr, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
count = int(sys.argv[4]) if len(sys.argv) > 4 else 1
source = int(sys.argv[5]) if len(sys.argv) > 5 else 0
for _ in range(count):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(1)
    if source:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("0.0.0.0", source))
    try:
        s.connect((addr, port))
        if kind == "udp":
            s.send(b"?")
        print(s.recv(200).decode())
    except TimeoutError:
        print("timeout")
    except OSError as e:
        print("refused" if e.errno == 111 else e.strerror)
    s.close()
PY

namespace() { # NAME ADDRESS GATEWAY: on the bridge
        local name=$1 address=$2 gateway=$3 bridge=$4
        ip netns add "$name"
        ip link add "v-$name" type veth peer name eth0 netns "$name"
        ip link set "v-$name" master "$bridge" up
        ip link set "v-$name" type bridge_slave hairpin on
        ip netns exec "$name" sh -c "ip link set lo up; ip addr add $address/24 dev eth0; ip link set eth0 up; ip route add default via $gateway"
}
ip link add pods type bridge
ip addr add $PODS.1/24 dev pods
ip link set pods up
ip link add lan type bridge
ip addr add $NODE/24 dev lan
ip link set lan up
for i in 1 2 3; do
        namespace "pod$i" "$PODS.1$i" $PODS.1 pods
        ip netns exec "pod$i" python3 "$WORK/server.py" "pod$i" &
done
namespace other $OTHER $NODE lan
ip netns exec other python3 "$WORK/server.py" other &
servers=$(jobs -p)
cleanup() { kill $servers 2>/dev/null; }

from() { # WHERE KIND ADDRESS PORT [COUNT [SOURCE]]
        local where=$1
        shift
        if [ "$where" = host ]; then
                python3 "$WORK/client.py" "$@"
        else
                ip netns exec "$where" python3 "$WORK/client.py" "$@"
        fi
}
# who answers: the names, without doubles
names() { from "$@" | cut -d' ' -f1 | sort -u | xargs; }

# service NAME IP [SPEC [NODEPORT]]: port 80, TCP and UDP; SPEC: more members of its spec
service() {
        local node=""
        [ -n "${4:-}" ] && node=",\"nodePort\":$4"
        kubectl apply -f - <<EOF
{"apiVersion":"v1","kind":"Service","metadata":{"name":"$1"},"spec":{"clusterIP":"$2",
 "ports":[{"name":"t","port":80,"protocol":"TCP"$node},{"name":"u","port":80,"protocol":"UDP"$node}]${3:+,$3}}}
EOF
}
# endpoints SERVICE SUFFIX POD...: a slice; POD is pod1, pod1:notready, pod1:terminating, or pod1@othernode
endpoints() {
        local service=$1 slice=$2 list="" pod ip conditions node
        shift 2
        for pod; do
                conditions='{"ready":true}' node=here
                case $pod in *@*) node=${pod#*@} ;; esac
                case $pod in
                *:notready) conditions='{"ready":false,"serving":false,"terminating":false}' ;;
                *:terminating) conditions='{"ready":false,"serving":true,"terminating":true}' ;;
                esac
                ip=$PODS.1${pod:3:1}
                list="$list${list:+,}{\"addresses\":[\"$ip\"],\"conditions\":$conditions,\"nodeName\":\"$node\"}"
        done
        kubectl apply -f - <<EOF
{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"$service-$slice","labels":{"kubernetes.io/service-name":"$service"}},
 "addressType":"IPv4","ports":[{"name":"t","port":8080,"protocol":"TCP"},{"name":"u","port":8080,"protocol":"UDP"}],"endpoints":[$list]}
EOF
}
answers() { [ "$(names "${@:2}")" = "$1" ] || { from "${@:2}"; return 1; }; }
# soon NAME EXPECTED from's arguments
soon() { check "$1" eventually 5 answers "${@:2}"; }

check "up" cluster up --components=etcd,apiserver,proxy
check "the table is there" eventually 10 nft list table ip $TABLE
A=$PREFIX.1.1 B=$PREFIX.1.2

# --- ClusterIP ---
check "a Service" service a $A
check "its endpoints" endpoints a x pod1 pod2
soon "from the host, both endpoints" "pod1 pod2" host tcp $A 80 30
soon "UDP" "pod1 pod2" host udp $A 80 30
soon "from a pod" "pod1 pod2" pod3 tcp $A 80 30
soon "a pod that reaches itself" "pod1 pod2" pod1 tcp $A 80 30
says "a pod is seen under its own address" "$PODS.13" from pod3 tcp $A 80
soon "from outside, by a route to this node" "pod1 pod2" other tcp $A 80 30
soon "an address without Service is refused" refused host tcp $PREFIX.77.7 80
soon "to pods too" refused pod1 tcp $PREFIX.77.7 80
soon "another port of a Service is refused" refused pod1 tcp $A 81
soon "UDP is refused too" refused pod1 udp $A 81
check "a second slice" endpoints a y pod3
soon "endpoints of both slices" "pod1 pod2 pod3" host tcp $A 80 60
check "not ready" endpoints a x pod1 pod2:notready
soon "gets nothing" "pod1 pod3" host tcp $A 80 40
check "all are gone but one that terminates" endpoints a x pod1:terminating pod2:notready
check "all are gone but one that terminates" endpoints a y
soon "which serves" "pod1" host tcp $A 80 10
check "the last one goes" endpoints a x
soon "then it is refused" refused host tcp $A 80
soon "to pods too" refused pod1 tcp $A 80
says "a pod reaches the outside under this node's address" "other $NODE" from pod1 tcp $OTHER 8080

check "a Service goes" kubectl delete service a
soon "and is refused" refused host tcp $A 80

# --- from outside: node ports, external addresses, balancers ---
C=$PREFIX.1.3
service n $C '"type":"NodePort"' 30080 >/dev/null
endpoints n x pod1 pod2@there >/dev/null
soon "a node port, from outside" "pod1 pod2" other tcp $NODE 30080 30
says "the client is masqueraded" "$PODS.1" from other tcp $NODE 30080
soon "from a pod" "pod1 pod2" pod3 tcp $NODE 30080 30
soon "from the host to itself" "pod1 pod2" host tcp $NODE 30080 30
soon "on loopback" "pod1 pod2" host tcp 127.0.0.1 30080 30
soon "UDP on loopback" "pod1 pod2" host udp 127.0.0.1 30080 30
namespace bad 198.51.100.10 $NODE lan # sends packets for 127.0.0.1 to us
ip -n bad rule add lookup local pref 10
ip -n bad rule delete pref 0
ip -n bad rule add to 127.0.0.0/8 lookup 7 pref 5
ip -n bad route add 127.0.0.0/8 via $NODE table 7
ip netns exec bad sysctl -qw net.ipv4.conf.all.route_localnet=1
soon "the neighbours do not reach our loopback" timeout bad tcp 127.0.0.1 30080
service n $C '"type":"NodePort","externalTrafficPolicy":"Local"' 30080 >/dev/null
soon "policy Local: this node's endpoints only" "pod1" other tcp $NODE 30080 30
says "which see the client itself" "pod1 $OTHER" from other tcp $NODE 30080
soon "pods are not outside" "pod1 pod2" pod3 tcp $NODE 30080 30
soon "nor is the host" "pod1 pod2" host tcp 127.0.0.1 30080 30
endpoints n x pod2@there >/dev/null
soon "none here: dropped" timeout other tcp $NODE 30080
endpoints n x >/dev/null
soon "none anywhere: refused" refused other tcp $NODE 30080
kubectl delete service n >/dev/null
service n $C >/dev/null
endpoints n x pod1 >/dev/null
soon "no node port any more" refused other tcp $NODE 30080

service n $C '"internalTrafficPolicy":"Local"' >/dev/null
endpoints n x pod1@there pod2 >/dev/null
soon "internal policy Local" pod2 pod3 tcp $C 80 20
endpoints n x pod1@there >/dev/null
soon "internal policy Local, none here" timeout pod3 tcp $C 80

ip -n other route add 203.0.113.0/24 via $NODE
ip route add 203.0.113.0/24 via $OTHER # as hosts have a default route
service n $C '"externalIPs":["203.0.113.7"]' >/dev/null
endpoints n x pod1 >/dev/null
soon "an external address" pod1 other tcp 203.0.113.7 80
soon "an external address, from a pod" pod1 pod2 tcp 203.0.113.7 80
endpoints n x >/dev/null
soon "an external address without endpoints" refused other tcp 203.0.113.7 80
service n $C '"type":"LoadBalancer","loadBalancerSourceRanges":["198.51.100.8/30"]' >/dev/null
kubectl patch service n --subresource=status --type=merge -p '{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.8"}]}}}' >/dev/null ||
        kubectl replace --raw /api/v1/namespaces/default/services/n/status -f <(kubectl get service n -o json | jq '.status.loadBalancer.ingress=[{ip:"203.0.113.8"}]') >/dev/null
endpoints n x pod1 >/dev/null
soon "a balancer's address, from its ranges" pod1 other tcp 203.0.113.8 80
soon "but from nowhere else" timeout pod2 tcp 203.0.113.8 80
service n $C '"type":"LoadBalancer","externalTrafficPolicy":"Local","healthCheckNodePort":30090' >/dev/null
health() { ip netns exec other curl -s -m 2 -o /dev/null -w '%{http_code}' "http://$NODE:30090/healthz"; }
is() { [ "$(health)" = "$1" ] || { health; return 1; }; }
check "a node with endpoints is healthy" eventually 5 is 200
endpoints n x pod1@there >/dev/null
check "one without is not" eventually 5 is 503
kubectl delete service n >/dev/null
check "no Service, no health check" eventually 5 is 000

# --- affinity ---
D=$PREFIX.1.4
service s $D '"sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":30}}' >/dev/null
endpoints s x pod1 pod2 pod3 >/dev/null
one() { [ "$(names "$@" | wc -w)" = 1 ]; }
eventually 5 one host tcp $D 80 2
check "affinity: one client, one endpoint" one host tcp $D 80 40
check "every client has its own" one other tcp $D 80 40
sticky=$(names other tcp $D 80)
endpoints s x pod1 pod2 pod3 pod1:notready >/dev/null
endpoints s y $([ "$sticky" = pod1 ] && echo pod2 || echo pod1) >/dev/null
check "it stays when others change" answers "$sticky" other tcp $D 80 10
service s $D '"sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":2}}' >/dev/null
several() { [ "$(for i in $(seq 3); do from host tcp $D 80; sleep 2.2; done | cut -d' ' -f1 | sort -u | wc -l)" -gt 1 ]; }
check "after the timeout it may be another" eventually 60 several
endpoints s y >/dev/null
endpoints s x pod2 >/dev/null
soon "when the endpoint goes, another takes over" pod2 other tcp $D 80 5
kubectl delete service s >/dev/null

# --- UDP remembers ---
E=$PREFIX.1.5
service u $E '"type":"NodePort"' 30081 >/dev/null
endpoints u x pod1 >/dev/null
soon "a UDP client with one port" pod1 other udp $E 80 1 5555
soon "on a node port" pod1 other udp $NODE 30081 1 5556
endpoints u x pod2 >/dev/null
soon "follows when the endpoint goes" pod2 other udp $E 80 1 5555
soon "on a node port too" pod2 other udp $NODE 30081 1 5556
kubectl delete service u >/dev/null
soon "and when the Service goes" refused other udp $E 80 1 5555

soon "other ports of the resolver's address are refused" refused pod1 tcp $PREFIX.0.10 80

# --- the proxy dies, and comes back ---
service b $B >/dev/null
endpoints b x pod1 >/dev/null
soon "another Service" pod1 host tcp $B 80
kill -KILL "$(daemon proxy)"
soon "it answers while the proxy is dead" pod1 host tcp $B 80
endpoints b x pod2 >/dev/null
soon "and follows its endpoints once it is back" pod2 host tcp $B 80
whole() { [ "$(grep -c "writing the whole table" "$ROOT/var/log/colibri/proxy.log")" = "$1" ]; }
check "no transaction was refused until here" whole 0
nft flush ruleset
soon "a lost table is written again" pod2 host tcp $B 80
eventually 5 grep -q "written: .* entries" "$ROOT/var/log/colibri/proxy.log"
endpoints b x pod3 >/dev/null
soon "and then follows" pod3 host tcp $B 80
check "nor after" whole 0

# --- another cluster with the same range and addresses comes and goes ---
other_proxy() { # in a subshell
        exec colibri-proxy --kubeconfig="$ROOT/etc/colibri/pki/proxy.kubeconfig" --nft-table=second --service-cluster-ip-range="$SERVICES" \
                --cluster-cidr=10.245.0.0/16 --hostname-override=here "$@"
}
other_proxy >"$WORK/second.log" 2>&1 &
second=$!
check "a second table" eventually 10 nft list chain ip second lb/tcp/1
kill $second
wait $second
check "its cleanup" other_proxy --cleanup
refused "it is gone" "No such file" nft list table ip second
soon "the first still serves" pod3 host tcp $B 80
says "and 127.0.0.0/8 is still open" 1 cat /proc/sys/net/ipv4/conf/all/route_localnet

# --- a firewall in the way ---
nft add table inet wall
nft add chain inet wall forward '{ type filter hook forward priority 0; policy drop; }'
nft delete table ip $TABLE
check "a firewall that drops what pods send is named in the log" eventually 5 \
        grep -q "table inet wall drops what is forwarded" "$ROOT/var/log/colibri/proxy.log"
nft delete table inet wall

# --- nothing stays ---
check "down" cluster down
refused "no table is left" "No such file" nft list table ip $TABLE
refused "no interface is left" "does not exist" ip link show $TABLE-svc
says "127.0.0.0/8 is closed again" 0 cat /proc/sys/net/ipv4/conf/all/route_localnet
