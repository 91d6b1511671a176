#!/bin/bash
# Installs, builds and passes every test. Ends with "N passed, N failed".
#
#     sudo ./test.sh                    everything
#     sudo ./test.sh unit e2e           some of: unit sanitize fuzz e2e
#     E2E='2*' sudo -E ./test.sh e2e    end-to-end tests by file name
#     FUZZ_SECONDS=900 ./test.sh fuzz   longer
set -u
cd "$(dirname "$0")" || exit 1
[ "$(id -u)" = 0 ] || { echo "test.sh needs root: sudo ./test.sh" >&2; exit 1; }
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=${HOME:-/root} LC_ALL=C.UTF-8 SHOW_PROGRESS=1
unset KUBECONFIG MAKEFLAGS CFLAGS LDFLAGS CDPATH
umask 022
passed=0 failed=0 current=start
begin=$SECONDS skipped=()

say() {
        current=$*
        printf '\n== %s (after %d s)\n' "$*" $((SECONDS - begin))
}

# Whatever ends this script, the last line is the count.
finish() {
        local status=$?
        # a test is a process group, led by the timeout that watches it: it takes its cluster away itself
        for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || kill "$job" 2>/dev/null; done
        wait
        [ -n "$current" ] && { echo "ended early, at: $current"; failed=$((failed + 1)); }
        [ ${#skipped[@]} = 0 ] || printf 'skipped: %s\n' "${skipped[@]}"
        echo "$passed passed, $failed failed"
        [ "$status" = 0 ] && [ "$failed" = 0 ] && [ "$passed" -gt 0 ] && exit 0
        exit 1
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# count NAME STATUS
count() {
        if [ "$2" = 0 ]; then
                passed=$((passed + 1))
        else
                failed=$((failed + 1))
                echo "FAILED: $1"
        fi
}

# ctests FOLDER LABEL: each program of cmocka counts as one.
ctests() {
        local log=$1/ctest.log name ok
        ctest --test-dir "$1" --timeout 300 -j2 >"$log" 2>&1
        cp "$1/Testing/Temporary/LastTest.log" "$1/first.log" 2>/dev/null
        while read -r name; do
                count "$2 $name" 1
                sed -n "/ Test: $name\$/,/^<end of output>/p" "$1/first.log" | tail -n 40
                echo "and alone:"
                ctest --test-dir "$1" -R "^$name\$" --output-on-failure --timeout 300 2>&1 | tail -n 40
        done < <(sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: ([^ ]+) .*(\*\*\*|Failed|Not Run).*/\1/p' "$log")
        ok=$(grep -cE '^ *[0-9]+/[0-9]+ Test .* Passed ' "$log")
        passed=$((passed + ok))
        echo "$2: $ok passed"
        [ "$ok" -gt 0 ] || { count "$2: no test ran" 1; tail -n 20 "$log"; }
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
        ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=$PWD/scripts/leaks.txt:print_suppressions=0 \
                UBSAN_OPTIONS=print_stacktrace=1 SIMULATION_RUNS=100 ctests build-sanitize sanitize
}

# fuzz_one PROGRAM SECONDS: for a bounded while; a finding leaves its input beside the log.
fuzz_one() {
        local name
        name=$(basename "$1")
        mkdir -p "build-fuzz/corpus/$name"
        # leaks: the daemons free a request's arena as a whole; what a fuzzer leaks is no finding of its parser
        ASAN_OPTIONS=detect_leaks=0 timeout -k 10 $(($2 + 120)) "$1" -max_total_time="$2" -rss_limit_mb=2048 -timeout=30 \
                -artifact_prefix="build-fuzz/$name-" "build-fuzz/corpus/$name" >"build-fuzz/$name.log" 2>&1
        echo $? >"build-fuzz/$name.status"
}

# Two at a time, with what the end-to-end tests leave of the processors: those wait most of their time.
fuzz_all() {
        local seconds=$1 program
        shift
        trap 'kill $(jobs -p) 2>/dev/null; exit 1' TERM
        renice -n 19 -p $BASHPID >/dev/null
        for program; do
                while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
                fuzz_one "$program" "$seconds" &
        done
        wait
}

run_fuzz() {
        local seconds=${FUZZ_SECONDS:-60}
        say "build the fuzzers"
        TARGET=fuzzers scripts/build.sh build-fuzz -DFUZZ=ON -DSANITIZE=ON -DTESTS=OFF -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo ||
                { count build-fuzz 1; return; }
        programs=(build-fuzz/bin/fuzz-*)
        scripts/fuzz-seeds.py build-fuzz/corpus
        say "${#programs[@]} fuzzers, $seconds s each, beside what follows"
        rm -f build-fuzz/*.status
        fuzz_all "$seconds" "${programs[@]}" &
        fuzzing=$!
}

end_fuzz() {
        local program name status
        say "the fuzzers end"
        wait "$fuzzing"
        for program in "${programs[@]}"; do
                name=$(basename "$program")
                status=$(cat "build-fuzz/$name.status" 2>/dev/null || echo 1)
                count "$name" "$status"
                if [ "$status" = 0 ]; then
                        echo "$name: $(sed -nE 's/^Done ([0-9]+) runs.*/\1 runs/p' "build-fuzz/$name.log" | tail -n 1)"
                else
                        grep -vE '^#[0-9]+.(NEW|REDUCE|pulse|INITED|RELOAD)' "build-fuzz/$name.log" | tail -n 40
                fi
        done
}

# end_e2e FILE LOG STATUS: each check counts, lines "ok - ..." and "not ok - ...". A test of foreign clients whose
# packages cannot be had says "# skip NAME: reason": it counts as neither, and is named again at the end.
end_e2e() {
        local file=$1 log=$2 status=$3
        say "$file"
        grep -E '^(ok|not ok|#) ' "$log"
        passed=$((passed + $(grep -c '^ok ' "$log")))
        failed=$((failed + $(grep -c '^not ok ' "$log")))
        mapfile -t -O ${#skipped[@]} skipped < <(sed -n 's/^# skip //p' "$log")
        if [ "$status" != 0 ] || ! grep -qE '^(ok|not ok|# skip) ' "$log"; then
                grep -q '^not ok ' "$log" || count "$file (exit $status)" 1
                grep -A 12 '^not ok ' "$log" | head -n 80
                echo "--- the end of what $file said"
                tail -n 60 "$log"
        fi
}

e2e_files() { ls e2e/[0-9]*-${E2E:-*}.sh e2e/${E2E:-none}.sh 2>/dev/null | sort -u; }

# Two at a time: each is in namespaces of its own, and waits most of its time.
run_e2e() {
        local file pid status long='/(40|71)-'
        local -A running=()
        say "build"
        scripts/build.sh build -DTESTS=ON || { count build 1; return; }
        mkdir -p build/e2e
        # the long ones first, so that none is alone at the end
        for file in $(e2e_files | grep -E "$long") $(e2e_files | grep -vE "$long") ""; do
                # at the end, all that still run
                while [ ${#running[@]} -ge "${E2E_JOBS:-2}" ] || [ -z "$file" -a ${#running[@]} -gt 0 ]; do
                        wait -n -p pid "${!running[@]}"
                        status=$?
                        end_e2e "${running[$pid]}" "build/${running[$pid]%.sh}.log" $status
                        unset "running[$pid]"
                done
                [ -n "$file" ] || break
                timeout -k 60 "${E2E_TIMEOUT:-1500}" "$file" >"build/${file%.sh}.log" 2>&1 &
                running[$!]=$file
        done
}

parts=${*:-unit sanitize fuzz e2e}
for part in $parts; do
        case $part in
        unit | sanitize | fuzz | e2e) ;;
        *) echo "test.sh: there is no part \"$part\"" >&2; exit 2 ;;
        esac
done
echo "colibri $(git rev-parse --short HEAD 2>/dev/null) on $(nproc) cores, kernel $(uname -r)"
free=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "${free:-9999}" -gt 2000 ] || echo "warning: ${free} MB of disk are free, the builds take about 1,000"
say "packages"
scripts/packages.sh build run test || { count packages 1; exit 1; }
fuzzing=
for part in $parts; do
        "run_$part"
done
[ -z "$fuzzing" ] || end_fuzz
say "done"
current=
