#!/bin/bash
# tern serve hands its live connections to a new process, again and again, while curl downloads: nothing is
# lost, nothing is reset, and when the new process cannot, the old one goes on.
#
# DOWNLOADS of SIZE bytes at RATE bytes a second each, HANDOVERS while they run.
# timeout: 120
LIMIT=${LIMIT:-110}
. "$(dirname "$0")/lib.bash"
build_helper slow
device 0

DOWNLOADS=${DOWNLOADS:-50}
SIZE=${SIZE:-10485760}
RATE=${RATE:-1100000}
HANDOVERS=${HANDOVERS:-3}
GAP=${GAP:-1.2}
U=http://192.0.2.1

ulimit -n "$(ulimit -Hn)"
www=$dir/www
mkdir "$www" "$dir/out"
head -c "$SIZE" /dev/urandom >"$www/data.bin"
printf 'hello\n' >"$www/hello.txt"
want=$(sha256sum <"$www/data.bin")

# the running server: its process number, and what it said to whom
generation=0
start_first() {
    "$tern" serve "$www" "${tern_0[@]}" --port 80 2>"$dir/serve0.err" &
    serve=$!
    soon 10 tern_listens 80 || { echo "Bail out! tern serve does not listen"; exit 1; }
}

# Another process takes over; the old one ends by itself, well.
hand_over() {
    local old=$serve
    generation=$((generation + 1))
    "$tern" serve "$www" --handover="$old" "$@" 2>"$dir/serve$generation.err" &
    serve=$!
    wait "$old" || { echo "the old process ended with $?"; cat "$dir"/serve*.err; return 1; }
    soon 10 grep -q 'took over' "$dir/serve$generation.err" || { cat "$dir"/serve*.err; return 1; }
}

# Of the kernel, in this world: attempts that failed, connections reset, resets sent.
resets() { awk '/^Tcp:/ { if (n++) print $8 + $9 + $15 }' /proc/net/snmp; }
download() { # download I FAMILY
    local url=$U
    [ "$2" = 4 ] || url='http://[2001:db8::1]'
    curl -sS --retry 0 --max-time "$LIMIT" "$url/data.bin?$1" 2>"$dir/out/$1.err" |
        "$helpers/slow" "$RATE" | sha256sum >"$dir/out/$1"
    echo "${PIPESTATUS[0]}" >>"$dir/out/$1"
}

start_first
before=$(resets)

# connections of other kinds, which live through all handovers
idle() {
    python3 - "$dir/idle.go" <<'PY'
import os, socket, sys, time
def hello(s):
    data = b""
    while not data.endswith(b"hello\n"):
        got = s.recv(4096)
        assert got, f"ended early: {data!r}"
        data += got
request = b"GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n"
kept = socket.create_connection(("192.0.2.1", 80), timeout=60)
kept.send(request)
hello(kept)
half = socket.create_connection(("192.0.2.1", 80), timeout=60)
half.send(request[:20])
silent = socket.create_connection(("192.0.2.1", 80), timeout=60)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
kept.send(request)
hello(kept)
half.send(request[20:])
hello(half)
silent.send(request)
hello(silent)
PY
}

began=${EPOCHREALTIME/[.,]/}
loads=()
for ((i = 0; i < DOWNLOADS; i++)); do
    download "$i" $((i % 4 == 3 ? 6 : 4)) &
    loads+=($!)
done
all_connected() { [ "$("$tern" ss -b established 2>/dev/null | grep -c ESTAB)" -ge "$DOWNLOADS" ]; }
soon 60 all_connected
idle >"$dir/idle.log" 2>&1 &
idle=$!

for ((k = 1; k <= HANDOVERS; k++)); do
    sleep "$GAP"
    running=$(($(jobs -rp | wc -l) - 2))
    check "handover $k, with $running downloads running" hand_over
    check "that was in the middle of at least nine of ten" test $((running * 10)) -ge $((DOWNLOADS * 9))
    echo "# $(cat "$dir/serve$generation.err")"
done


: >"$dir/idle.go"
check "connections at rest, in the middle of a request, and silent ones went along" wait "$idle"
for job in "${loads[@]}"; do wait "$job"; done
took=$((${EPOCHREALTIME/[.,]/} - began))
right=$(grep -lx "$want" "$dir"/out/*[0-9] | wc -l)
good=$(tail -qn 1 "$dir"/out/*[0-9] | grep -cx 0)
check "every checksum is right" test "$right" -eq "$DOWNLOADS"
check "every curl is content" test "$good" -eq "$DOWNLOADS"
check "nothing was reset" test "$(resets)" -eq "$before"
[ "$right" -eq "$DOWNLOADS" ] || cat "$dir"/out/*.err "$dir/idle.log" | sort | uniq -c | sed 's/^/# /'

# a new process that cannot take over, and one that is killed: the old one goes on
refused() { ! timeout 20 "$tern" serve "$@" --handover="$serve" --listen 203.0.113.1:80 2>"$dir/no.err"; }
check "a new process that cannot listen where it shall gives up" refused "$www"
check "and the old one serves on" cmp <(curl -sS --max-time 10 $U/hello.txt) "$www/hello.txt"
check "it says so" grep -q 'going on' "$dir/serve$generation.err"
check "nobody takes over from who is not there" bash -c \
    "! '$tern' serve '$www' --name nobody --handover 2>'$dir/no.err' &&
    grep -q 'no running tern' '$dir/no.err'"

kill -TERM "$serve"
wait "$serve"
check "SIGTERM ends the last one with 0" test $? -eq 0
printf '# %d downloads of %d bytes in %d.%d s, ' \
    "$DOWNLOADS" "$SIZE" $((took / 1000000)) $((took / 100000 % 10))
printf '%d handovers: %d checksums right, %d resets; stood still for %s\n' \
    "$HANDOVERS" "$right" $(($(resets) - before)) \
    "$(sed -n 's/.*stood still for //p' "$dir"/serve*.err | paste -sd,)"
finish
