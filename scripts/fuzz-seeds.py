#!/usr/bin/env python3
"""Seeds for the fuzzers: small bodies of the shapes that clients send, one file each below DIR/<fuzzer>/.

    fuzz-seeds.py DIR
"""
import base64
import json
import pathlib
import sys


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def message(*fields):
    """Protobuf: (number, bytes, text or int) ..."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


CONTAINER = {"name": "c", "image": "nginx:1.25", "ports": [{"containerPort": 80, "protocol": "TCP"}],
             "env": [{"name": "A", "value": "b"}, {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
             "resources": {"limits": {"cpu": "500m", "memory": "1.5Gi"}}}
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [CONTAINER], "volumes": [{"name": "v", "emptyDir": {}}]}}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment",
              "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}, "annotations": {"a/b": "\u00e9\n"}},
              "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}}
FIELDS = {"f:metadata": {"f:labels": {".": {}, "f:app": {}}},
          "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {
              'k:{"name":"c"}': {".": {}, "f:image": {}, "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}}}}},
              "f:finalizers": {'v:"x"': {}}, "f:list": {"i:0": {}}}}}}
ENTRIES = [{"manager": manager, "operation": operation, "apiVersion": "apps/v1", "time": "2026-01-02T03:04:05Z",
            "fieldsType": "FieldsV1", "fieldsV1": FIELDS} for manager, operation in
           (("kubectl", "Apply"), ("kubectl-client-side-apply", "Update"), ("m", "Apply"))]
SCHEMA = {"type": "object", "required": ["spec"], "properties": {"spec": {"type": "object", "properties": {
    "n": {"type": "integer", "minimum": 0, "maximum": 9, "default": 1, "multipleOf": 1},
    "s": {"type": "string", "pattern": "^[a-z]+(-[a-z0-9]{1,3})?$", "minLength": 1, "maxLength": 9, "format": "hostname"},
    "e": {"type": "string", "enum": ["A", "B"], "nullable": True},
    "ios": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
    "set": {"type": "array", "x-kubernetes-list-type": "set", "maxItems": 5, "items": {"type": "string", "maxLength": 5}},
    "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}},
    "more": {"type": "object", "additionalProperties": {"type": "number"}, "maxProperties": 4},
    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "pod": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"x": {"type": "string"}}},
    "one": {"type": "object", "oneOf": [{"required": ["x"]}, {"not": {"required": ["y"]}}],
            "properties": {"x": {"type": "string"}, "y": {"type": "string"}}}},
    "x-kubernetes-validations": [{"rule": "self.n < 5 || self.s.matches('^a')", "message": "no", "fieldPath": ".n"},
                                 {"rule": "self.n >= oldSelf.n", "messageExpression": "'was ' + string(oldSelf.n)"}]}}}
INSTANCE = {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "f"},
            "spec": {"n": 3, "s": "ab-1", "e": "A", "ios": "5%", "set": ["a", "b"], "map": [{"k": "x", "v": 1}], "more": {"a": 1.5},
                     "free": {"any": [None, True]}, "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}},
                     "one": {"x": "1"}, "extra": 1}}


def text(value):
    return json.dumps(value, separators=(",", ":"))


def lines(*values):
    return "\n".join(text(v) for v in values)


def unknown(kind, raw):
    """An object in Kubernetes' envelope for protobuf."""
    return b"k8s\0" + message((1, message((1, kind[0]), (2, kind[1]))), (2, raw))


def token(header, claims):
    return ".".join(base64.urlsafe_b64encode(text(v).encode()).decode().rstrip("=") for v in (header, claims)) + ".c2lnbmF0dXJl"


LABEL = message((1, "app"), (2, "web"))
PORT = message((3, 80), (4, "TCP"))
POD = message((1, message((1, "p"), (3, "default"), (11, LABEL))),
              (2, message((2, message((1, "c"), (2, "i"), (6, PORT))), (3, "Always"), (4, 30))))
CEL = ["self.a == 1 && o.l.all(x, x != 3)", "o.m.exists(k, o.m[k])", "has(o.s) ? o.s.matches('^[a-z]+$') : false",
       "[1, 2, 3].map(x, x * 2).filter(x, x > 2).size()", "quantity('1.5Gi').isGreaterThan(quantity('1Mi'))",
       "ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP('10.1.2.3')", "url('https://a.b/c?d=e').getHost()",
       "'a,b'.split(',').join('-').upperAscii()", "timestamp('2026-01-02T03:04:05Z') + duration('1h')",
       "optional.of(1).orValue(2)", "o.?x.orValue('none')", "semver('1.2.3').isLessThan(semver('2.0.0'))",
       "'abc 123'.findAll('[0-9]+')", "{'a': [1u, 2.5, b'x', null]}", "format.dns1123Label().validate('A')",
       "sets.contains([1, 2], [2])", "[3, 1].sum() + [3, 1].min()", "string(1.5) + string(true)", "dyn(1) == 1.0"]
PATTERNS = ["^[a-z0-9]([-a-z0-9]*[a-z0-9])?$\nweb-0", "^(\\d{1,3}\\.){3}\\d{1,3}$\n10.0.0.1", "(?i)^A+b?|c*$\naab", "[^\\s\\w-]+\n##",
            "^(?:a|ab)(?:c|bcd)(d*)$\nabcd", "(a*)*b\naaaaaaaaaaaaaa", "\\pL+\\x41[[:alpha:]]\n\u00e9A", "x{2,}y{3}z{0,4}?\nxxyyy",
            "\\bword\\B\nword", "(?P<name>a.)\\z\nab", "(?s).\\Q.*\\E$\na.*", "((a{10}){10}){10}\na"]
YAML = ["a: 1\nb: [x, {y: ~}]\n---\n- &x !!str 5\n- *x\n- |\n  text\n- >-\n  folded\n", "a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "? complex\n: 0o17\n'q': \"\\u00e9\"\n<<: {z: .inf}\n", "apiVersion: v1\nkind: List\nitems:\n- {kind: Pod}\n"]
HTTP = ["GET /api/v1/pods?limit=5 HTTP/1.1\r\nHost: a\r\nAccept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n\r\n",
        "POST /apis HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n",
        "PUT / HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive, Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nabc"]
PATCHES = [([{"op": "test", "path": "/spec/replicas", "value": 3}, {"op": "move", "from": "/metadata/labels", "path": "/spec/x~1y"},
             {"op": "add", "path": "/spec/template/spec/containers/-", "value": CONTAINER}, {"op": "remove", "path": "/metadata/name"},
             {"op": "copy", "from": "/spec", "path": "/status"}, {"op": "replace", "path": "", "value": {}}]),
           {"spec": {"replicas": None, "template": {"spec": {"containers": [{"name": "c", "image": "x"}, {"name": "d", "$patch": "delete"}],
                                                              "$setElementOrder/containers": [{"name": "d"}, {"name": "c"}],
                                                              "$retainKeys": ["containers"]}}},
            "metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["b"]}}, DEPLOYMENT]
SEEDS = {
    "fuzz-json": [text(DEPLOYMENT), '{"a":1e400,"a":-0,"b":"\\ud83d\\ude00\\u0000"}', "[" * 60 + "]" * 60],
    "fuzz-yaml": YAML,
    "fuzz-protobuf": [unknown(("v1", "Pod"), POD), b"\0" + POD, b"\1" + message((1, message((1, "d"))), (2, message((1, 3)))),
                      b"\2" + message((1, message((1, "x"))), (2, message((1, "g"), (3, message((1, "foos"), (4, "Foo"))))))],
    "fuzz-selector": ["app=web,tier!=a,env in (x,y),z notin (q),!gone,here", "metadata.name=a,spec.nodeName!=b\\,c", "x>5,y<3,,a==b"],
    "fuzz-patch": [lines(DEPLOYMENT, p) for p in PATCHES],
    "fuzz-managed-fields": [lines(ENTRIES, DEPLOYMENT), lines(ENTRIES[:1], {**DEPLOYMENT, "metadata": {"name": "web", "managedFields": ENTRIES}}),
                            lines([], {**DEPLOYMENT, "metadata": {"managedFields": [{}]}})],
    "fuzz-crd": [lines(SCHEMA, INSTANCE), lines({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, INSTANCE)]
                + [lines({"type": "object", "properties": {"spec": {"type": "object", "properties": {key: value}}}}, INSTANCE)
                   for key, value in SCHEMA["properties"]["spec"]["properties"].items()],
    "fuzz-cel": CEL,
    "fuzz-quantity": ["1.5Gi", "100m", "-3e6", "9223372036854775808Ei", "0.000000001n", "+.5k"],
    "fuzz-regexp": PATTERNS,
    "fuzz-http": HTTP,
    "fuzz-http-client": ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n",
                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    "fuzz-jwt": [token({"alg": "RS256", "kid": "k"}, {"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:a:b", "exp": 9e9,
                                                      "aud": ["x"], "kubernetes.io": {"namespace": "a", "serviceaccount": {"name": "b"}}}),
                 token({"alg": "none"}, {})],
    "fuzz-image": [text({"architecture": "amd64", "os": "linux", "config": {"Env": ["A=b"], "Cmd": ["sh"], "Entrypoint": ["/x"], "User": "u:1",
                         "WorkingDir": "/w", "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGQUIT"}, "rootfs": {"type": "layers", "diff_ids": ["sha256:0"]}})
                   + "\0root:x:0:0:r:/root:/bin/sh\nu:x:5:6::/:\0g:x:6:u\n\0u:g\0" + text({"auths": {"reg.io:5000": {"auth": "dTpw"}}}) + "\0{}"],
    "fuzz-dns": [b"\0\1\1\0\0\1\0\0\0\0\0\0\3web\7default\3svc\7cluster\5local\0\0\1\0\1"],
    "fuzz-websocket": [b"\x82\x85\1\2\3\4\1kkkk", b"\x89\0\x88\2\3\xe8"],
    "fuzz-spdy": [b"\x80\3\0\4\0\0\0\x0c\0\0\0\1\0\0\0\4\0\0\0\x64"],
    "fuzz-etcd-wire": [message((1, message((3, 7))), (2, message((1, "/registry/pods/a/b"), (2, 3), (3, 7), (5, "{}"))), (4, 1)),
                       message((1, message((3, 7))), (11, message((1, 1), (2, message((1, "/registry/x"), (3, 7))))))],
}

if __name__ == "__main__":
    for fuzzer, bodies in SEEDS.items():
        folder = pathlib.Path(sys.argv[1]) / fuzzer
        folder.mkdir(parents=True, exist_ok=True)
        for i, body in enumerate(bodies):
            (folder / f"seed-{i:02}").write_bytes(body.encode() if isinstance(body, str) else body)
