"""An aggregated API server for tests: metrics.k8s.io/v1beta1 over HTTPS, for `kubectl top`.

    metrics-server.py CERT KEY CLIENT-CA ADDRESS PORT LOG

It asks for the front proxy's certificate, and writes every request to LOG: method, path, X-Remote-User and groups.
"""
import http.server
import json
import ssl
import sys

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
BASE = "/apis/%s/%s" % (GROUP, VERSION)
TIMES = {"timestamp": "2026-01-02T03:04:05Z", "window": "10s"}
NODE = {"kind": "NodeMetrics", "apiVersion": GROUP + "/" + VERSION, "metadata": {"name": "n1"},
        "usage": {"cpu": "250m", "memory": "512Mi"}, **TIMES}
POD = {"kind": "PodMetrics", "apiVersion": GROUP + "/" + VERSION, "metadata": {"name": "p1", "namespace": "default"},
       "containers": [{"name": "c", "usage": {"cpu": "7m", "memory": "33Mi"}}], **TIMES}


def items(kind, one):
    return {"kind": kind + "List", "apiVersion": GROUP + "/" + VERSION, "metadata": {}, "items": [one]}


def resource(name, kind, namespaced):
    return {"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]}


GET = {"operationId": "listNodeMetrics", "produces": ["application/json"], "responses": {"200": {
    "description": "OK", "schema": {"$ref": "#/definitions/io.k8s.metrics.v1beta1.NodeMetricsList"}}},
    "x-kubernetes-group-version-kind": {"group": GROUP, "kind": "NodeMetrics", "version": VERSION}}
TYPES = {"io.k8s.metrics.v1beta1.NodeMetricsList": {"type": "object", "description": "What nodes use."}}
DOCUMENTS = {
    BASE: {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP + "/" + VERSION,
           "resources": [resource("nodes", "NodeMetrics", False), resource("pods", "PodMetrics", True)]},
    BASE + "/nodes": items("NodeMetrics", NODE),
    BASE + "/nodes/n1": NODE,
    BASE + "/namespaces/default/pods": items("PodMetrics", POD),
    BASE + "/namespaces/default/pods/p1": POD,
    BASE + "/pods": items("PodMetrics", POD),
    "/openapi/v2": {"swagger": "2.0", "info": {"title": "m", "version": "1"}, "definitions": TYPES,
                    "paths": {BASE + "/nodes": {"get": GET}, "/elsewhere": {"get": GET}}},
    "/openapi/v3": {"paths": {BASE[1:]: {"serverRelativeURL": "/openapi/v3" + BASE + "?hash=ABCDEF"}}},
    "/openapi/v3" + BASE: {"openapi": "3.0.0", "info": {"title": "metrics of nodes"}, "paths": {}},
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        with open(sys.argv[6], "a") as log:
            log.write("%s %s %s %s\n" % (self.command, self.path, self.headers["X-Remote-User"],
                                         ",".join(self.headers.get_all("X-Remote-Group") or [])))
        if path == BASE + "/away":
            return self.answer(302, {}, Location="https://example.com/")
        if "Upgrade" in self.headers:
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", self.headers["Upgrade"])
            self.end_headers()
            self.wfile.write(b"echo:" + self.rfile.read(4))
            self.close_connection = True
        elif "watch=" in self.path:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for kind in "ADDED", "MODIFIED":
                line = json.dumps({"type": kind, "object": NODE}).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")
        elif path in DOCUMENTS:
            self.answer(200, DOCUMENTS[path])
        else:
            self.answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound",
                              "message": "there is no " + path})

    def answer(self, code, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True


server = Server((sys.argv[4], int(sys.argv[5])), Handler)
server.handle_error = lambda *args: print("metrics server:", sys.exc_info()[1], file=sys.stderr)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
context.load_verify_locations(sys.argv[3])
context.verify_mode = ssl.CERT_REQUIRED  # nobody but the front proxy
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
