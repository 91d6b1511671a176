#!/bin/sh
# Configures once and builds: scripts/build.sh FOLDER [cmake options...]
set -eu
cd "$(dirname "$0")/.."
dir=$1
shift
[ -e "$dir/build.ninja" ] || cmake -S . -B "$dir" -G Ninja "$@" >/dev/null
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! ninja -C "$dir" >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        exit 1
fi
