#!/bin/bash
# Whatever ends the demo, at whatever moment, nothing is left of it: no process, no network namespace, no
# device, no file. SIGKILL at ten random moments, SIGINT, SIGTERM, and the death of the shell that started it.
# timeout: 180
set -u
cd "$(dirname "$0")/../.." || exit 1
cases=0
failures=0
mark=TERN_CLEANUP_TEST=$$.$RANDOM # in the environment of everything that a demo starts
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if ! scripts/world.sh ip tuntap add dev tern0 mode tun 2>/dev/null; then
    echo "1..0 # SKIP no network namespace with a TUN device can be had here"
    exit 77
fi

verdict() { # verdict STATUS NAME
    cases=$((cases + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $cases - $2"
    else
        echo "not ok $cases - $2"
        failures=$((failures + 1))
    fi
}

# Processes of the demo, wherever they are now: they carry the mark.
processes() { grep -lzxF -- "$mark" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }

# Network namespaces that any process lives in, or that have a name.
namespaces() {
    {
        readlink /proc/[0-9]*/ns/net 2>/dev/null
        ls /run/netns 2>/dev/null
    } | sort -u
}

devices() { ls /sys/class/net; }
mounts() { cut -d' ' -f2 /proc/self/mounts | sort; }
files() { # the demo's own temporary directory, and where control sockets lie
    find "$scratch/tmp" -mindepth 1
    find /run/tern /tmp/tern-* "${XDG_RUNTIME_DIR:-/run}/tern" -name '*-serve.sock' 2>/dev/null | sort -u
}

# What is there now and was not before.
news() {
    local what
    for what in namespaces devices mounts files; do
        $what | sort | comm -13 "$scratch/$what" - | sed "s/^/# left in $what: /"
    done
}

# Waits until nothing of it is there any more, at most 5 s.
nothing_left() {
    local left
    for _ in $(seq 100); do
        left=$(processes)
        [ -n "$left" ] || left=$(news)
        [ -n "$left" ] || return 0
        sleep 0.05
    done
    news
    left=$(processes)
    # shellcheck disable=SC2086
    [ -z "$left" ] || {
        ps -o pid,ppid,args -p ${left//$'\n'/ } | sed 's/^/# still there: /'
        kill -KILL $left
    }
    return 1
}

mkdir "$scratch/tmp"
for what in namespaces devices mounts files; do
    $what | sort >"$scratch/$what"
done

start() {
    env "$mark" TMPDIR="$scratch/tmp" scripts/demo.sh --real >"$scratch/out" 2>&1 &
    demo=$!
}

# How long a whole one takes, so that the moments lie within.
began=${EPOCHREALTIME/[.,]/}
start
wait $demo
status=$?
took=$(((${EPOCHREALTIME/[.,]/} - began) / 1000))
[ $status -eq 0 ] && [ "$(tail -n 1 "$scratch/out")" = 'link: tun' ]
verdict $? "a whole demo ends with 'link: tun' ($took ms)"
[ $status -eq 0 ] || sed 's/^/# /' "$scratch/out"
nothing_left
verdict $? "nothing is left of it"

RANDOM=${SEED:-$$}
echo "# seed ${SEED:-$$}"
for i in 1 2 3 4 5 6 7 8 9 10; do
    moment=$((RANDOM % took))
    start
    sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
    kill -KILL $demo 2>/dev/null
    wait $demo 2>/dev/null
    nothing_left
    verdict $? "SIGKILL number $i, after $moment ms"
done

for signal in INT TERM HUP; do
    start
    sleep 0.7
    kill -$signal $demo
    wait $demo
    nothing_left
    verdict $? "SIG$signal"
done

# The shell that started it dies: the demo is an orphan, and its own end is what cleans up.
env "$mark" TMPDIR="$scratch/tmp" setsid bash -c 'scripts/demo.sh --real & wait' >"$scratch/out" 2>&1 &
group=$!
sleep 0.7
kill -KILL -- -$group 2>/dev/null || kill -KILL $group
wait $group 2>/dev/null
nothing_left
verdict $? "SIGKILL of its whole process group"

echo "1..$cases"
echo "$((cases - failures)) passed, $failures failed"
[ $failures -eq 0 ]
