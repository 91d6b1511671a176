#!/bin/bash
# The Python client, unchanged (clients/python).
. "$(dirname "$0")/clients/packages.sh"
client_packages python
. "$(dirname "$0")/lib.sh"

check "up" cluster up
busybox_image docker.io/library/busybox:1 >/dev/null
client_says timeout 200 "$CLIENTS/python/bin/python" "$here/e2e/clients/python/clients.py"
check "down" cluster down
