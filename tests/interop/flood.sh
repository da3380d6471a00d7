#!/bin/bash
# A SYN flood over TUN (pitfall 11): honest connects of the kernel during it are all served, by their first
# SYN; the same from one source; and with the accept queue full (pitfall 10) silence, then service.
# scripts/prove/flood.sh has it with 100,000 SYNs a second and 1,000 connects.
# timeout: 240
LIMIT=${LIMIT:-230}
. "$(dirname "$0")/lib.bash"
build_helper flood
device 0
RATE=${RATE:-10000} SECONDS_LONG=${SECONDS_LONG:-3} CONNECTS=${CONNECTS:-100}
flood=$helpers/flood
ip link set tern0 txqueuelen 100000 # a queue before tern that drops nothing: tern is what is tested
tc qdisc replace dev tern0 root noqueue 2>/dev/null

start() { # BACKLOG
    "$flood" serve tern0 192.0.2.1/24 80 "$1" >"$dir/serve.json" 2>"$dir/serve.err" &
    serve=$!
    soon 5 tern_listens 80
}
stop() {
    kill "$serve"
    wait "$serve"
}
field() { sed -E "s/.*\"$2\":([0-9]+).*/\1/" "$1"; }
# figures NAME FILE: shown as a comment of the case
figures() { echo "# $1: $(cat "$2")"; }

# The flood begins; half a second later the honest clients, spread over what is left of it.
under_attack() { # [SOURCE]
    start 1024 || return 1
    "$flood" attack 192.0.2.1 80 "$RATE" "$SECONDS_LONG" "$@" >"$dir/attack.json" &
    local attack=$!
    sleep 0.5
    "$flood" connect 192.0.2.1 80 "$CONNECTS" $(((SECONDS_LONG * 1000000 - 1000000) / CONNECTS)) 60 \
        >"$dir/connect.json"
    wait "$attack"
    stop
    figures attack "$dir/attack.json"
    figures clients "$dir/connect.json"
    figures server "$dir/serve.json"
    [ "$(field "$dir/connect.json" served)" = "$CONNECTS" ] &&
        [ "$(field "$dir/connect.json" syns_again)" = 0 ]
}
check "spoofed sources: every honest client is served by its first SYN" under_attack
flat() { # of records and pages: a backlog and some connections; a megabyte at most
    [ $(($(field "$dir/serve.json" arena_most) - $(field "$dir/serve.json" arena_before))) -le 1048576 ]
}
check "and memory stays flat" flat
check "one abusive source: every honest client is served by its first SYN" under_attack 198.51.100.77
check "and memory stays flat" flat

# Nobody accepts: silence, no RST; the clients' SYNs come again; then the program accepts, and all are served.
queue_full() {
    start 64 || return 1
    kill -USR1 "$serve"
    "$flood" connect 192.0.2.1 80 "$CONNECTS" 1000 "${PATIENCE:-60}" >"$dir/connect.json" &
    local clients=$!
    sleep 0.5
    "$flood" attack 192.0.2.1 80 "$RATE" "$SECONDS_LONG" >"$dir/attack.json"
    kill -USR2 "$serve"
    wait "$clients"
    local bad=$?
    stop
    figures attack "$dir/attack.json"
    figures clients "$dir/connect.json"
    figures server "$dir/serve.json"
    [ $bad = 0 ] && [ "$(field "$dir/serve.json" cookies_sent)" -lt $((RATE * SECONDS_LONG)) ]
}
check "the accept queue is full: silence, and all are served when it has room again" queue_full
finish
