#!/bin/bash
# Addresses, routes and links of a running tern change while curl of the kernel's side downloads.
# timeout: 120
LIMIT=${LIMIT:-110}
. "$(dirname "$0")/lib.bash"
device 0

www=$dir/www
mkdir -p "$www"
head -c 8000000 /dev/urandom >"$www/data.bin"
start_serve "$www" --port 80 --impair rate=20mbit --trace "$dir/trace.jsonl"
get() { curl -sS --max-time 40 "$@"; }
size() { stat -c %s "$1" 2>/dev/null || echo 0; }
grown() { (($(size "$1") > $2)); }
says() { # says TEXT COMMAND...: what it prints has this text
    local want=$1
    shift
    "$@" 2>&1 | grep -qF -- "$want" || { "$@"; return 1; }
}
refuses() { # refuses TEXT COMMAND...: exit status 1, and this text
    local want=$1 out rc=0
    shift
    out=$("$@" 2>&1) || rc=$?
    [ $rc -eq 1 ] && grep -qF -- "$want" <<<"$out" || { echo "$rc: $out"; return 1; }
}
json() { python3 -c "import json, sys; d = json.load(sys.stdin); print($1)"; } # of what comes in
mss() { "$tern" ss --json established | json 'd[0]["connections"][0]["mss"]'; }
is() { [ "$1" = "$2" ] || { echo "'$1', not '$2'"; return 1; }; }
# download NAME HOST: in the background; returns when some of it has come
download() {
    get -o "$dir/$1" "http://$2/data.bin" 2>"$dir/$1.said" &
    eval "$1=$!"
    soon 10 grown "$dir/$1" 500000
}
whole() { wait "${!1}" && cmp "$dir/$1" "$www/data.bin"; }

check "the list has what serve was given" says '192.0.2.1/24 link 1 (tern0)' "$tern" addr
check "and as JSON" is "$("$tern" addr --json | json 'd[0]["address"]')" 192.0.2.1
check "the links" says '1 tern0 up mtu 1500' "$tern" link
check "the routes" says '0.0.0.0/0 link 1 (tern0)' "$tern" route list

check "an address is added" "$tern" addr add 192.0.2.7/24
check "not twice" refuses 'there already' "$tern" addr add 192.0.2.7/24 tern0
check "it is served at once" get -o /dev/null http://192.0.2.7/
check "no such link" refuses 'no such link' "$tern" addr add 192.0.2.8/24 tern9
check "no address of a host" refuses 'not possible' "$tern" addr add 224.0.0.1/24
check "bad usage" is "$("$tern" addr frob x 2>&1 >/dev/null; echo $?)" \
    $'tern addr: see tern addr --help\n2'

download goes 192.0.2.7
check "a download from it runs" grown "$dir/goes" 500000
check "it is removed meanwhile" "$tern" addr remove 192.0.2.7
check "its connection ends with that reason" soon 5 grep -q ADDR_REMOVED "$dir/trace.jsonl"
check "and is not listed any more" is 0 \
    "$("$tern" ss --json established | json 'sum(len(p["connections"]) for p in d)')"
sleep 0.3
at=$(size "$dir/goes")
sleep 0.5
check "nothing comes any more" is "$(size "$dir/goes")" "$at"
kill "$goes" 2>/dev/null
check "removing it again says so" refuses 'no such address' "$tern" addr remove 192.0.2.7
check "the other address serves on" get -o /dev/null http://192.0.2.1/

download narrow 192.0.2.1
check "segments are cut for 1500 bytes" is "$(mss)" 1448
check "the MTU is lowered" "$tern" link mtu tern0 1300
check "segments follow" is "$(mss)" 1248
check "the download is whole" whole narrow
check "too small an MTU is refused" refuses 'not possible' "$tern" link mtu 1 1000
download wide 192.0.2.1
check "a connection made with the small MTU" is "$(mss)" 1248
check "the MTU is raised" "$tern" link mtu tern0 1500
check "segments follow as far as the peer takes them" is "$(mss)" 1448
check "this download is whole too" whole wide

download waits 192.0.2.1
check "the link goes down" "$tern" link down tern0
check "it is listed so" says '1 tern0 down' "$tern" link
sleep 0.3
at=$(size "$dir/waits")
sleep 2
check "nothing comes" is "$(size "$dir/waits")" "$at"
check "the connection is there" says '192.0.2.1:80' "$tern" ss -b established
check "the link comes up" "$tern" link up tern0
check "bytes come at once" soon 1 grown "$dir/waits" "$at"
check "the download is whole, after all" whole waits

download rerouted 192.0.2.1
check "the routes go" bash -c "'$tern' route remove 0.0.0.0/0 && '$tern' route remove 192.0.2.0/24"
check "the answers go where the SYN came from" whole rerouted
check "a route is put in its place" "$tern" route replace 192.0.2.0/24 tern0
check "and removed by its number" "$tern" route remove 192.0.2.0/24 1
check "over IPv6 nothing of this is felt" get -o /dev/null 'http://[2001:db8::1]/'
finish
