#!/bin/bash
# A few conversations of tests/conversations with the kernel in tern's place (scripts/linux.py plays all):
# what RFC 9293 leaves no choice in must be the same, and a script that is wrong must be told from one that is
# right.
# timeout: 120
cd "$(dirname "$0")/../.." || exit 1
[ "$(id -u)" = 0 ] && [ -e /dev/net/tun ] || exit 77
states=tests/conversations/states
same="$states/established/data.pkt $states/established/fin.pkt $states/established/rst.pkt
    $states/fin-wait-1/fin-ack.pkt $states/listen/syn.pkt $states/syn-sent/syn-ack.pkt
    $states/close-wait/close.pkt $states/last-ack/ack-exact.pkt $states/fin-wait-2/fin.pkt"
passed=0 failed=0
judge() { # judge NAME VERDICT WANTED
    if [ "$2" = "$3" ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "$1: $2, must be $3"
    fi
}
verdict() { build/tests/linux-play "$1" | sed 's/.*"verdict":"\([^"]*\)".*/\1/'; }
for script in $same; do
    for _ in 1 2 3; do # a loaded machine is late
        is=$(verdict "$script")
        [ "$is" != same ] || break
    done
    judge "$script" "$is" same
done
wrong=$(mktemp --suffix .pkt)
trap 'rm -f "$wrong"' EXIT
sed 's/ack 101/ack 100/' "$states/established/data.pkt" >"$wrong"
judge 'a wrong script' "$(verdict "$wrong")" differs
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
