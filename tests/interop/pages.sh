#!/bin/bash
# tern serve lends the pages of files: next to nothing is copied, and a file that becomes shorter meanwhile
# ends its downloads and nothing else.
# timeout: 130
LIMIT=${LIMIT:-120}
. "$(dirname "$0")/lib.bash"
device 0

www=$dir/www
mkdir -p "$www"
# a piece that is mapped at once has 64 MiB: this has three
head -c 150000000 /dev/urandom >"$www/large.bin"
head -c 15000 /dev/urandom >"$www/small.bin"
start_serve "$www"

counter() {
    curl -sS --unix-socket /run/tern/*-serve.sock http://localhost/metrics |
        awk -v n="tern_$1_total" '$1 == n { print int($2) }'
}
whole() { curl -sS --max-time 60 "http://192.0.2.1/$1" | cmp - "$www/$1"; }
part() {
    curl -sS --max-time 60 -r "$1-$2" http://192.0.2.1/large.bin |
        cmp - <(tail -c +$(($1 + 1)) "$www/large.bin" | head -c $(($2 - $1 + 1)))
}
little_copied() {
    local copied sent
    copied=$(counter copied_bytes) sent=$(counter tx_bytes)
    echo "# $copied bytes copied of $sent sent"
    ((sent > 150000000 && copied < 100000))
}
# A slow client, and the file loses its end: the download fails.
cut_off() {
    head -c 20000000 /dev/urandom >"$www/cut.bin"
    cp "$www/cut.bin" "$dir/was.bin"
    curl -sS --max-time 20 --limit-rate 2M -o "$dir/cut.got" http://192.0.2.1/cut.bin &
    local pid=$!
    sleep 1
    truncate -s 1000 "$www/cut.bin"
    ! wait "$pid"
}
without_a_byte_that_was_never_there() { cmp -n "$(stat -c %s "$dir/cut.got")" "$dir/cut.got" "$dir/was.bin"; }
lives() { kill -0 "$serve"; }

check "a large file is whole" whole large.bin
check "next to nothing of it was copied" little_copied
check "a range across two pieces" part 67000000 67300000
check "four at once" sh -c 'for i in 1 2 3 4; do
    curl -sS --max-time 60 http://192.0.2.1/large.bin | cmp - '"$www"'/large.bin & pids="$pids $!"; done
    for p in $pids; do wait $p || exit 1; done'
check "a small one is copied" whole small.bin
check "a file that becomes shorter ends its download" cut_off
check "what came was in the file" without_a_byte_that_was_never_there
check "the server goes on" lives
check "and serves" whole small.bin
kill "$serve"
wait "$serve"
start_serve "$www" --plain
check "without offloads: a file that becomes shorter" cut_off
check "the server goes on" lives
check "and serves" whole large.bin
check "it lends, too: the checksum is made where the bytes lie" little_copied
kill "$serve"
wait "$serve"

# the example: all it sends is lent, and copied is what is too small to be kept, the request
lent() {
    ! "$build/example-lend" tern0 192.0.2.1/24 80 "$www/large.bin" >"$dir/lend.out" 2>&1 &
    soon 5 tern_listens 80 && whole large.bin && soon 5 grep 'copied' "$dir/lend.out"
    cat "$dir/lend.out" | sed 's/^/# /'
    awk '/copied/ { exit !($1 > 150000000 && $NF < 200) }' "$dir/lend.out"
}
if [ -x "$build/example-lend" ]; then
    check "example-lend copies the request and nothing else" lent
fi
finish
