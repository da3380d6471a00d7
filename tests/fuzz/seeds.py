#!/usr/bin/env python3
"""Writes the seeds of fuzz-stack: programs (stack_forge.h says their form) that bring a connection into each
state and let each event come there. A fuzzer that begins with them need not find the way by itself.

    tests/fuzz/seeds.py FOLDER"""
import os
import struct
import sys

OPS = (
    'connect listen accept send lend recv peek end option handle look time pump transmit deliver fail wire '
    'change raw fragments compact forge pass stranger third late icmp echo time2 net move decide'
).split()
A, B = 0, 1
OPTIONS = {'keepalive': 2, 'keepidle': 3, 'keepintvl': 4, 'keepcnt': 5, 'user_timeout': 6, 'linger0': 7}
# choices of `end`, `time`, and of flags that are forged
SHUTDOWN, CLOSE, ABORT = 0, 2, 3
NEXT = 0
FLAGS = {'ack': 0, 'psh': 1, 'fin': 2, 'rst': 3, 'syn': 5, 'synack': 6, 'urg': 7, 'none': 240}


class Program:
    def __init__(self, head=(0, 0, 0, 0)):
        self.bytes = bytes(head)

    def do(self, op, *choices):
        self.bytes += bytes([OPS.index(op), len(choices)]) + bytes(c & 255 for c in choices)
        return self

    def pump(self, rounds=8):
        return self.do('pump', rounds - 1)

    def times(self, n, *step):
        for _ in range(n):
            self.do(*step)
        return self

    def option(self, side, held, name, value):
        v = [value] if value < 128 else [128, value >> 8, value & 255]
        return self.do('option', side, held, OPTIONS[name], *v)

    # forged to the first control block of a side: exact numbers unless told otherwise
    def forge(self, side, flags, length=0, seq=0, ack=0, window=0, options=0, more=()):
        extra = [0, 2] if flags == 'none' else []
        urgent = [0, 5] if flags == 'urg' else []
        seq = [seq] if isinstance(seq, int) else seq
        ack = [ack] if isinstance(ack, int) else ack
        return self.do('forge', side, 0, FLAGS[flags], *extra, length, *seq,
                       *ack, window, 0, *urgent, options, *more)


def opened(head=(0, 0, 0, 0), v6=0):
    """A has connected to B: each holds it (A as 0, B as 1; B's 0 is the listener)."""
    p = Program(head).do('listen', B, 0, 4).do('connect', A, v6).pump()
    return p.do('accept', B, 0).pump(1)


def crossing(p):
    """Both connect to each other: the SYNs cross."""
    p.do('connect', A, 0x18 | 0).do('connect', B, 0x18 | 0)  # from port 80 to port 80
    return p.do('transmit', A, 1).do('transmit', B, 1).do('deliver', A, 1).do('deliver', B, 1)


# What brings A's connection into a state. Returns the program; A's handle is 0.
STATES = {
    'syn_sent': lambda h: Program(h).do('connect', A, 0).do('transmit', A, 1),
    'syn_rcvd': lambda h: crossing(Program(h)),
    'established': opened,
    'fin_wait_1': lambda h: opened(h).do('end', A, 0, SHUTDOWN).do('transmit', A, 1),
    'fin_wait_2': lambda h: opened(h).do('end', A, 0, SHUTDOWN).pump(1),
    'close_wait': lambda h: opened(h).do('end', B, 1, SHUTDOWN).pump(1),
    'closing': lambda h: opened(h).do('end', A, 0, SHUTDOWN).do('end', B, 1, SHUTDOWN)
    .do('transmit', A, 1).do('transmit', B, 1).do('deliver', B, 1),
    'last_ack': lambda h: opened(h).do('end', B, 1, SHUTDOWN).pump(1).do('end', A, 0, SHUTDOWN)
    .do('transmit', A, 1),
    'time_wait': lambda h: opened(h).do('end', A, 0, SHUTDOWN).pump(1).do('end', B, 1, SHUTDOWN).pump(2),
}


def wait(p, steps, how_long=NEXT):
    """Time passes, and what is sent is lost."""
    for _ in range(steps):
        p.do('time', how_long)
        for side in (A, B):
            p.do('transmit', side, 7).do('wire', side, 0, 0).do('wire', side, 0, 0)
    return p


EVENTS = {
    'fin': lambda p: p.forge(A, 'fin'),
    'fin_data': lambda p: p.forge(A, 'fin', 7),
    'rst': lambda p: p.forge(A, 'rst'),
    'rst_near': lambda p: p.forge(A, 'rst', 0, (130, 70)),
    'rst_far': lambda p: p.forge(A, 'rst', 0, (180, 70)),
    'syn': lambda p: p.forge(A, 'syn'),
    'synack': lambda p: p.forge(A, 'synack'),
    'none': lambda p: p.forge(A, 'none'),
    'urgent': lambda p: p.forge(A, 'urg', 7).do('recv', A, 0, 9),
    'ack_unsent': lambda p: p.forge(A, 'ack', 0, 0, (192, 100)),
    'ack_old': lambda p: p.forge(A, 'ack', 0, 0, (193, 200, 0, 0)),
    'old': lambda p: p.forge(A, 'ack', 7, (130, 10)),
    'beyond': lambda p: p.forge(A, 'ack', 7, (177, 90)),
    'no_stamp': lambda p: p.forge(A, 'ack', 7, 0, 0, 0, 241),
    'old_stamp': lambda p: p.forge(A, 'ack', 7, 0, 0, 0, 16, (0,)),
    'gap': lambda p: p.forge(A, 'ack', 7, (140, 100)).forge(A, 'ack', 7, (140, 110)).do('transmit', A, 3),
    'data': lambda p: p.forge(A, 'ack', 7).do('transmit', A, 3).do('time', NEXT).do('recv', A, 0, 9),
    'shut_window': lambda p: p.do('send', A, 0, 200).pump(1).forge(A, 'ack', 0, 0, 0, 64)
    .do('send', A, 0, 200),
    'send': lambda p: p.do('send', A, 0, 255).do('send', A, 0, 255).pump(3),
    'shutdown': lambda p: p.do('end', A, 0, SHUTDOWN).pump(),
    'close': lambda p: p.do('end', A, 0, CLOSE).pump(),
    'close_unread': lambda p: p.forge(A, 'ack', 7).do('end', A, 0, CLOSE).pump(),
    'abort': lambda p: p.do('end', A, 0, ABORT).pump(),
    'linger0': lambda p: p.option(A, 0, 'linger0', 1).do('end', A, 0, CLOSE).pump(),
    'data_after_close': lambda p: p.do('end', A, 0, CLOSE).do('transmit', A, 2).forge(A, 'ack', 7),
    'user_timeout': lambda p: wait(p.option(A, 0, 'user_timeout', 1).do('send', A, 0, 50)
                                   .do('transmit', A, 7), 24),
    'retries': lambda p: wait(p.do('send', A, 0, 50).do('transmit', A, 7), 60),
    'unanswered': lambda p: wait(p.do('send', A, 0, 50).do('transmit', A, 7), 24, 133),
    'keepalive': lambda p: wait(p.option(A, 0, 'keepidle', 1).option(A, 0, 'keepintvl', 1)
                                .option(A, 0, 'keepcnt', 2).option(A, 0, 'keepalive', 1), 24),
    'icmp': lambda p: p.do('icmp', A, 0, 0, 1, 0, 0, 3, 40, 1, 0),
    'icmp_port': lambda p: p.do('icmp', A, 0, 0, 1, 0, 3, 3, 40, 1, 0),
    'icmp_6': lambda p: p.do('icmp', A, 0, 0, 0, 1, 0, 4, 3, 40, 1, 0),
    'too_big': lambda p: p.do('send', A, 0, 255).do('transmit', A, 7)
    .do('icmp', A, 0, 0, 1, 1, 7, 20, 1, 2, 128),
    'lost': lambda p: p.times(4, 'send', A, 0, 200).do('transmit', A, 7).do('wire', A, 0, 0).pump(2)
    .do('time', NEXT),
    'reordered': lambda p: p.times(4, 'send', A, 0, 200).do('transmit', A, 7).do('wire', A, 2, 0).pump(4),
    'doubled': lambda p: p.times(2, 'send', A, 0, 200).do('transmit', A, 7).do('wire', A, 1, 0).pump(4),
    'address': lambda p: p.do('net', A, 0, 1).do('time', NEXT),
    'down': lambda p: p.do('net', A, 2).do('send', A, 0, 50).do('time', NEXT).do('net', A, 3).pump(),
    'mtu': lambda p: p.do('send', A, 0, 255).do('net', A, 4, 0).pump(),
    'listener': lambda p: p.do('end', B, 0, CLOSE).pump(),
    'wait': lambda p: wait(p, 12),
    'wait_long': lambda p: p.times(3, 'time', 133).times(3, 'transmit', A, 7).do('time', 134),
    'move': lambda p: p.do('move', A, 1).do('move', A, 0).pump(),
    'late_syn': lambda p: p.do('late', A, 1, FLAGS['syn'], 0, 100, 0, 0, 0, 0, 100),
    'late_old_syn': lambda p: p.do('late', A, 1, FLAGS['syn'], 0, 30, 0, 0, 0, 0, 30),
    'late_rst': lambda p: p.do('late', A, 1, FLAGS['rst'], 0, 64, 0, 0, 0, 64),
    'late_fin': lambda p: p.do('late', A, 1, FLAGS['fin'], 0, 63, 0, 0, 0, 64),
}

# A small record in TIME_WAIT: the handle is released first.
TIMED = {
    name: (lambda event: lambda h: event(STATES['time_wait'](h).do('end', A, 0, CLOSE).pump(1)))(EVENTS[name])
    for name in ('late_syn', 'late_old_syn', 'late_rst', 'late_fin', 'address', 'move', 'wait_long')
}


def link_local(h, state):
    """The same over link-local addresses of a second link, which is then taken away."""
    p = Program(h).do('net', A, 5 | 16).do('net', B, 5 | 16)
    if state == 'syn_rcvd':  # both connect, from port 82 to port 82
        p.do('connect', A, 0xdd).do('connect', B, 0xdd)
        p.do('transmit', A, 1).do('transmit', B, 1).do('deliver', A, 1).do('deliver', B, 1)
    else:
        p.do('listen', B, 0, 4).do('connect', A, 0xc1)
    shut_a, shut_b = ('end', A, 0, SHUTDOWN), ('end', B, 1, SHUTDOWN)
    ways = {
        'syn_sent': [],
        'syn_rcvd': [],
        'established': ['open'],
        'fin_wait_1': ['open', shut_a, ('transmit', A, 1)],
        'fin_wait_2': ['open', shut_a, ('pump', 0)],
        'close_wait': ['open', shut_b, ('pump', 0)],
        'closing': ['open', shut_a, shut_b, ('transmit', A, 1), ('transmit', B, 1), ('deliver', B, 1)],
        'last_ack': ['open', shut_b, ('pump', 0), shut_a, ('transmit', A, 1)],
        'time_wait': ['open', shut_a, ('pump', 0), shut_b, ('pump', 1)],
        'time_wait_small': ['open', shut_a, ('pump', 0), shut_b, ('pump', 1), ('end', A, 0, CLOSE)],
    }
    for step in ways[state]:
        if step == 'open':
            p.pump().do('accept', B, 0).pump(1)
        else:
            p.do(*step)
    return p.do('net', A, 5).do('time', NEXT).pump(1)


def halfopen(h, defer=0, v6=0):
    """A stranger's SYN to B: a half-open record."""
    p = Program(h).do('listen', B, 0, 4 | defer)
    return p.do('stranger', B, v6, 0, 0, 0, 0, 0, 1, 10, 0, 0, 0, 0, 0, 0, 0x0f)


HALF = {
    'ack': lambda p: p.do('third', B, 0, 0),
    'ack_data': lambda p: p.do('third', B, 0, 8, 7),
    'bad_ack': lambda p: p.do('third', B, 0, 6, 100),
    'rst': lambda p: p.do('third', B, 0, 200, FLAGS['rst']),
    'syn': lambda p: p.do('third', B, 0, 201, FLAGS['syn'], 100),
    'fin': lambda p: p.do('third', B, 0, 200, FLAGS['fin']),
    'timeout': lambda p: p.times(8, 'time', NEXT).times(3, 'transmit', B, 2),
    'gone': lambda p: p.do('end', B, 0, CLOSE),
    'full': lambda p: p.times(6, 'stranger', B, 0, 1, 0, 0, 0, 0, 1, 10)
    .do('transmit', B, 7).do('time', NEXT),
    'address': lambda p: p.do('net', B, 0, 1).do('time', NEXT),
    'reject': lambda p: p.do('decide', B, 0, 1),
    'ignore': lambda p: p.do('decide', B, 0, 2),
    'accept': lambda p: p.do('decide', B, 0, 0).pump(),
    'unaccepted': lambda p: p.do('third', B, 0, 0).do('end', B, 0, CLOSE),
    'unaccepted_fin': lambda p: p.do('third', B, 0, 200, FLAGS['fin']).do('end', B, 0, CLOSE),
}

HEADS = {
    '': (0, 0, 0, 0),
    'plain': (2, 31, 2, 31),  # no timestamps, window scaling, SACK; 2 MSL is 2 ms
    'small': (4 | 16, 0, 4 | 16, 0),  # buffers of 1024 bytes
    'gso': (192, 128 | 64, 192, 128 | 64),  # super-segments, ECN
    'rest': (0, 4, 0, 4),
    'wait2': (0, 16, 0, 16),  # two records in TIME_WAIT at most
}


def backwards(h):
    """B, the listener's side, closes first: its port can be opened anew."""
    p = opened(h).do('end', B, 1, SHUTDOWN).pump(1).do('end', A, 0, SHUTDOWN).pump(2)
    return p


def packet(flags=2, dst=(10, 0, 0, 1), options=b''):
    """A TCP segment of a stranger in IPv4, without a right TCP checksum."""
    head = bytearray(struct.pack('>BBHHHBBH', 0x45 + len(options) // 4, 0, 40 + len(options), 1, 0, 64, 6, 0))
    head += bytes((10, 0, 0, 9)) + bytes(dst) + options
    total = sum(struct.unpack(f'>{len(head) // 2}H', head))
    head[10:12] = struct.pack('>H', 65535 - (total % 65535))
    return bytes(head) + struct.pack('>HHIIBBHHH', 1000, 80, 1, 0, 0x50, flags, 1000, 0, 0)


def raw(h, data, marks=0):
    """`marks` 1: the link vouches for the checksum."""
    return Program(h).do('listen', A, 0, 4).do('raw', A, len(data) - 1, *data, 0, 0, marks)


def many(h, n):
    """A connects to B so often, one after the other, and closes first each time."""
    p = Program(h).do('listen', B, 0, 4)
    for _ in range(n):
        p.do('connect', A, 0).pump(3).do('accept', B, 0).do('end', A, 0, SHUTDOWN).pump(1)
        p.do('end', B, 1, CLOSE).pump(2).do('end', A, 0, CLOSE).do('time', 131)
    return p


SYNS = [
    ('stranger', B, 0, host, port, 0, 0, 0, 1, 10, 0, 0, 0, 0, 0, 0, 0x0f)
    for port in range(4)
    for host in range(3)
]

OTHERS = {
    'anew': lambda h: backwards(h).forge(B, 'syn', 0, (130, 110), 0, 0, 0x0f).do('transmit', B, 2),
    'anew-rst': lambda h: backwards(h).forge(B, 'syn', 0, (130, 110), 0, 0, 0x0f).do('transmit', B, 2)
    .do('third', B, 0, 200, FLAGS['rst']),
    'anew-small-rst': lambda h: backwards(h).do('end', B, 1, CLOSE).pump(1)
    .do('late', B, 1, FLAGS['syn'], 0, 110, 0, 0, 0, 110).do('transmit', B, 2)
    .do('third', B, 0, 200, FLAGS['rst']),
    'anew-small-ack': lambda h: backwards(h).do('end', B, 1, CLOSE).pump(1)
    .do('late', B, 1, FLAGS['syn'], 0, 110, 0, 0, 0, 110).do('transmit', B, 2).do('third', B, 0, 0),
    'many': lambda h: many(h, 6),
    'many-4-ports': lambda h: many((h[0], h[1] & 0xe0 | 8, h[2], h[3]), 6),
    'many-2-waiting': lambda h: many((h[0], h[1] & 0xe0 | 16, h[2], h[3]), 4),
    'flood': lambda h: flood(h, 0),
    'flood-later': lambda h: flood(h, 3),
    'source-route': lambda h: raw(h, packet(options=bytes((131, 7, 4, 10, 0, 0, 2, 0))), 1),
    'multicast': lambda h: raw(h, packet(dst=(224, 0, 0, 1)), 1),
    'broadcast': lambda h: raw(h, packet(dst=(10, 0, 0, 255)), 1),
    'unchecked': lambda h: raw(h, packet(), 0),
    'vouched': lambda h: raw(h, packet(), 1),
}


def flood(h, waits):
    """More SYNs than a listener takes; some were answered in vain before."""
    p = Program(h).do('listen', B, 0, 139)  # a backlog of 4, and no cookies
    for syn in SYNS[:4]:
        p.do(*syn)
    p.do('transmit', B, 7)
    for _ in range(waits):
        p.do('time', 131).do('transmit', B, 7)
    for syn in SYNS[4:]:
        p.do(*syn)
    return p.do('transmit', B, 7)


def write(folder, name, program):
    with open(os.path.join(folder, name), 'wb') as file:
        file.write(program.bytes)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for short, head in HEADS.items():
        mark = '-' + short if short else ''
        for state, bring in STATES.items():
            for event, come in EVENTS.items():
                write(folder, f'{state}-{event}{mark}', come(bring(head)))
        for name, program in OTHERS.items():
            write(folder, f'other-{name}{mark}', program(head))
        for event, program in TIMED.items():
            write(folder, f'time_wait_small-{event}{mark}', program(head))
        for state in list(STATES) + ['time_wait_small']:
            write(folder, f'link_local-{state}{mark}', link_local(head, state))
        for event, come in HALF.items():
            for defer in (0, 192):
                kind = 'deferred' if defer else 'halfopen'
                write(folder, f'{kind}-{event}{mark}', come(halfopen(head, defer)))


if __name__ == '__main__':
    main()
