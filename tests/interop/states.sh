#!/bin/bash
# All eleven states with the Linux kernel as the peer: what `tern ss` says, and what the kernel's `ss` says of
# the same connection at the same time. Ten are held by a puppet (puppet.c) that loses chosen segments; CLOSED
# is a handle that the program has not released.
# timeout: 120
LIMIT=${LIMIT:-110}
. "$(dirname "$0")/lib.bash"
build_helper puppet
device 0

coproc PUPPET { "$helpers/puppet" tern0 192.0.2.1/24 2001:db8::1/64 2>"$dir/puppet.err"; }
tell() { # tell COMMAND...: the puppet does it; whether it could
    local reply
    echo "$*" >&"${PUPPET[1]}"
    read -r -t 10 reply <&"${PUPPET[0]}"
    [ "${reply%% *}" = ok ] || {
        echo "puppet: $*: $reply"
        return 1
    }
}

# The kernel's side: a program that does what it is told, too. (bash warns about a second coprocess.)
{ coproc KERNEL { python3 -u -c '
import socket, struct, sys
held = {}
for line in sys.stdin:
    do, name, *rest = line.split()
    try:
        if do == "listen":
            s = socket.create_server((rest[0], int(rest[1])),
                family=socket.AF_INET6 if ":" in rest[0] else socket.AF_INET)
            s.settimeout(5)
        elif do == "accept":
            s = held[rest[0]].accept()[0]
        elif do == "connect":
            s = socket.socket(socket.AF_INET6 if ":" in rest[0] else socket.AF_INET)
            s.bind(("", int(rest[2])))
            s.settimeout(5)
            s.connect((rest[0], int(rest[1])))
        elif do == "start":  # to connect and not wait for it
            s = socket.socket()
            s.setblocking(False)
            s.bind(("", int(rest[2])))
            s.connect_ex((rest[0], int(rest[1])))
        elif do == "shutdown":
            s = held[name]
            s.shutdown(socket.SHUT_WR)
        elif do == "send":
            s = held[name]
            s.send(b"x" * int(rest[0]))
        elif do == "reset":
            s = held[name]
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        elif do == "close":
            s = held[name]
            s.close()
        held[name] = s
        print("ok")
    except Exception as e:
        print("error", e)
'; }; } 2>/dev/null
kernel() {
    local reply
    echo "$*" >&"${KERNEL[1]}"
    read -r -t 10 reply <&"${KERNEL[0]}"
    [ "$reply" = ok ] || {
        echo "kernel: $*: $reply"
        return 1
    }
}

# both STATE-OF-TERN STATE-OF-THE-KERNEL PORT: `tern ss` lists the connection with this port on the kernel's
# side in that state; the kernel agrees ("" = knows none, as it should).
both() {
    soon 3 tern_says "$1" "$3" || {
        echo "tern ss does not list port $3 in $1:"
        "$tern" ss --all
        return 1
    }
    soon 3 kernel_says "$2" "$3" || {
        echo "the kernel says '$(kernel_state "$3")', not '$2'"
        return 1
    }
    "$tern" ss --all "$1"
}
tern_says() { "$tern" ss --all --brief "$1" | awk -v p=":$2\$" '$3 ~ p' | grep -q "^$1 "; }
kernel_says() { [ "$(kernel_state "$2")" = "$1" ]; }

why() { # why STATE TEXT: the sentences of `tern ss` say so
    "$tern" ss --all "$1" | tr -s ' \n' ' ' | grep -qF "$2" || {
        "$tern" ss --all "$1"
        return 1
    }
}

read -r -t 10 _ <&"${PUPPET[0]}" # ready

listen_state() { tell listen l 80 && soon 3 tern_listens 80 && "$tern" ss listen; }
check "LISTEN" listen_state
check "LISTEN: waits for connections" why listen 'Waits for connections.'

# open PORT: the kernel connects from that port of its own, tern accepts; both call it cPORT.
open() { kernel connect "c$1" 192.0.2.1 80 "$1" && tell accept "c$1" l; }

established() { open 50001 && both ESTABLISHED ESTAB 50001; }
check "ESTABLISHED, ESTAB" established
established6() {
    kernel connect c50021 2001:db8::1 80 50021 && tell accept c50021 l && both ESTABLISHED ESTAB 50021
}
check "ESTABLISHED, ESTAB over IPv6" established6

syn_sent() {
    kernel listen k 192.0.2.2 9000
    tell drop in syn && tell connect c9000 192.0.2.2 9000 && both SYN_SENT SYN-RECV 9000
}
check "SYN_SENT while the kernel's SYN+ACK is lost (there SYN-RECV)" syn_sent
check "SYN_SENT: no answer yet" why syn_sent 'has no answer'
tell drop in none
opened() { tell wait c9000 ESTABLISHED && kernel accept c9000 k; }
check "the connection opens when the loss ends" opened

syn_rcvd() {
    tell drop in ack && kernel start c50002 192.0.2.1 80 50002 && both SYN_RCVD ESTAB 50002
}
check "SYN_RCVD while the third step is lost (the kernel: ESTAB)" syn_rcvd
check "SYN_RCVD: the third step is missing" why syn_rcvd 'the third step, has not come'
tell drop in none
check "it opens when the SYN+ACK is repeated" tell accept c50002 l # else it would be the next to be accepted

fin_wait_1() {
    open 50003 && tell drop out fin && tell shutdown c50003 && both FIN_WAIT_1 ESTAB 50003
}
check "FIN_WAIT_1 while our FIN is lost (the kernel: ESTAB)" fin_wait_1
check "FIN_WAIT_1: this program closed first" why fin_wait_1 'This program closed first'
tell drop out none

fin_wait_2() { tell wait c50003 FIN_WAIT_2 && both FIN_WAIT_2 CLOSE-WAIT 50003; }
check "FIN_WAIT_2, there CLOSE-WAIT" fin_wait_2
check "FIN_WAIT_2: the other side owes the close" \
    why fin_wait_2 'the program on the other side owes the close'

time_wait() { kernel close c50003 && both TIME_WAIT '' 50003; }
check "TIME_WAIT after the kernel closed too (there gone)" time_wait
check "TIME_WAIT: harmless" why time_wait 'this one first'

close_wait() { open 50004 && kernel shutdown c50004 && both CLOSE_WAIT FIN-WAIT-2 50004; }
check "CLOSE_WAIT, there FIN-WAIT-2" close_wait
check "CLOSE_WAIT: this program has not closed, nobody watches" \
    why close_wait 'nobody watches this connection'
forgotten() { tell recv c50004 && why close_wait 'a forgotten close'; }
check "CLOSE_WAIT: with the end of the stream read, a forgotten close" forgotten
stuck() {
    open 50005 && kernel send c50005 100 && kernel shutdown c50005 &&
        both CLOSE_WAIT FIN-WAIT-2 50005 && why close_wait '100 bytes before the end are still unread'
}
check "CLOSE_WAIT: with bytes unread, stuck" stuck

last_ack() { tell drop out fin && tell shutdown c50004 && both LAST_ACK FIN-WAIT-2 50004; }
check "LAST_ACK while our FIN is lost (there FIN-WAIT-2)" last_ack
check "LAST_ACK: the other side closed first" why last_ack 'The other side closed first'
tell drop out none
ends() { tell wait c50004 CLOSED && soon 3 kernel_says TIME-WAIT 50004; }
check "LAST_ACK ends in CLOSED (there TIME-WAIT)" ends

closing() {
    open 50006 && tell drop out all && tell shutdown c50006 && kernel shutdown c50006 &&
        both CLOSING FIN-WAIT-1 50006
}
check "CLOSING when both FINs cross (there FIN-WAIT-1)" closing
check "CLOSING: both at the same time" why closing 'at the same time'
tell drop out none
closing_ends() { tell wait c50006 TIME_WAIT; }
check "CLOSING ends in TIME_WAIT" closing_ends

closed() { open 50007 && kernel reset c50007 && both CLOSED '' 50007; }
check "CLOSED: reset by the kernel, the handle not released" closed
check "CLOSED: with its reason" why closed 'RST from the peer'
released() { tell close c50007 && ! tern_says CLOSED 50007; }
check "CLOSED is gone when the handle is released" released

accept_queue() {
    kernel connect c50008 192.0.2.1 80 50008 &&
        soon 3 why listen '1 connection waits for the program to accept' &&
        why established 'has not accepted this connection yet'
}
check "LISTEN says how many wait for accept, and the connection says so too" accept_queue

echo quit >&"${PUPPET[1]}"
finish
