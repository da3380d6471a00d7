#!/bin/bash
# tern serve with several queues of a device: every connection finds its stack, each stack has its share.
# timeout: 130
LIMIT=${LIMIT:-120}
. "$(dirname "$0")/lib.bash"

ip tuntap add dev tern0 mode tun multi_queue
ip addr add 192.0.2.2/24 dev tern0
ip addr add 2001:db8::2/64 dev tern0 nodad
ip link set tern0 up

www=$dir/www
mkdir -p "$www"
head -c 3000000 /dev/urandom >"$www/data.bin"
start_serve "$www" --queues 3

stacks() { "$tern" ss --json "$@"; }
json() { python3 -c "import json, sys; d = json.load(sys.stdin); print($1)"; } # of what comes in
# Downloads one after the other and at once, by both families; each file is compared.
fetch() {
    local hosts=(192.0.2.1 '[2001:db8::1]') pids=() i
    for i in {1..40}; do
        curl -gsS --max-time 60 -o "$dir/got.$i" "http://${hosts[i % 2]}/data.bin" &
        pids+=($!)
    done
    for i in {1..40}; do
        wait "${pids[i - 1]}" && cmp "$dir/got.$i" "$www/data.bin" || return 1
    done
}
each_served() {
    local socket n
    for socket in /run/tern/*-serve*.sock; do
        n=$(curl -sS --unix-socket "$socket" http://localhost/metrics | awk '/^tern_tx_bytes/ { print $2 }')
        echo "# $socket has sent $n bytes"
        ((${n%.*} > 3000000)) || return 1
    done
}
# A connection that is silent for longer than the kernel remembers a flow finds its stack again.
after_silence() {
    {
        printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
        sleep 4
        printf 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
    } | timeout 60 nc 192.0.2.1 80 | grep -c '200 OK' | grep -qx 2
}
six_after_silence() {
    local pids=() pid
    for _ in 1 2 3 4 5 6; do
        after_silence &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || return 1
    done
}

check "there are three stacks" [ "$(stacks listen | json 'len(d)')" = 3 ]
check "all downloads are whole" fetch
check "each stack has served some" each_served
check "connections go on after a silence" six_after_silence
kill -INT "$serve"
check "all end with the first" soon 5 sh -c "! kill -0 $serve 2>/dev/null"
check "and in order" wait "$serve"
finish
