#!/bin/bash
# What monitoring gets to see: the control socket over HTTP, and tern ss --prometheus, of real processes.
# timeout: 60
LIMIT=${LIMIT:-50}
. "$(dirname "$0")/lib.bash"
device 0
device 1

www=$dir/www
mkdir "$www"
printf 'hello\n' >"$www/hello.txt"
is() { [ "$1" = "$2" ] || { echo "'$1', not '$2'"; return 1; }; }
strict() { python3 tests/interop/prometheus.py "$@"; }
start_serve "$www"
socket=$(echo /run/tern/*-serve.sock)
scrape() { curl -sS --max-time 5 --unix-socket "$socket" "http://localhost/$1"; }
value() { scrape metrics | strict "$1" | sed 's/.* //'; }

check "GET /metrics is strictly the text format" strict < <(scrape metrics)
check "its type says so" is \
    "$(curl -sS --unix-socket "$socket" -o /dev/null -w '%{content_type}' http://localhost/metrics)" \
    'text/plain; version=0.0.4'
for _ in 1 2 3; do curl -sS -o /dev/null http://192.0.2.1/hello.txt; done
curl -sS --max-time 1 -o /dev/null http://192.0.2.1:81/ 2>/dev/null
check "connections are counted" is "$(value tern_accepted_total)" 3
check "drops are counted by cause" is "$(value 'tern_dropped_total{cause="NO_CONNECTION"}')" 1
check "GET /stats is JSON with the same" is \
    "$(scrape stats | python3 -c 'import json, sys; print(json.load(sys.stdin)["stats"]["accepted"])')" 3
exec 5<>/dev/tcp/192.0.2.1/80
check "an open connection is seen" is "$(value 'tern_connections{state="ESTABLISHED"}')" 1
exec 5>&-
gone() { is "$(value 'tern_connections{state="ESTABLISHED"}')" 0; }
check "and when it is gone" soon 5 gone
check "another path is 404" is \
    "$(curl -sS --unix-socket "$socket" -o /dev/null -w '%{http_code}' http://localhost/)" 404

"$tern" cat -l 7001 "${tern_1[@]}" </dev/null >/dev/null 2>&1 &
soon 5 tern_listens 7001
both() {
    "$tern" ss --prometheus >"$dir/both" || return 1
    strict tern_link_up <"$dir/both" | tee "$dir/up"
    grep -q 'process="serve"' "$dir/up" && grep -q 'process="cat"' "$dir/up" && is "$(wc -l <"$dir/up")" 2
}
check "tern ss --prometheus merges two processes into one text" both
check "-p: one of them" is "$("$tern" ss --prometheus -p "$serve" | strict tern_accepted_total | wc -l)" 1
check "it has the address of a listener as a label" grep -q 'local="\*:80"' "$dir/both"
printf 'x_total 1\n' >"$dir/bad"
check "(the checker finds a sample without its head)" bash -c \
    "! python3 tests/interop/prometheus.py <'$dir/bad'"
finish
