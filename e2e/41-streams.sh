#!/bin/bash
# Streams whose clients break every rule: what follows an upgrade is garbage, stops in the middle of a frame or never
# comes. Nothing of it may stay: no descriptor in the API server or the kubelet, no process in the container.
. "$(dirname "$0")/lib.sh"

check "up" cluster up
busybox_image docker.io/library/busybox:1 >/dev/null
check "the namespace has its account" eventually 10 kubectl get serviceaccount default
kubectl run p --image=busybox:1 -- sh -c 'httpd -p 8080 -h /; sleep 1000' >/dev/null
check "a pod runs" kubectl wait --for=condition=Ready pod/p --timeout=30s

cat >"$WORK/rude.py" <<'PY'
import base64, os, random, socket, ssl, struct, subprocess, sys, time

port, pki, seed = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
random.seed(seed)
context = ssl.create_default_context(cafile=f"{pki}/ca.crt")
context.check_hostname = False
context.load_cert_chain(f"{pki}/apiserver-kubelet.crt", f"{pki}/apiserver-kubelet.key")
kept = []

def connect(path, headers, method="GET"):
    s = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
    s.settimeout(10)
    lines = [f"{method} /api/v1/namespaces/default/pods/p/{path} HTTP/1.1", "Host: x", "Connection: Upgrade"] + headers
    s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        more = s.recv(1)
        if not more:
            break
        head += more
    assert b" 101 " in head.split(b"\r\n")[0], head
    return s

def spdy(path):
    protocol = "portforward.k8s.io" if path.startswith("portforward") else "v4.channel.k8s.io"
    return connect(path, ["Upgrade: SPDY/3.1", f"X-Stream-Protocol-Version: {protocol}"], "POST")

def websocket(path):
    protocol = "SPDY/3.1+portforward.k8s.io" if path.startswith("portforward") else "v5.channel.k8s.io"
    key = base64.b64encode(os.urandom(16)).decode()
    return connect(path, ["Upgrade: websocket", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
                          f"Sec-WebSocket-Protocol: {protocol}"])

def frame(data, first=0x82):
    n = len(data)
    head = bytes([first, 0x80 | n]) if n < 126 else bytes([first, 0x80 | 126]) + struct.pack(">H", n)
    return head + b"\0\0\0\0" + data

manners = {
    "leaves": lambda s: None,
    "garbage": lambda s: s.sendall(os.urandom(random.randrange(1, 5000))),
    "half a control frame": lambda s: s.sendall(b"\x80\x03\x00\x01\x00\x00\xff\xff" + b"x" * 9),
    "a huge frame": lambda s: s.sendall(b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + b"y" * 2000),
    "wrong channels": lambda s: s.sendall(frame(b"\x09abc") + frame(b"\xff\x07") + frame(b"") + frame(b"\x04{{{}}}")),
    "garbage in frames": lambda s: s.sendall(b"".join(frame(os.urandom(random.randrange(200))) for _ in range(20))),
    "pings and a close": lambda s: s.sendall(frame(b"x", 0x89) * 50 + frame(b"\x03\xe8", 0x88)),
    "input that nobody reads": lambda s: s.sendall(frame(b"\x00" + b"z" * 60000) * 20),
}
paths = ["exec?container=p&command=sleep&command=999&stdin=1&stdout=1&stderr=1",
         "exec?container=p&command=sh&stdin=1&stdout=1&tty=1", "attach?container=p&stdout=1&stdin=1", "portforward?ports=8080"]
for round in range(3):
    for path in paths:
        for name, act in manners.items():
            for open_stream in (spdy, websocket):
                s = open_stream(path)
                s.settimeout(3) # a server that has had enough does not read on
                try:
                    act(s)
                    if random.random() < 0.3:
                        s.recv(100)
                except (OSError, ssl.SSLError):
                    pass
                if random.random() < 0.5:
                    s.close()
                else:
                    kept.append(s)
for s in kept:
    s.close()
print("done", len(kept))
PY

descriptors() { ls "/proc/$(daemon "$1")/fd" | wc -l; }
settled() { # as many as before, but for a handful of connections that are kept for reuse
        [ "$(descriptors apiserver)" -le $((api_before + 6)) ] && [ "$(descriptors kubelet)" -le $((kubelet_before + 6)) ]
}
no_sleepers() { ! pgrep -f '^sleep 999' >/dev/null; }
api_before=$(descriptors apiserver) kubelet_before=$(descriptors kubelet)
api_pid=$(daemon apiserver) kubelet_pid=$(daemon kubelet)
says "rude clients" "done" timeout 300 python3 "$WORK/rude.py" "$PORT" "$ROOT/etc/colibri/pki" 1
check "every descriptor is closed" eventually 45 settled
[ $failures = 0 ] || ls -l "/proc/$(daemon kubelet)/fd" | awk '{ print $NF }' | sed 's/[0-9]*//g' | sort | uniq -c
echo "    descriptors: API server $api_before, then $(descriptors apiserver); kubelet $kubelet_before, then $(descriptors kubelet)"
check "every process is gone" eventually 20 no_sleepers
same_daemons() { [ "$(daemon apiserver) $(daemon kubelet)" = "$api_pid $kubelet_pid" ]; }
check "nothing died of it" same_daemons
says "and exec works" fine kubectl exec p -- echo fine

# A kubelet that is not there: an error in words, soon.
kill -STOP "$(daemon supervisor)"
kill -KILL "$(daemon kubelet)"
sleep 0.3
refused "logs without a kubelet" "connect: connection refused" kubectl logs p
refused "exec without a kubelet" "connect: connection refused" kubectl exec p -- true
kill -CONT "$(daemon supervisor)"
check "it comes back, and exec works" eventually 20 kubectl exec p -- true
check "down" cluster down
