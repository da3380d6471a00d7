#!/bin/bash
# What a person gets who mistypes: one line that says what to do, exit 2; and --help.
# timeout: 60
LIMIT=${LIMIT:-50}
. "$(dirname "$0")/lib.bash"
device 0

# wrong PATTERN ARGUMENT...: exit 2, exactly one line on standard error, which has the pattern; nothing else.
wrong() {
    local pattern=$1 out
    shift
    out=$(timeout 10 "$tern" "$@" 2>"$dir/said" </dev/null)
    local status=$?
    cat "$dir/said"
    [ "$status" -eq 2 ] || { echo "exit $status"; return 1; }
    [ -z "$out" ] || { echo "on standard output: $out"; return 1; }
    grep -qiE -- "$pattern" "$dir/said" || { echo "does not say '$pattern'"; return 1; }
    [ "$(wc -l <"$dir/said")" -eq "${LINES_SAID:-1}" ] || { echo "$(wc -l <"$dir/said") lines"; return 1; }
}
helps() {
    "$tern" "$1" --help >"$dir/help" 2>"$dir/said" && [ ! -s "$dir/said" ] &&
        grep -q "^usage: tern $1" "$dir/help"
    local status=$?
    awk 'length > 110 { print "too long: " $0; bad = 1 } END { exit bad }' "$dir/help" && [ $status -eq 0 ]
}
# Exit 2 and one line on standard error; what was told before it is no matter.
explores_nothing() {
    timeout 10 "$tern" explore "$@" >"$dir/out" 2>"$dir/said"
    [ $? -eq 2 ] && [ "$(wc -l <"$dir/said")" -eq 1 ] && grep -q 'is not possible there' "$dir/said"
}
for command in serve cat ss iperf neigh; do
    check "tern $command --help" helps $command
    LINES_SAID=2 check "tern $command with an unknown option" \
        wrong "unrecognized|see tern $command" $command --nonsense
done

check "serve: which directory" wrong 'which directory' serve
check "serve: no such directory" wrong 'there is no directory /nonexistent; make it' serve /nonexistent
check "serve: a file is no directory" wrong 'no directory' serve /etc/passwd
check "serve: a bad address" wrong "'192.0.2.300' is no address; give one such as" serve . --addr 192.0.2.300
check "serve: a multicast address" wrong 'cannot be an address' serve . --tun tern0 --addr 224.0.0.1/24
check "serve: a bad port" wrong "port" serve . --port 99999
check "serve: a port twice" wrong 'given twice' serve . "${tern_0[@]}" --port 80 --port 80
check "serve: no queues" wrong 'is no number of queues; 1 to 16' serve . --queues 0
check "serve: too many queues" wrong 'is no number of queues' serve . --queues 17
check "serve: queues and a handover" wrong 'leave out --queues or --handover' serve . --queues 2 --handover
check "serve: queues and a trace" wrong 'leave out --queues' serve . --queues 2 --trace -
check "serve: queues of a device that has one" \
    wrong 'where several are wanted' serve . "${tern_0[@]}" --queues 2
check "serve: not tern's address" \
    wrong "not an address of tern's" serve . "${tern_0[@]}" --listen 192.0.2.9:80
check "serve: a bad device name" wrong 'device' serve . --tun 'a/b'
check "serve: a gateway that is none" wrong 'no address of a gateway' serve . --gateway home
check "serve: three gateways" \
    wrong 'at most 2 gateways' serve . --gateway 192.0.2.2 --gateway 192.0.2.3 --gateway 192.0.2.4
check "serve: two kinds of device" wrong 'leave out one of' serve . --tun tern0 --xdp veth0
check "serve: no such card" wrong 'there is no network device' serve . --packet nonsense0
check "serve: a card that is none" wrong 'no Ethernet device' serve . --xdp lo
check "serve: IPv6 by itself on TUN" wrong 'for --packet and --xdp' serve . "${tern_0[@]}" --addr auto
check "serve: queues of a card" wrong 'for TUN devices' serve . --packet lo --queues 2
check "neigh: of no process" wrong 'no such tern process' neigh -n nonsense
check "neigh: an unknown verb" wrong 'see tern neigh --help' neigh frob
check "serve: a bad impairment" wrong "loss=2%" serve . --impair loss=lots
check "serve: an unknown impairment" wrong 'there are delay' serve . --impair fog=1
check "serve: a trace that cannot be written" \
    wrong 'cannot be written' serve . --tun tern0 --trace /nonexistent/x
check "serve: a capture that cannot be written" \
    wrong '/nonexistent/x cannot be written' serve . "${tern_0[@]}" --pcap /nonexistent/x
check "serve: a size for no capture" wrong 'Add --pcap FILE' serve . "${tern_0[@]}" --pcap-size 10M
check "serve: a size that is none" wrong 'is no size' serve . --pcap-size huge
check "cat: where to" wrong 'which host and port' cat
check "cat: which port" wrong 'which port' cat -l
check "cat: a bad port" wrong 'no port' cat 192.0.2.2 nonsense
check "cat: no such name" wrong 'cannot be resolved' cat nonsense.invalid 80
check "cat: the other family" wrong 'family' cat --addr 192.0.2.1/24 2001:db8::2 80
check "cat: a bad time" wrong 'no time' cat -w soon 192.0.2.2 80
check "iperf: -s or -c" wrong 'either -s' iperf
check "iperf: a bad size" wrong 'give a size' iperf -c 192.0.2.2 -n many
check "tern sim --help" helps sim
check "sim: a seed that is none" wrong "wants a number, not 'many'" sim --seed many
check "sim: an item that is not there" wrong "seed 1 has nothing like 'c99999'" sim --only h1,c99999
check "sim: an unknown option" wrong 'see .tern sim --help' sim --nonsense
check "tern explore --help" helps explore
check "explore: an unknown option" wrong 'see .tern explore --help' explore --nonsense
check "explore: no such setting" wrong "no setting is called 'nowhere'" explore nowhere
check "explore: a bad number" wrong 'losses wants a number up to 8' explore --losses many
check "explore: too large a number" wrong 'cuts wants a number up to 1' explore --cuts 2
check "explore: whose moves" wrong 'the one setting' explore --replay 0101
check "explore: moves that are none" wrong 'is no list of moves' explore listening --replay 01
check "explore: a move that is not possible" explores_nothing listening --replay 0000
check "tern bench --help" helps bench
check "bench: what to measure" wrong 'there are: sizes, scale' bench speed
check "bench: too few" wrong 'a number from 1000' bench scale --n 10
check "bench: too few packets" wrong 'a number from 1000' bench scale --packets 1
check "bench: nothing more to say" wrong 'leave idle out' bench scale idle
check "bench: sizes of what" wrong 'halfopen, idle or timewait' bench sizes listeners
check "ss: no such state" wrong "no state is called 'waiting'" ss waiting
check "ss: a bad interval" wrong 'no interval' ss --watch=soon
check "ss: a bad pid" wrong 'no process number' ss -p x

busy() {
    "$tern" serve "$dir" "${tern_0[@]}" >"$dir/serve.out" 2>"$dir/serve.err" &
    soon 5 tern_listens 80
    wrong 'tern0.*(busy|in use)' serve "$dir" "${tern_0[@]}"
    local result=$?
    kill -INT $!
    wait $! && return $result
}
check "serve: a device that another has; SIGINT ends with 0" busy
unprivileged() {
    chmod 755 "$dir"
    setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all -- \
        "$tern" serve / --tun tern9 2>"$dir/said"
    [ $? -eq 2 ] && cat "$dir/said" && [ "$(wc -l <"$dir/said")" -eq 1 ]
}
[ "$(id -u)" -ne 0 ] || [ -e /proc/self/setgroups ] && grep -q deny /proc/self/setgroups ||
    check "serve: without permission" unprivileged
nothing() {
    "$tern" ss 2>"$dir/said"
    [ $? -eq 1 ] && grep -q 'no tern process' "$dir/said"
}
check "ss: nobody to ask, exit 1" nothing
finish
