#!/usr/bin/env python3
"""Asks a Service all the time, a connection a request, until SIGTERM; then says how it went.

    load.py [--post] [--threads N] [--timeout S] URL

Prints JSON: how many requests were answered ("ok"), what else happened and how often ("failed": {why: n},
where "connect" is a connection that was never made, "died" one that broke, and "503" a status), and with
--post the bodies that were acknowledged ("acked"). Each thread waits 10 ms between two requests.
"""
import argparse
import http.client
import json
import signal
import threading
import time
import urllib.parse

parser = argparse.ArgumentParser()
parser.add_argument("--post", action="store_true")
parser.add_argument("--threads", type=int, default=4)
parser.add_argument("--timeout", type=float, default=10)
parser.add_argument("url")
args = parser.parse_args()
url = urllib.parse.urlsplit(args.url)
stop = threading.Event()
lock = threading.Lock()
failed, acked, when, ok = {}, [], [], 0


def request(body):
    conn = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=args.timeout)
    try:
        conn.connect()
    except OSError as e:
        return "connect: " + str(e)
    try:
        conn.request("POST" if args.post else "GET", url.path or "/", body)
        answer = conn.getresponse()
        answer.read()
        return None if answer.status < 300 else str(answer.status)
    except (OSError, http.client.HTTPException) as e:
        return "died: " + type(e).__name__
    finally:
        conn.close()


def run(thread):
    global ok
    i = 0
    while not stop.is_set():
        i += 1
        body = f"id-{thread}-{i}" if args.post else None
        start = time.time()
        why = request(body)
        with lock:
            if why is None:
                ok += 1
                if body:
                    acked.append(body)
            else:
                failed[why] = failed.get(why, 0) + 1
                when.append(round(start, 3))
        time.sleep(0.01)


signal.signal(signal.SIGTERM, lambda *_: stop.set())
threads = [threading.Thread(target=run, args=(t,)) for t in range(args.threads)]
for t in threads:
    t.start()
while not stop.wait(0.2):
    pass
for t in threads:
    t.join()
print(json.dumps({"ok": ok, "failed": failed, "when": when, "acked": acked}))
