#!/bin/bash
# tern ss --watch: in terminals of several sizes, by its keys, ended by signals, and into a pipe.
# timeout: 100
LIMIT=${LIMIT:-90}
. "$(dirname "$0")/lib.bash"
device 0

www=$dir/www
mkdir "$www"
truncate -s 3G "$www/large"
start_serve "$www"
# thirty connections at rest, one whose client does not read, and a download
python3 - <<'PY' &
import socket, time
held = [socket.create_connection(("192.0.2.1", 80)) for _ in range(30)]
held[7].send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
time.sleep(80)
PY
curl -s --limit-rate 20M -o /dev/null http://192.0.2.1/large &
watch() { python3 tests/interop/watch.py "$1" "$tern"; }

check "it fits the window, narrow and wide, and follows its changes" watch sizes
check "keys sort, filter, explain, scroll and pause" watch keys
check "the terminal is given back after SIGINT, SIGTERM, SIGHUP and SIGQUIT" watch signals
check "and while it is stopped by ^Z" watch stop_and_go
check "without any process it says so" watch nobody
blocks() {
    timeout 3 "$tern" ss --watch=0.5 established >"$dir/blocks"
    [ $? -eq 0 -o $? -eq 124 ] && ! grep -q $'\033' "$dir/blocks" &&
        [ "$(grep -c '^tern ss, ' "$dir/blocks")" -ge 3 ] && grep -q '^ESTABLISHED .*blocked' "$dir/blocks" &&
        grep -qE '^ESTABLISHED .* [0-9.]+[kM]  .*healthy' "$dir/blocks"
}
check "into a file: a block each time, with rates, without escape sequences" blocks
pipe() {
    timeout 10 "$tern" ss --watch=0.2 | head -n 1 | grep -q '^tern ss, '
    [ "${PIPESTATUS[*]}" = '0 0 0' ]
}
check "it ends when nobody reads any more" pipe
wrong() { "$tern" ss --watch=soon 2>&1 | grep -q "'soon' is no interval"; }
check "a bad interval is said" wrong
finish
