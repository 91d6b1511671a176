#!/bin/bash
# kubectl, unchanged, of every version that is found: each walks through the commands of kubectl-walk.sh in a
# namespace of its own, and the end is a table of commands by versions.
#
# Found are the binaries named kubectl* beside the default one, and those that KUBECTLS names. VERSIONS="1.27 1.33"
# takes only these, WALK=FILE is another walk, of MINIMUM commands at least, JOBS=N lets N walk at a time. After BUDGET
# seconds no further walk begins: the newest goes first, the oldest second, and those that were left out are named.
. "$(dirname "$0")/lib.sh"
JOBS=${JOBS:-3}
BUDGET=${BUDGET:-360}
WALK=${WALK:-kubectl-walk.sh}
MINIMUM=${MINIMUM:-100}

# One line a version: minor number, path.
find_kubectls() {
        local default path version
        default=$(readlink -f "$(command -v kubectl)")
        for path in ${KUBECTLS:-} "$(dirname "$default")"/kubectl.* "$(dirname "$default")"/kubectl; do
                [ -x "$path" ] || continue
                version=$("$path" version --client 2>/dev/null | sed -n 's/^Client Version: .*v1\.\([0-9]*\)\..*/\1/p' | head -n 1)
                [ -n "$version" ] && echo "$version $path"
        done | sort -n -s -k1,1 -u
}
# The newest, the oldest, then from the new ones down.
by_importance() { sort -rn | awk '{ line[NR] = $0 } END { print line[1]; if (NR > 1) print line[NR]; for (i = 2; i < NR; i++) print line[i] }'; }

walk() {
        local minor=$1
        (
                trap - EXIT
                K=$2 MINOR=$minor DIR=$WORK/walk-$minor NODE_NAME=ghost-$3
                export HOME=$DIR KUBECONFIG=$DIR/config
                mkdir -p "$DIR"
                cp "$ROOT/etc/colibri/admin.kubeconfig" "$KUBECONFIG"
                cd "$DIR" || exit 1
                . "$here/e2e/$WALK"
        ) >"$WORK/walk-$minor.log" 2>&1
}

# Commands in the order of the walk, a column a version.
table() {
        awk -F'\t' -v list="$*" '
                FNR == 1 { files++ }
                { if (!($2 in seen)) { seen[$2] = 1; names[++n] = $2 } result[$2, files] = $1 }
                END {
                        printf "%-36s", "kubectl"
                        for (i = 1; i <= files; i++) printf "%7s", "1." minors[i]
                        printf "\n"
                        for (j = 1; j <= n; j++) {
                                printf "%-36s", names[j]
                                for (i = 1; i <= files; i++) printf "%7s", ((names[j], i) in result) ? result[names[j], i] : "?"
                                printf "\n"
                        }
                }
                BEGIN { split(list, minors, " ") }' $(for minor in "$@"; do echo "$WORK/walk-$minor/results"; done)
}

check "up" cluster up
busybox_image docker.io/library/busybox:1 docker.io/library/busybox:2 >/dev/null
kubectls=$(find_kubectls)
[ -n "${VERSIONS:-}" ] && kubectls=$(while read -r minor path; do case " $VERSIONS " in *" 1.$minor "*) echo "$minor $path" ;; esac; done <<<"$kubectls")
minors=$(cut -d' ' -f1 <<<"$kubectls" | xargs)

# Machines that only pretend, one a version, to be cordoned and drained: a taint keeps other pods away.
colibri-kubelet --kubeconfig="$KUBECONFIG" --fake-nodes="$(wc -w <<<"$minors")" --hostname-override=ghost --port=0 \
        --root-dir="$ROOT/ghosts" --run-dir="$ROOT/ghosts/run" --register-with-taints=ghost=true:NoSchedule \
        --pod-cidr=10.99.0.0/16 >"$WORK/ghosts.log" 2>&1 &
ghosts=$!
cleanup() { kill "$ghosts" 2>/dev/null; }
ghosts_ready() { [ "$(kubectl get nodes -o name | grep -c ghost-)" = "$(wc -w <<<"$minors")" ]; }
check "nodes to drain" eventually 20 ghosts_ready
check "the namespace has its account" eventually 10 kubectl get serviceaccount default

n=0 walked=
while read -r minor path; do
        while [ "$(jobs -rp | grep -cvx "$ghosts")" -ge "$JOBS" ]; do sleep 0.2; done
        if [ $SECONDS -gt "$BUDGET" ]; then
                echo "# kubectl 1.$minor was not walked: $BUDGET s are over"
                continue
        fi
        walk "$minor" "$path" $n &
        n=$((n + 1)) walked="$walked $minor"
done < <(by_importance <<<"$kubectls")
for job in $(jobs -p | grep -vx "$ghosts"); do wait "$job"; done

walked=$(printf '%s\n' $walked | sort -n | xargs)
table $walked
for minor in $walked; do
        passed=$(grep -c '^ok' "$WORK/walk-$minor/results") failed=$(grep -c '^FAIL' "$WORK/walk-$minor/results")
        if [ "$failed" = 0 ] && [ "$passed" -ge "$MINIMUM" ]; then
                ok "kubectl 1.$minor: $passed commands"
        else
                not_ok "kubectl 1.$minor: $failed of $((passed + failed)) commands fail"
                cat "$WORK/walk-$minor.log"
        fi
done
check "down" cluster down
