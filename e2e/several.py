#!/usr/bin/env python3
"""Writes through one API server and reads through the other, by turns, until SIGTERM; then says how it went.

    several.py KUBECONFIG URL URL

Prints JSON: how many creations were acknowledged ("acked"); of them, those that the other server did not show at once
("stale"), that are missing at the end from either's list ("lost"), that the watch did not bring ("unseen"), or
brought twice ("doubled"); how long a write with its read took at most, in seconds ("slowest"); how often the watch ended and went on ("resumed"), and could not ("expired"); and what the
creations that were not acknowledged were told ("refused").
"""
import base64
import http.client
import json
import re
import signal
import ssl
import sys
import tempfile
import threading
import time
import urllib.parse

PATH = "/api/v1/namespaces/default/configmaps"
stop = threading.Event()
result = {"acked": 0, "stale": [], "lost": [], "unseen": [], "doubled": [], "resumed": 0, "expired": 0, "slowest": 0, "refused": {}}


def context(kubeconfig):
    text = open(kubeconfig).read()
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    with tempfile.NamedTemporaryFile() as pem:
        for what in ("client-certificate", "client-key"):
            data = re.search(what + r"-data: (\S+)", text)
            file = re.search(what + r": (\S+)", text)
            pem.write(base64.b64decode(data[1]) if data else open(file[1], "rb").read())
            pem.write(b"\n")
        pem.flush()
        made.load_cert_chain(pem.name)
    return made


def connect(url, timeout):
    return http.client.HTTPSConnection(urllib.parse.urlsplit(url).netloc, timeout=timeout, context=tls)


def call(url, method, path, body=None):
    """The status and the answer's JSON; (0, why) when there is none."""
    try:
        if url not in connections:
            connections[url] = connect(url, 20)
        connections[url].request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
        answer = connections[url].getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as e:
        connections.pop(url, None)
        return 0, str(e)


def watch(url, seen):
    revision = call(url, "GET", PATH)[1]["metadata"]["resourceVersion"]
    ready.set()
    while True:
        try:
            connection = connect(url, 3)
            connection.request("GET", f"{PATH}?watch=1&allowWatchBookmarks=true&resourceVersion={revision}")
            answer = connection.getresponse()
            if answer.status != 200:
                time.sleep(0.2)
            else:
                for line in answer:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        result["expired"] += event["object"].get("code") == 410
                        revision = call(url, "GET", PATH)[1]["metadata"]["resourceVersion"]
                        break
                    revision = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] == "ADDED":
                        seen.append(event["object"]["metadata"]["name"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            pass
        result["resumed"] += 1


def write(urls, acked):
    n = 0
    while not stop.is_set():
        one, other = urls if n % 2 else urls[::-1]
        name = f"n-{n}"
        begin = time.monotonic()
        status, answer = call(one, "POST", PATH, {"metadata": {"name": name}, "data": {"a": "x" * 500}})
        if status == 201:
            acked.append(name)
            status, answer = call(other, "GET", f"{PATH}/{name}")
            if status == 404:
                result["stale"].append(name)
        else:
            why = f"{status} {answer.get('message', '') if isinstance(answer, dict) else answer}"[:200]
            result["refused"][why] = result["refused"].get(why, 0) + 1
        result["slowest"] = max(result["slowest"], int(time.monotonic() - begin))
        n += 1
        time.sleep(0.01)


tls, urls, connections, ready = context(sys.argv[1]), sys.argv[2:4], {}, threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
acked, seen = [], []
watcher = threading.Thread(target=watch, args=(urls[0], seen), daemon=True)
watcher.start()
ready.wait(10)
connections.clear()
write(urls, acked)
for _ in range(300): # the watch may have to be opened again first, on a busy machine
    if set(acked) <= set(seen):
        break
    time.sleep(0.1)
result["acked"] = len(acked)
result["unseen"] = sorted(set(acked) - set(seen))
result["doubled"] = sorted({name for name in seen if seen.count(name) > 1})
for url in urls:
    there = {item["metadata"]["name"] for item in call(url, "GET", PATH)[1]["items"]}
    result["lost"] += sorted(set(acked) - there)
print(json.dumps(result))
