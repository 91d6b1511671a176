#!/bin/bash
# Brings colibri up on a Debian 12 machine: packages, build, cluster, a first workload. Run it again
# at any time: what is there already is left as it is.
set -eu -o pipefail
cd "$(dirname "$0")"
[ "$(id -u)" = 0 ] || { echo "up.sh needs root: sudo ./up.sh" >&2; exit 1; }
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH

scripts/packages.sh build run
[ -e build/build.ninja ] && without_tests= || without_tests=-DTESTS=OFF
SHOW_PROGRESS=1 scripts/build.sh build $without_tests
changed=$(cmake --install build --prefix /usr/local | sed -n 's/^-- \(colibri[a-z-]*\)$/\1/p')

said=$(colibri up)
echo "${said%%$'\n'*}"
export KUBECONFIG=/etc/colibri/admin.kubeconfig
case $said in
*already*) [ -z "$changed" ] || echo "these programs are new, colibri down && colibri up starts them:" $changed ;;
esac

if ! kubectl get deployment hello >/dev/null 2>&1; then
        image=$(mktemp --suffix .tar)
        python3 scripts/make-image.py -o "$image" -t colibri.local/hello:1 --busybox \
                --text 'www/index.html=Hello from colibri.
' -- httpd -f -v -p 8080 -h /www
        colibri image load "$image" >/dev/null
        rm -f "$image"
        kubectl apply -f manifests/hello/hello.yaml
fi
if ! kubectl rollout status deployment/hello --timeout=60s; then
        kubectl get events --field-selector type=Warning >&2
        echo "up.sh: the cluster is up, its first workload is not: see /var/log/colibri/kubelet.log" >&2
        exit 1
fi
address=$(kubectl get service hello -o jsonpath='{.spec.clusterIP}')
printf 'http://%s says: %s\n' "$address" "$(curl -fsS --retry 5 --retry-connrefused --retry-delay 1 "http://$address")"

cat <<'TEXT'

Next:
  export KUBECONFIG=/etc/colibri/admin.kubeconfig
  kubectl get pods -o wide              the first workload
  kubectl scale deployment/hello --replicas=5
  colibri status                        what runs, and what it costs
  colibri image load ARCHIVE.tar        images for machines without a registry
  colibri help settings                 /etc/colibri/colibri.yaml, every setting
  colibri down | colibri reset          stop it | leave nothing behind
TEXT
