# What the tests against the real kernel share; sourced, never run. Outside of a world (scripts/world.sh) it
# starts the test again inside of one, so a test begins with an empty network and leaves nothing, however it
# ends. LIMIT, if set before sourcing, bounds its seconds.
#
# Inside: $tern, $dir (a tmpfs of the world), $helpers/NAME (from tests/interop/NAME.c), a TUN device for each
# stack (two_sides), and `check`, `finish` for the cases. The kernel's side is .2, tern's is .1.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(realpath "$root/${TERN_BUILD:-build}" 2>/dev/null)
[[ ${TERN_BUILD-} != /* ]] || build=$TERN_BUILD
tern=$build/tern
cd "$root" || exit 1

if [ ! -x "$tern" ]; then
    echo "Bail out! there is no $tern: ./dev build makes it"
    exit 1
fi
if [ "${TERN_WORLD-}" != 1 ]; then
    if ! scripts/world.sh ip tuntap add dev tern0 mode tun 2>/dev/null; then
        echo "1..0 # SKIP no network namespace with a TUN device can be had here"
        exit 77
    fi
    exec scripts/world.sh timeout --foreground -k 5 "${LIMIT:-240}" "$BASH" "$0" "$@"
fi

set -u
dir=$(mktemp -d)
helpers=$dir/helpers
mkdir "$helpers"
cases=0
failures=0

# the kernel's congestion control where tests were written for it; a world of its own may choose
sysctl -q -w net.ipv4.tcp_congestion_control=cubic 2>/dev/null || :

# check NAME COMMAND...: one case, good when the command succeeds. What a bad one printed is shown, and of a
# good one the lines that begin with "# ".
check() {
    local name=$1
    shift
    cases=$((cases + 1))
    if "$@" >"$dir/check.log" 2>&1; then
        echo "ok $cases - $name"
        grep '^# ' "$dir/check.log"
    else
        echo "not ok $cases - $name"
        sed 's/^/#   /' "$dir/check.log" | tail -n 25
        failures=$((failures + 1))
    fi
}

finish() {
    echo "1..$cases"
    echo "$((cases - failures)) passed, $failures failed"
    # all others in this world end with it; a tern under a sanitizer gets its say
    jobs -p | xargs -r kill 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ -n "$(jobs -rp)" ] || break
        sleep 0.1
    done
    if grep -lE 'ERROR: |runtime error' "$dir"/*.err 2>/dev/null; then
        grep -hE -A 12 'ERROR: |runtime error' "$dir"/*.err | head -n 40
        exit 1
    fi
    [ "$failures" -eq 0 ]
    exit
}

# build_helper NAME: compiles tests/interop/NAME.c against the library as it was built.
build_helper() {
    local flags=()
    [ ! -e "$build/build.ninja" ] ||
        ! grep -q 'fsanitize=address' "$build/build.ninja" ||
        flags=(-fsanitize=address,undefined)
    cc -std=c17 -D_GNU_SOURCE -O2 -Iinclude "${flags[@]}" "tests/interop/$1.c" -o "$helpers/$1" \
        "$build/libtern.a" -ljansson -lpthread -lpcap 2>"$dir/cc.log" ||
        cc -std=c17 -D_GNU_SOURCE -O2 -Iinclude "${flags[@]}" "tests/interop/$1.c" -o "$helpers/$1" \
            "$build/libtern.a" -ljansson -lpthread 2>"$dir/cc.log" || {
        cat "$dir/cc.log"
        echo "Bail out! $1.c cannot be compiled"
        exit 1
    }
}

# device N: the kernel's side of device ternN: 192.0.2.2 and 2001:db8::2 for 0, 198.51.100.2 and
# 2001:db8:1::2 for 1. tern_N: the options that give a tern its side.
device() {
    local four six
    case $1 in
    0) four=192.0.2.2/24 six=2001:db8::2/64 ;;
    1) four=198.51.100.2/24 six=2001:db8:1::2/64 ;;
    esac
    ip tuntap add dev "tern$1" mode tun
    ip addr add "$four" dev "tern$1"
    ip addr add "$six" dev "tern$1" nodad
    ip link set "tern$1" up
}
# shellcheck disable=SC2034
tern_0=(--tun tern0 --addr 192.0.2.1/24 --addr6 2001:db8::1/64)
# shellcheck disable=SC2034
tern_1=(--tun tern1 --addr 198.51.100.1/24 --addr6 2001:db8:1::1/64)

# soon SECONDS COMMAND...: whether it becomes true within that time.
soon() {
    local until=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
    shift
    while ! "$@" >/dev/null 2>&1; do
        ((${EPOCHREALTIME/[.,]/} < until)) || return 1
        sleep 0.02
    done
}

# The kernel's state of the connection with this port on its side (`ss` names); empty: it knows none.
kernel_state() { ss -Htan "sport = :$1" | awk '$1 != "LISTEN" && !n++ { print $1 }'; }
kernel_listens() { ss -Hltn "sport = :$1" | grep -q LISTEN; }

# tern_listens PORT: whether a tern process says so.
tern_listens() { "$tern" ss -b listen 2>/dev/null | grep -qE ":$1 "; }

# start_serve DIR [OPTION...]: tern serve on device 0, answering when this returns.
start_serve() {
    local www=$1
    shift
    "$tern" serve "$www" "${tern_0[@]}" "$@" >"$dir/serve.out" 2>"$dir/serve.err" &
    # shellcheck disable=SC2034
    serve=$!
    soon 10 tern_listens 80 || {
        echo "Bail out! tern serve does not listen"
        cat "$dir/serve.err"
        exit 1
    }
}
