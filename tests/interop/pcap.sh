#!/bin/bash
# Captures, opened in tshark: of a real curl served over a TUN device, of bad paths, of a process that was
# killed, of scenarios. Nothing may be malformed, every packet has its comment, and the comments are right.
# timeout: 120
LIMIT=${LIMIT:-110}
. "$(dirname "$0")/lib.bash"
if ! command -v tshark >/dev/null; then
    echo "ok 1 - captures opened in tshark # skip tshark is not installed (./dev test installs it)"
    echo "1..1"
    exit 0
fi
device 0

www=$dir/www
mkdir "$www"
head -c 1000000 /dev/urandom >"$www/data.bin"
U=http://192.0.2.1
get() { curl -sS --max-time 20 "$@"; }
is() { [ "$1" = "$2" ] || { echo "'$1', not '$2'"; return 1; }; }
# shark FILE [OPTION...]: with every check that Wireshark has switched on; without HTTP, of which a rotated
# file may begin in the middle
shark() {
    local file=$1
    shift
    tshark -n --disable-protocol http --disable-protocol http2 -o ip.check_checksum:TRUE \
        -o tcp.check_checksum:TRUE -r "$file" "$@" 2>"$dir/tshark.err" ||
        { cat "$dir/tshark.err" >&2; return 1; }
}
packets() { shark "$1" -Y "$2" | wc -l; }
comments() { shark "$1" -T fields -e frame.comment; }
# sound FILE: readable to its end, nothing malformed, all checksums right, a comment with every packet
sound() {
    shark "$1" >/dev/null && ! grep 'cut short\|damaged' "$dir/tshark.err" &&
        is "$(packets "$1" '_ws.malformed or tcp.checksum.status == 0 or ip.checksum.status == 0')" 0 &&
        is "$(packets "$1" 'not frame.comment')" 0 &&
        [ "$(packets "$1" tcp)" -gt 5 ]
}
stop_serve() {
    kill -INT "$serve"
    wait "$serve"
}

start_serve "$www" --pcap "$dir/life.pcapng"
check "a download while a capture is taken" cmp <(get $U/data.bin) "$www/data.bin"
check "and over IPv6" cmp <(get 'http://[2001:db8::1]/data.bin') "$www/data.bin"
get --max-time 1 $U:81/ 2>/dev/null
ping -c 1 -W 1 192.0.2.1 >/dev/null
soon 5 bash -c "! '$tern' ss -b established close_wait last_ack"
stop_serve
life=$dir/life.pcapng
check "the capture is sound" sound "$life"
check "it has no packet above the MTU" is "$(packets "$life" 'frame.len > 1500')" 0
check "it is the interface tern0" is "$(shark "$life" -T fields -e frame.interface_name | sort -u)" tern0
says() { # says FILE FILTER TEXT: exactly one packet of the filter, whose comment has the text
    local found
    found=$(shark "$1" -Y "$2" -T fields -e frame.comment)
    grep -qF -- "$3" <<<"$found" || { echo "$found"; return 1; }
    is "$(wc -l <<<"$found")" 1
}
check "the SYN opens a connection" says "$life" 'tcp.flags == 2 and ip and tcp.dstport == 80' \
    'LISTEN → SYN_RCVD: a SYN for a listener: answered with SYN+ACK [SYN_RCVD_LISTEN, RFC 9293 3.10.7.2].'
check "the SYN+ACK says why it was sent" says "$life" 'tcp.flags == 0x12 and ip' \
    'Sent: to answer the SYN: acknowledges it and sends our own [SEND_SYNACK, RFC 9293 3.10.7.2].'
check "the peer's FIN changes the state" says "$life" 'tcp.flags.fin == 1 and tcp.dstport == 80 and ip' \
    'ESTABLISHED → CLOSE_WAIT: FIN: the peer has closed and will send no more [FIN_RCVD'
check "our FIN says that the program closed" says "$life" 'tcp.flags.fin == 1 and tcp.srcport == 80 and ip' \
    'CLOSE_WAIT → LAST_ACK: the program closed: FIN follows the queued data [CLOSE, RFC 9293 3.10.4].'
check "a SYN to a closed port says why it was refused" says "$life" 'tcp.flags == 2 and tcp.dstport == 81' \
    'Dropped: no such connection: answered with RST [NO_CONNECTION, RFC 9293 3.10.7.1].'
check "and the RST why it was sent" says "$life" 'tcp.flags.reset == 1 and tcp.srcport == 81' \
    '[SEND_RST_CLOSED, RFC 9293 3.10.7.1]'
check "an echo request is taken" says "$life" 'icmp.type == 8' Taken.
check "the stream in it is the file, byte for byte" bash -c "
    tshark -n -r '$life' -q -z follow,tcp,raw,0 2>/dev/null | grep -P '^\t[0-9a-f]+$' |
        tr -d '\t\n' | python3 -c 'import sys
data = bytes.fromhex(sys.stdin.read())
sys.exit(data.split(b\"\r\n\r\n\", 1)[1] != open(\"$www/data.bin\", \"rb\").read())'"
check "times are those of the day" bash -c "
    t=\$(tshark -n -r '$life' -c 1 -T fields -e frame.time_epoch 2>/dev/null); t=\${t%%.*}
    now=\$(date +%s); ((now - t >= 0 && now - t < 60))"

start_serve "$www" --pcap "$dir/bad.pcapng" --impair loss=3%,reorder=3%,dup=2%,corrupt=1%,delay=2ms,seed=5
check "a download over a bad path" cmp <(get $U/data.bin) "$www/data.bin"
stop_serve
bad=$dir/bad.pcapng
check "every packet of it has its comment" is "$(packets "$bad" 'not frame.comment')" 0
again=$(comments "$bad" | grep -c 'Sent again: again: later data has arrived')
lost=$(comments "$bad" | grep -c 'Taken for lost')
check "it says which segments were taken for lost ($lost) and sent again ($again)" \
    [ "$lost" -gt 0 -a "$again" -gt 0 ]
check "a damaged packet is said to be dropped for its checksum" bash -c "
    tshark -n -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE -r '$bad' -T fields -e frame.comment \
        -Y 'tcp.checksum.status == 0 and not ip.checksum.status == 0' 2>/dev/null >'$dir/damaged'
    [ -s '$dir/damaged' ] && ! grep -v 'Dropped: the TCP checksum is wrong \[TCP_CHECKSUM' '$dir/damaged'"

start_serve "$www" --pcap "$dir/killed.pcapng"
get --limit-rate 2M -o /dev/null $U/data.bin &
sleep 0.2
kill -KILL "$serve"
kill $! 2>/dev/null
wait 2>/dev/null
check "the capture of a killed process is sound" sound "$dir/killed.pcapng"

start_serve "$www" --pcap "$dir/r.pcapng" --pcap-size 100k --pcap-files 4
for _ in 1 2; do get -o /dev/null $U/data.bin; done
stop_serve
check "files rotate: four are kept" is "$(ls "$dir" | grep -c '^r\.')" 4
whole() { for i in '' .1 .2 .3; do sound "$dir/r$i.pcapng" || return 1; done; }
check "each of them is sound by itself" whole
check "none is larger than said" is "$(find "$dir" -name 'r.*' -size +100k | wc -l)" 0

printf 'hello\n' | timeout 5 nc -lN 192.0.2.2 7000 >/dev/null &
check "a client's capture says why it sent its SYN" bash -c "
    sleep 0.2
    '$tern' cat ${tern_0[*]} --pcap '$dir/cat.pcapng' -w 2 192.0.2.2 7000 </dev/null | grep -q hello
    tshark -n -r '$dir/cat.pcapng' -Y 'tcp.flags == 2' -T fields -e frame.comment 2>/dev/null |
        grep -F 'CLOSED → SYN_SENT: the program connects: SYN is sent [ACTIVE_OPEN, RFC 9293 3.10.1].'"
wait 2>/dev/null
full() {
    local status
    timeout 10 "$tern" serve "$www" "${tern_0[@]}" --pcap /dev/full 2>"$dir/said"
    status=$?
    cat "$dir/said"
    [ $status -eq 2 ] && grep -q '/dev/full cannot be written (No space left on device)' "$dir/said"
}
check "a full disk at the beginning is said" full
check "a disk that fills is said once, and the download goes on" bash -c "
    mkdir '$dir/small' && mount -t tmpfs -o size=300k tmpfs '$dir/small' &&
        { '$tern' serve '$www' ${tern_0[*]} --pcap '$dir/small/x.pcapng' 2>'$dir/small.err' & } &&
        sleep 0.5 && curl -sS --max-time 20 $U/data.bin | cmp - '$www/data.bin' && kill -INT \$! && wait \$!
    status=\$?
    cat '$dir/small.err'
    [ \$status -eq 0 ] && [ \$(grep -c 'ends here: .* (No space left' '$dir/small.err') -eq 1 ]"
check "what was written before that is sound" sound "$dir/small/x.pcapng"

piped() {
    mkfifo "$dir/pipe"
    tshark -n -r "$dir/pipe" -Y 'tcp.flags.fin == 1' -T fields -e frame.comment >"$dir/piped" 2>/dev/null &
    local reader=$!
    "$tern" serve "$www" "${tern_0[@]}" --pcap - >"$dir/pipe" 2>"$dir/piped.err" &
    local server=$!
    soon 10 tern_listens 80 && get -o /dev/null $U/data.bin
    kill -INT $server
    wait $server $reader && grep -q 'CLOSE_WAIT: FIN: the peer has closed' "$dir/piped"
}
check "to standard output, read by tshark as it comes" piped

mkfifo "$dir/fifo"
head -c 2000 "$dir/fifo" >"$dir/head" &
check "a reader of a pipe that goes away ends the capture only" bash -c "
    { '$tern' serve '$www' ${tern_0[*]} --pcap '$dir/fifo' 2>'$dir/fifo.err' & } && sleep 0.5 &&
        curl -sS --max-time 20 $U/data.bin | cmp - '$www/data.bin' && kill -INT \$! && wait \$!
    status=\$?
    cat '$dir/fifo.err'
    [ \$status -eq 0 ] && grep -q 'ends here: .* (Broken pipe)' '$dir/fifo.err'"

"$tern" demo --pcap "$dir/demo.pcapng" >/dev/null
check "all scenarios in one capture: sound" sound "$dir/demo.pcapng"
"$tern" demo close --pcap "$dir/one" >/dev/null
"$tern" demo close --pcap "$dir/two" >/dev/null
check "the same seed gives the same file" cmp "$dir/one" "$dir/two"
check "a scenario's packets say what both sides did" bash -c "
    tshark -n -r '$dir/one' -Y tcp.flags.fin==1 -T fields -e frame.comment 2>/dev/null |
        grep -E '^A: .*FIN_WAIT_1: the program closed.* B, after [0-9.]+ ms: .*CLOSE_WAIT: FIN: the peer'"
finish
