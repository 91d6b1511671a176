#!/bin/bash
# Configures where that is needed and builds: scripts/build.sh FOLDER [-DOPTION=VALUE...]; only $TARGET if it is set.
# Says nothing but errors; with SHOW_PROGRESS=1 how far it is, every 30 s.
set -eu
cd "$(dirname "$0")/.."
dir=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
configured=$([ -e "$dir/build.ninja" ] && echo yes || true)
for option in "$@"; do
        name=${option#-D}
        grep -qE "^${name%%=*}:[A-Z]+=${name#*=}\$|^${name%%=*}:[A-Z]+=.*/${name#*=}\$" "$dir/CMakeCache.txt" 2>/dev/null || configured=
done
if [ -z "$configured" ] && ! cmake -S . -B "$dir" -G Ninja "$@" >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        exit 1
fi
ninja -C "$dir" ${TARGET:-} >"$log" 2>&1 &
ninja=$!
while [ "${SHOW_PROGRESS:-0}" = 1 ] && ! timeout 30 tail --pid=$ninja -s 0.1 -f /dev/null; do
        tail -n 1 "$log" | cut -c 1-60
done
if ! wait $ninja; then
        grep -A 12 -E '^FAILED:|error:|undefined reference' "$log" | head -n 60 >&2
        tail -n 15 "$log" >&2
        exit 1
fi
