"""The Python client against colibri: typed, dynamic, watches, an informer, exec, logs, port-forward.

Each check prints "ok - ..." or "not ok - ...". The checks build on each other and share a namespace.
"""
import socket
import sys
import threading
import time
import traceback

import yaml
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError
from kubernetes.informer.informer import SharedInformer
from kubernetes.stream import portforward, stream

NS = "python"
failures = 0

CRD = yaml.safe_load("""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.python.example.com}
spec:
  group: python.example.com
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat, listKind: BoatList}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {length: {type: integer}, name: {type: string, default: Nobody}}}
          status: {type: object, properties: {afloat: {type: boolean}}}
""")
POD = yaml.safe_load("""
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: p}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox:1
    command: [sh, -c, 'mkdir /w; echo page > /w/index.html; echo one; echo two; exec httpd -f -p 8080 -h /w']
""")


def check(function):
    """Runs a check; what it raises is why it failed."""
    global failures
    name = "python: " + function.__doc__
    begin = time.time()
    try:
        function()
        print(f"ok - {name} ({time.time() - begin:.1f} s)", flush=True)
    except Exception:
        failures += 1
        print(f"not ok - {name}\n    " + traceback.format_exc().replace("\n", "\n    "), flush=True)


def until(condition, seconds=30):
    """Waits until a condition gives something, and returns that."""
    end = time.time() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.time() < end, f"still after {seconds} s: {result!r}"
        time.sleep(0.05)


config.load_kube_config()
core, apps, custom = client.CoreV1Api(), client.AppsV1Api(), client.CustomObjectsApi()
dyn = dynamic.DynamicClient(client.ApiClient())


@check
def typed():
    """typed objects come back as they went"""
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NS)))
    until(lambda: core.list_namespaced_service_account(NS).items)
    core.create_namespaced_pod(NS, POD)
    secret = client.V1Secret(metadata=client.V1ObjectMeta(generate_name="s-"), string_data={"a": "b"})
    made = core.create_namespaced_secret(NS, secret)
    assert made.metadata.name.startswith("s-") and made.data == {"a": "Yg=="} and made.type == "Opaque", made
    assert made.metadata.creation_timestamp.tzinfo is not None
    for item in core.list_node().items:
        assert item.status.node_info.kubelet_version


@check
def errors():
    """errors are a Status"""
    for code, reason, call in [
        (404, "NotFound", lambda: core.read_namespaced_pod("absent", NS)),
        (409, "AlreadyExists", lambda: core.create_namespace({"metadata": {"name": NS}})),
        (422, "Invalid", lambda: core.create_namespaced_service(NS, {"metadata": {"name": "x"}, "spec": {}})),
    ]:
        try:
            call()
            raise AssertionError(f"no {code}")
        except ApiException as e:
            assert e.status == code and f'"reason":"{reason}"' in e.body, (code, e.body)


@check
def watches():
    """a watch sees all, in order, and resumes"""
    version = core.list_namespaced_config_map(NS).metadata.resource_version
    made = core.create_namespaced_config_map(NS, {"metadata": {"name": "w"}, "data": {"n": "0"}})
    for n in range(1, 5):
        core.patch_namespaced_config_map("w", NS, {"data": {"n": str(n)}})
    core.delete_namespaced_config_map("w", NS)
    got = []
    for since, wanted in [(version, 6), (made.metadata.resource_version, 5)]:
        w, got = watch.Watch(), []
        for event in w.stream(core.list_namespaced_config_map, NS, resource_version=since, timeout_seconds=10):
            if event["object"].metadata.name == "w":
                got.append((event["type"], event["object"].data["n"]))
            if len(got) == wanted:
                w.stop()
        assert len(got) == wanted and got[-1] == ("DELETED", "4") and got[-2] == ("MODIFIED", "4"), got


@check
def informer():
    """an informer"""
    seen = []
    maps = SharedInformer(list_func=core.list_namespaced_config_map, namespace=NS)
    for what in "ADDED", "MODIFIED", "DELETED":
        maps.add_event_handler(what, lambda o, what=what: seen.append((what, o.metadata.name)))
    maps.start()
    until(lambda: ("ADDED", "kube-root-ca.crt") in seen)
    core.create_namespaced_config_map(NS, {"metadata": {"name": "i"}})
    until(lambda: ("ADDED", "i") in seen)
    core.patch_namespaced_config_map("i", NS, {"data": {"a": "b"}})
    until(lambda: maps.cache.get_by_key(NS + "/i").data == {"a": "b"})
    core.delete_namespaced_config_map("i", NS)
    until(lambda: ("DELETED", "i") in seen)
    maps.stop()


@check
def from_yaml():
    """create_from_yaml: a definition, then its kind by the custom API"""
    utils.create_from_dict(client.ApiClient(), CRD)

    def made():
        try:
            return custom.create_namespaced_custom_object("python.example.com", "v1", NS, "boats", {
                "apiVersion": "python.example.com/v1", "kind": "Boat", "metadata": {"name": "b"}, "spec": {"length": 7}})
        except ApiException as e:
            assert e.status == 404, e
            return None
    boat = until(made)
    assert boat["spec"] == {"length": 7, "name": "Nobody"}, boat
    custom.patch_namespaced_custom_object_status("python.example.com", "v1", NS, "boats", "b", {"status": {"afloat": True}})
    assert custom.get_namespaced_custom_object("python.example.com", "v1", NS, "boats", "b")["status"] == {"afloat": True}


@check
def every_kind():
    """the dynamic client finds and lists every kind"""
    n = 0
    for resource in dyn.resources.search():
        if "list" in (resource.verbs or []) and resource.kind and not resource.kind.endswith("List"):
            resource.get()
            n += 1
    assert n > 60, n


@check
def dynamic_client():
    """the dynamic client: apply, patches, conflicts, watch, delete"""
    boats = dyn.resources.get(api_version="python.example.com/v1", kind="Boat")
    seen = []

    def follow():
        for event in boats.watch(namespace=NS, timeout=30, resource_version=boats.get(namespace=NS).metadata.resourceVersion):
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                return
    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    time.sleep(0.3)
    body = {"apiVersion": "python.example.com/v1", "kind": "Boat", "metadata": {"name": "d"}, "spec": {"length": 3}}
    boats.server_side_apply(body=body, namespace=NS, field_manager="one")
    try:
        body["spec"]["length"] = 4
        boats.server_side_apply(body=body, namespace=NS, field_manager="two")
        raise AssertionError("no conflict")
    except ConflictError:
        pass
    boats.server_side_apply(body=body, namespace=NS, field_manager="two", force_conflicts=True)
    boats.patch(name="d", namespace=NS, body=[{"op": "replace", "path": "/spec/name", "value": "Ada"}], content_type="application/json-patch+json")
    boat = boats.get(name="d", namespace=NS)
    assert (boat.spec.length, boat.spec.name) == (4, "Ada"), boat
    boat.spec.length = 5
    boats.replace(body=boat.to_dict(), namespace=NS)
    boats.delete(name="d", namespace=NS)
    follower.join(10)
    assert seen == [("ADDED", "d")] + [("MODIFIED", "d")] * 3 + [("DELETED", "d")], seen
    try:
        boats.get(name="d", namespace=NS)
        raise AssertionError("it is there")
    except NotFoundError:
        pass


@check
def rollout():
    """a Deployment, scaled and taken away with its pods"""
    template = {"metadata": {"labels": {"app": "d"}}, "spec": POD["spec"]}
    apps.create_namespaced_deployment(NS, {"metadata": {"name": "d"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "d"}}, "template": template}})
    apps.patch_namespaced_deployment_scale("d", NS, {"spec": {"replicas": 2}})
    until(lambda: apps.read_namespaced_deployment_status("d", NS).status.ready_replicas == 2)
    apps.delete_namespaced_deployment("d", NS, propagation_policy="Foreground")
    until(lambda: not core.list_namespaced_pod(NS, label_selector="app=d").items)


@check
def logs():
    """logs, at once and followed"""
    until(lambda: core.read_namespaced_pod_status("p", NS).status.phase == "Running")
    until(lambda: core.read_namespaced_pod_log("p", NS) == "one\ntwo\n")
    w, lines = watch.Watch(), []
    for line in w.stream(core.read_namespaced_pod_log, "p", NS, follow=True):
        lines.append(line)
        if len(lines) == 2:
            w.stop()
    assert lines == ["one", "two"], lines


@check
def execs():
    """exec, with input and an exit code"""
    ws = stream(core.connect_get_namespaced_pod_exec, "p", NS, command=["sh", "-c", "read x; echo got $x; echo bad >&2; exit 3"],
                stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False)
    ws.write_stdin("line\n")
    ws.run_forever(timeout=10)
    assert (ws.read_stdout(), ws.read_stderr(), ws.returncode) == ("got line\n", "bad\n", 3)


@check
def forwards():
    """port-forward"""
    forward = portforward(core.connect_get_namespaced_pod_portforward, "p", NS, ports="8080")
    connection = forward.socket(8080)
    connection.settimeout(10)
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    try:
        while b"page" not in answer:
            answer += connection.recv(4096) or (_ for _ in ()).throw(EOFError(answer))
    except socket.timeout:
        pass
    assert b"200 OK" in answer and answer.endswith(b"page\n") and forward.error(8080) is None, (answer, forward.error(8080))


@check
def ends():
    """a collection, then the namespace"""
    core.delete_collection_namespaced_secret(NS)
    assert not core.list_namespaced_secret(NS).items
    core.delete_namespace(NS)
    client.ApiextensionsV1Api().delete_custom_resource_definition("boats.python.example.com")


sys.exit(1 if failures else 0)
