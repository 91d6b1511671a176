#!/bin/bash
# Installs, builds and passes every test. Ends with "N passed, N failed".
#
#     sudo ./test.sh                    everything
#     sudo ./test.sh unit e2e           some of: unit sanitize fuzz e2e
#     E2E='2*' sudo -E ./test.sh e2e    end-to-end tests by file name
#     FUZZ_SECONDS=900 ./test.sh fuzz   longer
set -u
cd "$(dirname "$0")"
[ "$(id -u)" = 0 ] || { echo "test.sh needs root: sudo ./test.sh" >&2; exit 1; }
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
parts=${*:-unit sanitize fuzz e2e}
passed=0 failed=0
begin=$SECONDS

say() { printf '\n== %s (after %d s)\n' "$*" $((SECONDS - begin)); }

# count NAME STATUS
count() {
        if [ "$2" = 0 ]; then
                passed=$((passed + 1))
        else
                failed=$((failed + 1))
                echo "FAILED: $1"
        fi
}

scripts/packages.sh build run test || exit 1

# ctests FOLDER LABEL: each program of cmocka counts as one.
ctests() {
        local log=$1/ctest.log
        ctest --test-dir "$1" --timeout 300 -j2 >"$log" 2>&1
        while read -r name; do
                count "$2 $name" 1
                ctest --test-dir "$1" -R "^$name\$" --output-on-failure --timeout 300 2>&1 | tail -n 40
        done < <(sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: ([^ ]+) .*(\*\*\*|Failed|Not Run).*/\1/p' "$log")
        local ok
        ok=$(grep -cE '^ *[0-9]+/[0-9]+ Test .* Passed ' "$log")
        passed=$((passed + ok))
        echo "$2: $ok passed"
}

run_unit() {
        say "build"
        scripts/build.sh build -DTESTS=ON || { count build 1; return; }
        say "unit tests"
        ctests build unit
}

run_sanitize() {
        say "build with ASan and UBSan"
        scripts/build.sh build-sanitize -DSANITIZE=ON -DTESTS=ON -DCMAKE_BUILD_TYPE=Debug || { count build-sanitize 1; return; }
        say "unit tests with ASan and UBSan"
        export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
        ctests build-sanitize sanitize
        unset ASAN_OPTIONS UBSAN_OPTIONS
}

# Every fuzzer for a bounded while; a finding leaves its input beside the program.
run_fuzz() {
        local seconds=${FUZZ_SECONDS:-8} program name
        say "build the fuzzers"
        scripts/build.sh build-fuzz -DFUZZ=ON -DSANITIZE=ON -DTESTS=OFF -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo ||
                { count build-fuzz 1; return; }
        say "fuzzers, $seconds s each"
        for program in build-fuzz/bin/fuzz-*; do
                [ -x "$program" ] || continue
                name=$(basename "$program")
                mkdir -p "build-fuzz/corpus/$name"
                # leaks: the daemons free a request's arena as a whole; what a fuzzer leaks is no finding of its parser
                if ASAN_OPTIONS=detect_leaks=0 timeout $((seconds + 60)) "$program" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 \
                        -artifact_prefix="build-fuzz/$name-" "build-fuzz/corpus/$name" >"build-fuzz/$name.log" 2>&1; then
                        count "$name" 0
                        echo "$name: $(sed -nE 's/^Done ([0-9]+) runs.*/\1 runs/p' "build-fuzz/$name.log" | tail -n 1)"
                else
                        count "$name" 1
                        tail -n 30 "build-fuzz/$name.log"
                fi
        done
}

# Each check of an end-to-end test counts: lines "ok - ..." and "not ok - ...".
run_e2e() {
        local file log=build/e2e.log
        say "build"
        scripts/build.sh build -DTESTS=ON || { count build 1; return; }
        for file in e2e/[0-9]*-${E2E:-*}.sh e2e/${E2E:-none}.sh; do
                [ -x "$file" ] || continue
                say "$file"
                timeout "${E2E_TIMEOUT:-600}" "$file" >"$log" 2>&1 </dev/null
                local status=$?
                grep -E '^(ok|not ok|#) ' "$log"
                passed=$((passed + $(grep -c '^ok ' "$log")))
                failed=$((failed + $(grep -c '^not ok ' "$log")))
                if [ $status != 0 ] || ! grep -qE '^(ok|not ok) ' "$log"; then
                        grep -q '^not ok ' "$log" || count "$file (exit $status)" 1
                        tail -n 60 "$log"
                fi
        done
}

for part in $parts; do
        case $part in
        unit | sanitize | fuzz | e2e) "run_$part" ;;
        *) echo "test.sh: there is no part \"$part\"" >&2; exit 2 ;;
        esac
done
say "done"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
