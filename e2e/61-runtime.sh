#!/bin/bash
# The unit test of the runtime wants an image; here it gets one: sandboxes, containers, exec, OOM, adoption and
# cleanup on the real runc, without a cluster.
. "$(dirname "$0")/lib.sh"
check "image" python3 "$here/scripts/make-image.py" -o "$WORK/busybox.tar" -t docker.io/library/busybox:latest --busybox -- sh
check "layout" skopeo --insecure-policy copy -q "docker-archive:$WORK/busybox.tar" "oci:$WORK/layout:busybox"
check "the runtime's test" env COLIBRI_TEST_LAYOUT="$WORK/layout" "$here/build/bin/test-runtime-runc"
