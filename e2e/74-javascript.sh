#!/bin/bash
# The JavaScript client, unchanged (clients/javascript).
. "$(dirname "$0")/clients/packages.sh"
client_packages javascript
. "$(dirname "$0")/lib.sh"

check "up" cluster up
busybox_image docker.io/library/busybox:1 >/dev/null
client_says timeout 200 "$NODE" "$here/e2e/clients/javascript/clients.mjs" "$CLIENTS/javascript"
check "down" cluster down
