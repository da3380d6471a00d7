#!/bin/bash
# A gibibyte each way between the kernel's nc and tern cat, compared byte for byte, over IPv4 and IPv6; a
# kernel's curl and tern serve; half-close; closed ports.
# timeout: 240
LIMIT=${LIMIT:-230}
. "$(dirname "$0")/lib.bash"
build_helper stream
device 0
BYTES=${BYTES:-1073741824}
IMPAIR=()

. "$(dirname "$0")/both_ways.bash"
both_ways 300

# --- half-close ----------------------------------------------------------------------------------------

# The kernel asks and closes its direction; tern answers when it has read to the end.
half_close() {
    mkfifo "$dir/answer"
    # without timeout(1), which would keep standard output open
    "$tern" cat -l "${tern_0[@]}" 9003 <"$dir/answer" 2>"$dir/cat.err" | sha256sum >"$dir/answer" &
    soon 5 tern_listens 9003 || return 1
    local got
    got=$("$helpers/stream" 5 1000000 | timeout 10 nc -N 192.0.2.1 9003)
    wait $! && [ "$got" = "$("$helpers/stream" 5 1000000 | sha256sum)" ]
}
check "the kernel closes its half first and still gets the answer" half_close

# And the other way round: tern asks and closes its direction, the kernel answers at the end.
half_close_tern() {
    python3 -c '
import hashlib, socket
s = socket.create_server(("192.0.2.2", 9004)).accept()[0]
h = hashlib.sha256()
while (d := s.recv(65536)):
    h.update(d)
s.send(h.hexdigest().encode() + b"  -")
' &
    soon 5 kernel_listens 9004
    local got
    got=$("$helpers/stream" 6 1000000 | timeout 10 "$tern" cat "${tern_0[@]}" 192.0.2.2 9004)
    [ "$got" = "$("$helpers/stream" 6 1000000 | sha256sum)" ]
}
check "tern closes its half first and still gets the answer" half_close_tern

# --- nobody there ----------------------------------------------------------------------------------------

start_serve "$dir"
# pitfall 33: not a timeout, and at once
refused() {
    python3 - "$1" <<'PY'
import socket, sys, time
began = time.monotonic()
try:
    socket.create_connection((sys.argv[1], 81), timeout=5)
except ConnectionRefusedError:
    took = time.monotonic() - began
    print(f"refused after {took * 1000:.1f} ms")
    sys.exit(took > 0.5)
sys.exit("not refused")
PY
}
check "pitfall 33: a SYN to a closed port of tern's is refused at once" refused 192.0.2.1
check "pitfall 33: likewise over IPv6" refused 2001:db8::1
kill "$serve"
wait "$serve"

tern_refused() {
    "$tern" cat "${tern_0[@]}" "$1" 81 </dev/null 2>"$dir/refused"
    [ $? -eq 1 ] && grep -q 'Connection refused' "$dir/refused"
}
check "a closed port of the kernel's is refused, exit 1" tern_refused 192.0.2.2
check "likewise over IPv6" tern_refused 2001:db8::2
tern_waits() {
    "$tern" cat -w 0.5 "${tern_0[@]}" 192.0.2.77 81 </dev/null 2>"$dir/refused"
    [ $? -eq 1 ] && grep -q 'timed out' "$dir/refused"
}
ip route add blackhole 192.0.2.77
check "nobody there: tern cat -w gives up" tern_waits
finish
