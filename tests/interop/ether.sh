#!/bin/bash
# tern on Ethernet, by AF_PACKET and by AF_XDP, on one end of a veth; the kernel on the other: ARP and
# neighbour discovery from cold caches, downloads while neighbours are forgotten, addresses that the other
# has, routers' advertisements by radvd, gateways.
# timeout: 120
LIMIT=${LIMIT:-110}
. "$(dirname "$0")/lib.bash"

www=$dir/www
mkdir -p "$www"
head -c 8000000 /dev/urandom >"$www/data.bin"
echo hello >"$www/hello"
ip netns add k
k() { ip netns exec k "$@"; }
says() { # says TEXT COMMAND...: what it prints has this text
    local want=$1
    shift
    "$@" 2>&1 | grep -qF -- "$want" || { "$@"; return 1; }
}
json() { python3 -c "import json, sys; d = json.load(sys.stdin); print($1)"; }
is() { [ "$1" = "$2" ] || { echo "'$1', not '$2'"; return 1; }; }
get() { k curl -gsS --max-time 20 "$@"; }
same() { get -o "$dir/got" "http://$1/data.bin" && cmp "$dir/got" "$www/data.bin"; }
pings() { k ping -q -c 3 -i 0.2 -W 2 "$1"; }
known() { "$tern" neigh --json | json "[n['state'] for n in d if n['address'] == '$1'][0]"; }
stop() { kill "$serve" 2>/dev/null; wait "$serve" 2>/dev/null; }
refused() { # refused TEXT ARGUMENT...: tern ends with 2 and says it
    local want=$1 out rc=0
    shift
    out=$(timeout 20 "$tern" "$@" 2>&1 </dev/null) || rc=$?
    [ $rc -eq 2 ] && grep -qF -- "$want" <<<"$out" || { echo "$rc: $out"; return 1; }
}

# cable: a new veth, its end veth1 the kernel's in the other network
cable() {
    ip link del veth0 2>/dev/null
    ip link add veth0 type veth peer name veth1 netns k
    sysctl -q -w net.ipv6.conf.veth0.disable_ipv6=1
    ip -n k addr add 192.0.2.2/24 dev veth1
    ip -n k addr add 2001:db8::2/64 dev veth1 nodad
    ip link set veth0 up
    ip -n k link set veth1 up
    ip -n k link set lo up
    [ "$kind" = packet ] || k ethtool -K veth1 tx off >/dev/null 2>&1
    soon 5 sh -c 'ip -n k -6 addr show dev veth1 scope link | grep -v tentative | grep -q fe80'
}

# begin [OPTION...]: a server that answers
begin() {
    "$tern" serve "$www" --port 80 --$kind veth0 "$@" >"$dir/serve.out" 2>"$dir/serve.err" &
    serve=$!
    soon 20 tern_listens 80 || { cat "$dir/serve.err"; return 1; }
}
both=(--addr 192.0.2.1/24 --addr 2001:db8::1/64 --no-dad)

# while it downloads both sides forget each other, again and again
forgetful() {
    get --limit-rate 8M -o "$dir/got" "http://$1/data.bin" &
    local download=$! n=0
    while kill -0 $download 2>/dev/null; do
        ip -n k neigh flush dev veth1
        "$tern" neigh flush
        n=$((n + 1))
        sleep 0.05
    done
    wait $download && cmp "$dir/got" "$www/data.bin" && [ $n -gt 3 ]
}

# a server of the kernel's, asked by tern
fetches() {
    printf 'GET /data.bin HTTP/1.0\r\n\r\n' |
        timeout 20 "$tern" cat --$kind veth0 "${both[@]}" "${@:2}" "$1" 9000 2>"$dir/cat.err" \
            >"$dir/answer" || { cat "$dir/cat.err"; return 1; }
    tail -c 8000000 "$dir/answer" | cmp - "$www/data.bin"
}

# the segments of tern's connections are as the router's MTU allows
mss_is() {
    get --limit-rate 1M -o /dev/null "http://$1/data.bin" &
    local download=$! out
    soon 5 "$tern" ss established
    out=$("$tern" ss --json established | json '[c["mss"] for p in d for c in p["connections"]]')
    kill $download
    wait $download 2>/dev/null
    is "$out" "[$2]"
}

conversation() {
    check "$kind: it serves" begin "${both[@]}"
    check "$kind: ping, IPv4, from cold" pings 192.0.2.1
    check "$kind: ping, IPv6, from cold" pings 2001:db8::1
    check "$kind: the kernel is known" grep -E 'REACHABLE|DELAY|PROBE' <<<"$(known 192.0.2.2)"
    check "$kind: curl, IPv4" same 192.0.2.1
    check "$kind: curl, IPv6" same '[2001:db8::1]'
    check "$kind: both sides forget each other, IPv4" forgetful 192.0.2.1
    check "$kind: and IPv6" forgetful '[2001:db8::1]'
    check "$kind: the link has an Ethernet address" \
        says "ethernet $(cat /sys/class/net/veth0/address 2>/dev/null)" "$tern" link
    stop
    check "$kind: tern is the client, IPv4" fetches 192.0.2.2
    check "$kind: tern is the client, IPv6" fetches 2001:db8::2
    check "$kind: by a gateway" fetches 198.51.100.5 --gateway 192.0.2.2
}

duplicates() {
    check "$kind: the kernel has the IPv4 address" \
        refused 'another host on veth0 has the address 192.0.2.2' \
        serve "$www" --$kind veth0 --addr 192.0.2.2/24
    check "$kind: the kernel has the IPv6 address" \
        refused 'another host on veth0 has the address 2001:db8::2' \
        serve "$www" --$kind veth0 --addr 2001:db8::2/64
}

advertised() {
    cat >"$dir/radvd.conf" <<'CONF'
interface veth1 {
    AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvLinkMTU 1400; AdvDefaultLifetime 600;
    prefix 2001:db8:5::/64 {
        AdvOnLink on; AdvAutonomous on; AdvValidLifetime 7200; AdvPreferredLifetime 3600;
    };
};
CONF
    ip -n k addr add 2001:db8:5::2/64 dev veth1 nodad
    k sysctl -q -w net.ipv6.conf.all.forwarding=1
    k radvd -n -m stderr -C "$dir/radvd.conf" -p "$dir/radvd.pid" >"$dir/radvd.log" 2>&1 &
    check "$kind: a router gives it an address" begin --addr auto
    local made
    made=$("$tern" addr --json | json '[a["address"] for a in d if ":db8:5:" in a["address"]][0]')
    check "$kind: it is shown so" says 'by a router, for' "$tern" addr
    check "$kind: and the router" says '::/0 via fe80::' "$tern" route
    check "$kind: curl of that address" same "[$made]"
    check "$kind: the router's MTU" mss_is "[$made]" 1328
    stop
    kill "$(cat "$dir/radvd.pid" 2>/dev/null)" 2>/dev/null
}

ip -n k link set lo up
ip -n k addr add 198.51.100.5/32 dev lo
k python3 -m http.server --bind :: --directory "$www" 9000 >/dev/null 2>&1 &
kind=packet
cable
conversation
check "packet: without offloads" begin "${both[@]}" --plain
check "packet: curl without offloads" same 192.0.2.1
check "packet: two devices" refused 'one device' serve "$www" --packet veth0 --tun tern0
check "packet: no such device" refused 'there is no network device veth9' serve "$www" --packet veth9
check "packet: not Ethernet" refused 'no Ethernet device' serve "$www" --packet lo
check "tun: what is for Ethernet" refused 'are for --packet and --xdp' cat --no-dad 192.0.2.2 80
stop
check "packet: a capture" begin "${both[@]}" --pcap "$dir/web.pcapng"
get -o /dev/null http://192.0.2.1/hello
stop
tshark -r "$dir/web.pcapng" -T fields -e eth.src -e _ws.col.Protocol 2>/dev/null >"$dir/columns"
check "packet: it has frames, ARP among them" grep -q ARP "$dir/columns"
duplicates
command -v radvd >/dev/null && advertised

kind=xdp
cable
begin "${both[@]}" 2>/dev/null >/dev/null
if grep -qE 'AF_XDP cannot be used|no permission|built without' "$dir/serve.err"; then
    echo "# xdp is not to be had here: $(head -n 1 "$dir/serve.err")"
else
    stop
    conversation
    check "xdp: it says how" grep -qE 'AF_XDP on veth0, (zero-copy|copy) mode' "$dir/serve.err"
    command -v radvd >/dev/null && advertised
fi
finish
