#!/bin/bash
# examples/relay.c between two programs of the kernel: bytes that pass without a copy arrive as they were
# sent, a half-close passes on, and so does a refusal.
# timeout: 60
LIMIT=${LIMIT:-55}
. "$(dirname "$0")/lib.bash"
build_helper stream
device 0
cc -std=c17 -O2 -Iinclude examples/relay.c -o "$helpers/relay" "$build/libtern.a" -ljansson -lpthread \
    $(grep -q 'fsanitize=address' "$build/build.ninja" && echo -fsanitize=address,undefined) || {
    echo "Bail out! examples/relay.c cannot be compiled"
    exit 1
}
BYTES=${BYTES:-67108864}

"$helpers/relay" tern0 192.0.2.1/24 80 192.0.2.2 8080 2>"$dir/relay.err" &
relay=$!
soon 5 tern_listens 80

# The kernel's nc sends, closes its direction, and gets the answer of a server that answers at the end.
answer() { # answer TIMES: so many clients at once
    python3 - "$1" <<'PY' &
import hashlib, socket, sys, threading
def serve(s):
    h = hashlib.sha256()
    while (d := s.recv(1 << 20)):
        h.update(d)
    s.sendall(h.hexdigest().encode() + b"  -\n")
    s.close()
listener = socket.create_server(("192.0.2.2", 8080), backlog=64)
threads = [threading.Thread(target=serve, args=(listener.accept()[0],)) for _ in range(int(sys.argv[1]))]
for t in threads:
    t.start()
for t in threads:
    t.join()
PY
    local server=$! i
    soon 5 kernel_listens 8080 || return 1
    for ((i = 0; i < $1; i++)); do
        "$helpers/stream" "$i" "$BYTES" | timeout 40 nc -N 192.0.2.1 80 >"$dir/got.$i" &
        clients[i]=$!
    done
    for ((i = 0; i < $1; i++)); do
        wait "${clients[i]}" || return 1
        [ "$(cat "$dir/got.$i")" = "$("$helpers/stream" "$i" "$BYTES" | sha256sum)" ] || return 1
    done
    wait "$server"
}
check "$((BYTES >> 20)) MiB pass, the client's end of stream and the server's answer too" answer 1
BYTES=$((BYTES / 16))
check "eight clients at once" answer 8

# Nobody serves: the client is told at once, by RST or the end.
no_server() {
    local began=${EPOCHREALTIME/[.,]/}
    timeout 5 nc -d 192.0.2.1 80 && true
    ((${EPOCHREALTIME/[.,]/} - began < 2000000))
}
check "no server: the client does not wait" no_server
check "the relay lives" kill -0 "$relay"
gone() { ! "$tern" ss 2>/dev/null | grep -qE 'ESTABLISHED|CLOSE_WAIT|FIN_WAIT'; }
check "nothing is left open" soon 5 gone
finish
