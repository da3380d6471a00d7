#!/bin/sh
# The main job, shown: a real client of this machine's kernel, served by tern over a TUN device.
#
#   scripts/demo.sh [--real]     (called by ./dev demo)
#
# Everything happens in a world of its own (scripts/world.sh), of which nothing is left. The last line says
# what the packets went over: `link: tun`, or, where no TUN device can be had, `link: memory`. With --real
# that is a failure instead.
set -eu
cd "$(dirname "$0")/.."
LC_ALL=C.UTF-8
export LC_ALL

build=$(realpath "${TERN_BUILD:-build}")
tern=$build/tern
KERNEL=192.0.2.2
TERN=192.0.2.1
KERNEL2=198.51.100.2 # for tern as the client: a stack and a device of its own
TERN2=198.51.100.1
SIZE_MIB=64
SECONDS_AT_MOST=150

# --- words ----------------------------------------------------------------------------------------------

rule() { printf '%s\n' '────────────────────────────────────────────────────────────────────────────────'; }

title() {
    printf '\n'
    rule
    printf '%s\n\n' "$*"
}

say() { printf '   %s\n' "$*"; }

# What a command prints, set in.
show() { sed "/./,\$!d; s/^/   /; s/ *$//"; }

fail() {
    printf '\ndemo: FAILED: %s\n' "$*"
    exit 1
}

# until_true SECONDS COMMAND...: whether it became true in time.
until_true() {
    tries=$(($1 * 20))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

# --- outside: find out what can be had ------------------------------------------------------------------

why_no_tun() {
    if [ ! -e /dev/net/tun ]; then
        echo "there is no /dev/net/tun (modprobe tun; in a container: --device /dev/net/tun)"
    elif ! scripts/world.sh --check; then
        echo "this system lets neither root nor users make network namespaces"
    else
        echo "a TUN device cannot be made (in a container: --cap-add NET_ADMIN)"
    fi
}

in_memory() {
    printf 'No TUN device can be had here: %s.\n' "$(why_no_tun)"
    printf 'So both ends are tern, in memory; what happens is the same.\n'
    for scenario in handshake transfer close half-close reset; do
        "$tern" demo "$scenario" || fail "tern demo $scenario"
    done
    printf '\nlink: memory\n'
}

outside() {
    real=false
    for word; do
        case $word in
        --real) real=true ;;
        *)
            echo "demo: no option '$word'; there is --real" >&2
            exit 2
            ;;
        esac
    done
    [ -x "$tern" ] || fail "there is no $tern: ./dev build makes it"
    if [ -e /dev/net/tun ] && scripts/world.sh ip tuntap add dev tern0 mode tun 2>/dev/null; then
        exec scripts/world.sh timeout --foreground -k 5 "$SECONDS_AT_MOST" "$0"
    fi
    if $real; then
        printf 'demo: no TUN device can be had here: %s.\n' "$(why_no_tun)" >&2
        exit 1
    fi
    in_memory
}

# --- inside ---------------------------------------------------------------------------------------------

make_devices() {
    ip tuntap add dev tern0 mode tun
    ip addr add "$KERNEL/24" dev tern0
    ip link set tern0 up
    ip tuntap add dev tern1 mode tun
    ip addr add "$KERNEL2/24" dev tern1
    ip link set tern1 up
}

make_files() {
    mkdir -p "$dir/www"
    head -c "${SIZE_MIB}M" /dev/urandom >"$dir/www/random.bin"
    printf 'Hello from a TCP of its own.\n' >"$dir/www/hello.txt"
}

start_serve() {
    "$tern" serve "$dir/www" --tun tern0 --addr "$TERN/24" --trace "$dir/trace" --ladder \
        >"$dir/ladders" 2>"$dir/serve.err" &
    until_true 5 grep -q ' is at http' "$dir/serve.err" ||
        fail "tern serve does not start: $(cat "$dir/serve.err")"
}

# The states that the connection with this port of the kernel's went through, by tern's trace:
# "LISTEN → SYN_RCVD → ESTABLISHED". The trace is one JSON object a line.
life_of() { # life_of FILE KERNEL-ENDPOINT
    grep '"ev":"state"' "$1" | grep -F "\"remote\":\"$2\"" |
        sed 's/.*"from":"\([A-Z_0-9]*\)","to":"\([A-Z_0-9]*\)".*/\1 \2/' |
        awk 'NR == 1 { line = $1 } { line = line " → " $2 } END { print line }'
}

# The port on the kernel's side of the connection opened last.
last_port() {
    grep '"ev":"state"' "$1" | sed -n "s/.*\"remote\":\"$2:\([0-9]*\)\".*/\1/p" | tail -n 1
}

kernel_state() { # kernel_state LOCAL-PORT REMOTE
    state=$(ss -Htan "sport = :$1 and dst $2" | awk '{ print $1 }')
    echo "${state:-gone}"
}

# Both sides' word on a connection; tern's states must end as the standard says.
lives() { # lives FILE KERNEL TERN PORT END
    life=$(life_of "$1" "$2:$4")
    say "tern    $life"
    say "kernel  now: $(kernel_state "$4" "$3")"
    case $life in
    *"$5") ;;
    *) fail "that should have ended in $5" ;;
    esac
}

# --- the four acts --------------------------------------------------------------------------------------

act_fetch() {
    title "1. The kernel's curl fetches $SIZE_MIB MiB from tern serve"
    say "\$ curl http://$TERN/random.bin"
    told=$(curl -sS --max-time 60 -o "$dir/copy" -w '%{time_total} %{speed_download}' \
        "http://$TERN/random.bin") ||
        fail "curl could not fetch the file"
    say "$(echo "$told" | awk '{ printf "%.2f s, %.1f Gbit/s", $1, $2 * 8 / 1e9 }')"
    original=$(sha256sum <"$dir/www/random.bin")
    copy=$(sha256sum <"$dir/copy")
    say "sha256  the file      ${original%% *}"
    say "        as received   ${copy%% *}"
    [ "$original" = "$copy" ] || fail "the checksums differ"
    say "equal: every byte arrived, in order."
    rm -f "$dir/copy"
}

act_close() {
    title "2. Who closes first, both ways round"
    say "a. The kernel connects and closes first (curl has its answer and leaves):"
    curl -sS -o /dev/null "http://$TERN/hello.txt"
    until_true 3 closed_by_kernel || :
    port=$(last_port "$dir/trace" "$KERNEL")
    lives "$dir/trace" "$KERNEL" "$TERN" "$port" 'CLOSE_WAIT → LAST_ACK → CLOSED'
    say "   The side that closes first waits in TIME_WAIT; here that is the kernel."
    printf '\n'

    say "b. The kernel connects, tern closes first (HTTP/1.0: the server ends the connection):"
    before=$(wc -c <"$dir/ladders")
    curl -sS --http1.0 -o /dev/null "http://$TERN/hello.txt"
    until_true 3 grown "$dir/ladders" "$before" || :
    port=$(last_port "$dir/trace" "$KERNEL")
    lives "$dir/trace" "$KERNEL" "$TERN" "$port" 'TIME_WAIT'
    tail -c "+$((before + 1))" "$dir/ladders" >"$dir/ladder"
    printf '\n'

    say "c. tern connects to the kernel's nc and closes first:"
    tern_connects 9001 'until_true 5 tern_closed' : 'TIME_WAIT'
    printf '\n'
    say "d. tern connects, the kernel's nc closes first:"
    tern_connects 9002 : 'until_true 5 tern_heard_fin' 'CLOSE_WAIT → LAST_ACK → CLOSED'
}

closed_by_kernel() { life_of "$dir/trace" "$KERNEL:$(last_port "$dir/trace" "$KERNEL")" | grep -q 'CLOSED$'; }
grown() { [ "$(wc -c <"$1")" -gt "$2" ]; }

tern_closed() { grep -q '"to":"FIN_WAIT_1"' "$dir/cat.trace"; }
tern_heard_fin() { grep -q '"to":"CLOSE_WAIT"' "$dir/cat.trace"; }

# One line each way between `nc -l` of the kernel and `tern cat`; each side waits as told before it closes.
tern_connects() { # tern_connects PORT KERNEL-WAITS TERN-WAITS END
    rm -f "$dir/cat.trace"
    { echo 'from the kernel' && $2; } | timeout 10 nc -N -l -n "$KERNEL2" "$1" >"$dir/nc.out" &
    nc=$!
    until_true 3 listening "$1" || fail "nc does not listen"
    { echo 'from tern' && $3; } | timeout 10 "$tern" cat --tun tern1 --addr "$TERN2/24" --linger 0.2 \
        --trace "$dir/cat.trace" "$KERNEL2" "$1" >"$dir/cat.out" 2>"$dir/cat.err" ||
        fail "tern cat: $(cat "$dir/cat.err")"
    wait "$nc" || fail "nc ended badly"
    [ "$(cat "$dir/nc.out")" = 'from tern' ] || fail "nc received '$(cat "$dir/nc.out")'"
    [ "$(cat "$dir/cat.out")" = 'from the kernel' ] || fail "tern cat received '$(cat "$dir/cat.out")'"
    lives "$dir/cat.trace" "$KERNEL2" "$TERN2" "$1" "$4"
}

listening() { ss -Hltn "sport = :$1" | grep -q LISTEN; }

act_ladder() {
    title "3. One whole connection, segment by segment: 2b again"
    show <"$dir/ladder"
}

# Three connections held in different states while both sides are asked.
act_ss() {
    title "4. The same connections as both sides see them"
    say "Held for this: a connection that is open and idle, and one of which tern has closed its half and the"
    say "kernel's program (nc) has not. Those of before are in TIME_WAIT."
    printf '\n'
    hold idle 'GET /hello.txt HTTP/1.1\r\nHost: tern\r\n\r\n'
    hold half 'GET /hello.txt HTTP/1.0\r\n\r\n'
    until_true 3 both_held || :
    say "\$ tern ss --all"
    "$tern" ss --all | show
    printf '\n'
    say "\$ ss -tano"
    ss -tano | show
    printf '\n'
    side_by_side
    printf '\n'
}

# hold NAME REQUEST: sends it with nc, which then keeps the connection until it is ended.
hold() {
    mkfifo "$dir/$1.fifo"
    timeout 30 nc "$TERN" 80 <"$dir/$1.fifo" >"$dir/$1.out" 2>/dev/null &
    eval "holder_$1=\$!"
    exec 8>"$dir/$1.fifo"
    # shellcheck disable=SC2059
    printf "$2" >&8
    sleep 30 >&8 &
    eval "writer_$1=\$!"
    exec 8>&-
}

both_held() {
    ss -Htan | grep -q '^CLOSE-WAIT' && "$tern" ss -b fin_wait_2 && grep -q Hello "$dir/idle.out"
}

# By the port on the kernel's side, which names a connection on both.
side_by_side() {
    printf '   %-14s %-14s %s\n' "kernel's port" 'tern says' 'the kernel says'
    "$tern" ss --all --brief | awk -v ip="$KERNEL" '$3 ~ "^" ip ":" { sub(/.*:/, "", $3); print $3, $1 }' |
        while read -r port state; do
            printf '   %-14s %-14s %s\n' "$port" "$state" "$(kernel_state "$port" "$TERN")"
        done >"$dir/sides"
    cat "$dir/sides"
    grep -q 'ESTABLISHED *ESTAB$' "$dir/sides" && grep -q 'FIN_WAIT_2 *CLOSE-WAIT$' "$dir/sides" ||
        fail "the two sides do not agree"
}

inside() {
    dir=$(mktemp -d) # in the world's own /run
    printf 'tern demo: a real client of this machine, served by a TCP that is not the kernel'\''s\n\n'
    say "the Linux kernel $KERNEL ◀── TUN device tern0 ──▶ $TERN tern serve"
    say "All of it lives in a network namespace of its own, which goes when this ends."
    make_devices
    make_files
    start_serve
    act_fetch
    act_close
    act_ladder
    act_ss
    printf 'link: tun\n'
}

if [ "${TERN_WORLD-}" = 1 ]; then
    inside
else
    outside "$@"
fi
