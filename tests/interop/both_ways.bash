# A stream each way, IPv4 and IPv6: sourced by streams.sh, impair.sh and scripts/prove/interop_impair.sh.
# $BYTES each, tern with the options of $IMPAIR.

# to_tern ADDRESS PORT SECONDS: the kernel's nc sends, tern cat receives.
to_tern() {
    timeout "$3" "$tern" cat -l "${tern_0[@]}" "${IMPAIR[@]}" "$2" </dev/null 2>"$dir/cat.err" |
        "$helpers/stream" --check "$2" "$BYTES" &
    local receiver=$!
    soon 5 tern_listens "$2" || return 1
    "$helpers/stream" "$2" "$BYTES" | timeout "$3" nc -N "$1" "$2" || return 1
    wait "$receiver"
}

# from_tern ADDRESS PORT SECONDS: tern cat sends, the kernel's nc receives.
from_tern() {
    timeout "$3" nc -l -N "$1" "$2" </dev/null | "$helpers/stream" --check "$2" "$BYTES" &
    local receiver=$!
    soon 5 kernel_listens "$2" || return 1
    "$helpers/stream" "$2" "$BYTES" |
        timeout "$3" "$tern" cat "${tern_0[@]}" "${IMPAIR[@]}" "$1" "$2" >/dev/null || return 1
    wait "$receiver"
}

timed() {
    local began=${EPOCHREALTIME/[.,]/} result=0
    "$@" || result=1
    took=$((${EPOCHREALTIME/[.,]/} - began))
    return $result
}

both_ways() { # both_ways SECONDS
    local mib=$((BYTES >> 20)) way
    for way in 'to_tern 192.0.2.1 9001' 'from_tern 192.0.2.2 9002' \
        'to_tern 2001:db8::1 9011' 'from_tern 2001:db8::2 9012'; do
        # shellcheck disable=SC2086
        check "$mib MiB ${way//_/ } ${IMPAIR[*]}" timed $way "$1"
        echo "#   $((took / 1000)) ms, $((BYTES * 8 / (took + 1))) Mbit/s"
    done
}
