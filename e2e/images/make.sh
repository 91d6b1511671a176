#!/bin/bash
# Stand-ins for the images that workloads name, under the same names: make.sh FOLDER writes archives that
# `colibri image load` takes. busybox is Debian's static one, pause and agnhost are built from what lies here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?make.sh FOLDER}
make_image() { python3 "$here/../../scripts/make-image.py" "$@"; }
mkdir -p "$out"

busybox=registry.k8s.io/e2e-test-images/busybox
make_image -o "$out/busybox.tar" -t docker.io/library/busybox:latest -t $busybox:1.36 --busybox -- sh
# Another image, as to a controller that replaces one by the other it is.
make_image -o "$out/busybox2.tar" -t $busybox:1.37 --env STAND_IN=2 --busybox -- sh

gcc -O2 -static -o "$out/agnhost" "$here/agnhost.c"
gcc -O2 -static -o "$out/pause" "$here/../../kubelet/runtime/helper-pause.c"
strip "$out/agnhost" "$out/pause"
make_image -o "$out/agnhost.tar" -t registry.k8s.io/e2e-test-images/agnhost:2.56 \
        --file "$out/agnhost:agnhost:755" --entrypoint /agnhost -- pause
for version in 3.9 3.10 3.11; do
        make_image -o "$out/pause-$version.tar" -t registry.k8s.io/pause:$version \
                --file "$out/pause:pause:755" --env "VERSION=$version" --user 65535:65535 --entrypoint /pause
done
rm -f "$out/agnhost" "$out/pause"
