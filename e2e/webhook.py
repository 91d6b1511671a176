"""A webhook for tests: HTTPS, and an answer by the path that was asked.

    webhook.py CERT KEY PORT-FILE LOG

It writes its port to PORT-FILE when it listens, and every review that comes to LOG, a line each.
"""
import base64
import http.server
import json
import ssl
import sys
import time


def verdict(path, request):
    """What is said about a request, as the response of a review; None hangs, a number is an HTTP status."""
    obj = request.get("object") or {}
    labels = (obj.get("metadata") or {}).get("labels") or {}
    if path == "/allow":
        return {"allowed": True, "warnings": ["looked at " + request.get("name", "")]}
    if path == "/deny":
        return {"allowed": False, "status": {"message": "not today", "code": 418, "reason": "Teapot"}}
    if path == "/silent":
        return {"allowed": False}
    if path.startswith("/label/"):  # /label/KEY: set to how often it was, from 1
        key = path.split("/")[2]
        value = str(int(labels.get(key, "0")) + 1)
        patch = [{"op": "add", "path": "/metadata/labels", "value": {}}] if not labels else []
        return patched(patch + [{"op": "add", "path": "/metadata/labels/" + key, "value": value}])
    if path == "/once":
        return {"allowed": True} if "once" in labels else patched(
            [{"op": "add", "path": "/metadata/labels", "value": dict(labels, once="yes")}])
    if path == "/lost":
        return patched([{"op": "remove", "path": "/nowhere"}])
    if path == "/replicas":
        return patched([{"op": "replace", "path": "/spec/replicas", "value": 2}])
    if path == "/hang":
        time.sleep(10)
        return {"allowed": True}
    if path == "/broken":
        return 500
    if path == "/other-uid":
        return {"allowed": True, "uid": "other"}
    return 404


def convert(path, request):
    """The response of a ConversionReview: v1beta1 has spec.host and spec.port, v1 has spec.hostPort."""
    if path == "/convert-broken":
        return 500
    if path == "/convert-refuse":
        return {"result": {"status": "Failure", "message": "not that one"}}
    objects = []
    for obj in request["objects"]:
        spec = obj.get("spec") or {}
        if request["desiredAPIVersion"].endswith("/v1"):
            spec["hostPort"] = spec.pop("host", "") + ":" + spec.pop("port", "")
        else:
            spec["host"], spec["port"] = spec.pop("hostPort", ":").split(":")
        obj["apiVersion"] = request["desiredAPIVersion"]
        if path == "/convert-rename":
            obj["metadata"]["name"] = "other"
        objects.append(obj)
    return {"result": {"status": "Success"}, "convertedObjects": objects[1:] if path == "/convert-lose" else objects}


def patched(patch):
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.split("?")[0]
        review = json.loads(body)
        with open(sys.argv[4], "a") as log:
            log.write(self.path + " " + self.headers["Host"] + " " + json.dumps(review) + "\n")
        if review["kind"] == "EventList":  # of the audit log
            self.answer(200, "application/json", b"{}")
            return
        said = (convert if "desiredAPIVersion" in review["request"] else verdict)(path, review["request"])
        if isinstance(said, int):
            self.answer(said, "text/plain", b"no such luck\n")
            return
        said.setdefault("uid", review["request"]["uid"])
        self.answer(200, "application/json", json.dumps(
            {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": said}).encode())

    def answer(self, code, kind, body):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("", 0), Handler)
server.handle_error = lambda *args: None  # clients that did not wait
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
with open(sys.argv[3], "w") as f:
    f.write(str(server.server_address[1]))
server.serve_forever()
