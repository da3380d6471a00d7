#!/bin/bash
# Debian's iperf3 against tern iperf: client and server, both directions, IPv4 and IPv6, several connections.
# timeout: 120
LIMIT=${LIMIT:-110}
. "$(dirname "$0")/lib.bash"
device 0
T=${T:-1}
# the kernel's default may be BBR, which hides what loss does; not everybody may choose
cubic=(-C cubic)
python3 -c 'import socket; socket.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")' \
    2>/dev/null || cubic=()

# moved FILE PATH-OF-NUMBER: a JSON report says that bytes arrived; prints Gbit/s.
moved() {
    python3 - "$1" "$2" <<'PY'
import json, sys
with open(sys.argv[1]) as f:
    value = json.load(f)
seconds = value["end"]["sum_received"]["seconds"] if "end" in value else value["seconds"]
for key in sys.argv[2].split("."):
    value = value[key]
print(f"# {value * 8 / seconds / 1e9:.2f} Gbit/s" if value else "none")
sys.exit(0 if value > 100000 else 1)
PY
}

"$tern" iperf -s "${tern_0[@]}" >"$dir/server.out" 2>"$dir/server.err" &
server=$!
soon 5 tern_listens 5201
client() { # client ADDRESS OPTION...: iperf3 is the client
    timeout 20 iperf3 -J "${cubic[@]}" -c "$@" >"$dir/iperf3.json" 2>&1 || {
        cat "$dir/iperf3.json" "$dir/server.err"
        return 1
    }
    moved "$dir/iperf3.json" end.sum_received.bytes
}
check "iperf3 sends to tern" client 192.0.2.1 -t "$T"
check "tern sends to iperf3 (-R)" client 192.0.2.1 -t "$T" -R
check "over IPv6" client 2001:db8::1 -t "$T"
check "over IPv6, -R" client 2001:db8::1 -t "$T" -R
check "four connections" client 192.0.2.1 -t "$T" -P 4
check "four connections, -R" client 192.0.2.1 -t "$T" -P 4 -R
check "by bytes" client 192.0.2.1 -n 200M
denied() { ! iperf3 -u -t 1 -c 192.0.2.1 >"$dir/udp" 2>&1 && kill -0 "$server"; }
check "UDP is refused in words, the server lives" denied
check "and goes on" client 192.0.2.1 -t "$T"
kill "$server"
wait "$server"
check "SIGTERM ends the server with 0" [ $? -eq 0 ]

iperf3 -s -B 192.0.2.2 >"$dir/iperf3.out" 2>&1 &
iperf3 -s -B 2001:db8::2 >/dev/null 2>&1 &
soon 5 kernel_listens 5201
tern_client() {
    timeout 20 "$tern" iperf --json "${tern_0[@]}" -c "$@" >"$dir/tern.json" 2>"$dir/tern.err" || {
        cat "$dir/tern.json" "$dir/tern.err"
        return 1
    }
    moved "$dir/tern.json" received_bytes
}
check "tern as client sends" tern_client 192.0.2.2 -t "$T"
check "tern as client receives (-R)" tern_client 192.0.2.2 -t "$T" -R
check "over IPv6" tern_client 2001:db8::2 -t "$T"
check "over IPv6, -R" tern_client 2001:db8::2 -t "$T" -R
check "four connections" tern_client 192.0.2.2 -t "$T" -P 4
check "four connections, -R" tern_client 192.0.2.2 -t "$T" -P 4 -R
check "by bytes" tern_client 192.0.2.2 -n 200M
nobody() {
    "$tern" iperf "${tern_0[@]}" -c 192.0.2.2 -p 5999 2>"$dir/nobody"
    [ $? -eq 1 ] && grep -q 'Connection refused' "$dir/nobody"
}
check "no server: refused, exit 1" nobody
finish
