# What a kubectl's walk is made of; sourced by kubectl-walk.sh and kubectl-short.sh.
#
# Each `try` is a line of the table: "ok", "FAIL" or "-" (the command is younger than this kubectl) in
# $DIR/results; what a failure said is printed.
NS=k$MINOR
: >results
# 1.22.0 hangs at the end of `run -i`, with every server, unless told so
[ "$MINOR" = 22 ] && export KUBECTL_COMMAND_HEADERS=false

record() { printf '%s\t%s\n' "$1" "$2" >>results; }

# try NAME [-s MINOR] [-o TEXT] [-x TEXT] [-i INPUT] [-t SECONDS] -- ARGUMENTS...
#   -s  since kubectl 1.MINOR     -o  its output holds TEXT     -x  it fails, and says TEXT
try() {
        local name=$1 since=0 text= fails= input= limit=30 out code
        shift
        while [ "$1" != -- ]; do
                case $1 in
                -s) since=$2 ;;
                -o) text=$2 ;;
                -x) fails=yes text=$2 ;;
                -i) input=$2 ;;
                -t) limit=$2 ;;
                esac
                shift 2
        done
        shift
        if [ "$MINOR" -lt "$since" ]; then
                record - "$name"
                return
        fi
        out=$(printf '%s' "$input" | timeout "$limit" "$K" "$@" 2>&1)
        code=$?
        [ -n "$fails" ] && code=$((!code))
        if [ $code = 0 ] && grep -qF -- "$text" <<<"$out"; then
                record ok "$name"
        else
                record FAIL "$name"
                echo "FAIL 1.$MINOR $name: kubectl $* (${fails:+must fail, }$([ $code = 0 ] && echo said other || echo exit)${text:+, wanted: $text})"
                sed 's/^/    /' <<<"${out:0:1500}"
        fi
}

# tryf NAME SINCE FUNCTION ARGUMENTS...: the same of a function.
tryf() {
        local name=$1 since=$2 out
        shift 2
        if [ "$MINOR" -lt "$since" ]; then
                record - "$name"
        elif out=$("$@" 2>&1); then
                record ok "$name"
        else
                record FAIL "$name"
                echo "FAIL 1.$MINOR $name: $*"
                sed 's/^/    /' <<<"${out:0:1500}"
        fi
}

k() { timeout 30 "$K" "$@"; }
until_true() {
        local end=$((SECONDS + $1))
        shift
        until "$@" >/dev/null 2>&1; do
                [ $SECONDS -lt $end ] || { "$@"; return 1; }
                sleep 0.2
        done
}
field() { [ "$(k get "$1" -o "jsonpath=$2")" = "$3" ]; }
# `wait` of old kubectls knows no jsonpath, and some waits begin before the object is there.
ready() { until_true "${2:-30}" k wait --for=condition=Ready "$1" --timeout=1s; }

# forwards WHAT PORT: port-forward, and two requests through it for the page that the pod serves
forwards() {
        local port=$((20000 + MINOR)) pid code
        # the shell empties the file only once its child runs: till then it is that of the port-forward before
        rm -f forward
        "$K" port-forward "$1" "$port:$2" >forward 2>&1 &
        pid=$!
        until_true 20 grep -q Forwarding forward
        [ "$(curl -s -m 15 "127.0.0.1:$port/")$(curl -s -m 15 "127.0.0.1:$port/")" = pagepage ]
        code=$?
        kill $pid
        [ $code = 0 ] || cat forward
        return $code
}
