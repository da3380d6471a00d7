"""The workloads of `./dev bench`: what each is, who takes part, what others have measured and what is to be
reached. Read by bench.py and by those that print and draw.

`tuned` is lwIP as somebody has tuned it by hand: no package has it, so it is scaled by the speed of memcpy
and stands beside what is measured here. `columns` are figures of a machine of the same kind
(MEMCPY_US there); a peer that stays below 0.8 of its column, scaled in the same way, is set up wrong and
does not count."""
from dataclasses import dataclass, field

MEMCPY_US = 0.55  # 64 KiB that lie in the cache, on the machine of the columns
ENOUGH = 0.8


@dataclass
class Row:
    name: str
    title: str
    unit: str  # '': each case has its own
    cases: dict  # case: what is to be reached, in the row's unit; None = no figure of its own
    what: str  # of the cases, with {} for the case; '' when there is one
    less: bool = False  # less is better
    of_limit: float = 0  # share of the limit that is to be reached
    tuned: dict = field(default_factory=dict)  # case: figure
    columns: dict = field(default_factory=dict)  # stack: figure, or {case: figure}
    players: list = field(default_factory=list)  # [Player]
    each: bool = False  # the target is for tern's plain way, not for the best of its ways
    scales: bool = True  # with the speed of memcpy


@dataclass
class Player:
    program: str  # of the build directory, or a path in the project
    arguments: list
    once: bool = False  # the same at every run: memory, or too long to be repeated
    long: bool = False  # with --long only
    tun: bool = False  # needs a TUN device or a network namespace
    pins: bool = False  # itself to a core, or to several
    needs: str = ''  # another program that must be installed


def own(program, row, **more):
    """A program that takes the row and --seconds (bench/README.md)."""
    return Player(program, [row, '--seconds', '{seconds}'], **more)


def over_tun(row, program='bench-tun'):
    arguments = [row, '--seconds', '{seconds}', '--core', '{core}']
    needs = 'wrk' if row.startswith('W5') else ''
    return Player(program, arguments, tun=True, pins=True, needs=needs)


ROWS = [
    Row(
        'M',
        'memcpy of 64 KiB in the cache',
        'us',
        {'': None},
        '',
        less=True,
        players=[own('peer-limits', 'M')],
    ),
    Row(
        'W1',
        'bulk in memory, MTU 1500, every checksum made and verified, copied in and out',
        'Gbit/s',
        {'8': 125, '64': 125, '700': 125},
        '{} segments in flight',
        of_limit=0.5,
        tuned={'8': 84, '64': 69, '700': 22},
        columns={
            'lwip': {'8': 17, '64': 17},
            'gvisor': {'64': 3.2},
            'linux': {'64': 12.5},
            'limit': {'8': 340, '64': 255, '700': 200},
        },
        players=[
            own('bench-memory', 'W1'),
            own('peer-limits', 'W1'),
            own('peer-lwip', 'W1'),
            own('peer-linux', 'W1', tun=True),
            own('peer-gvisor', 'W1'),
        ],
    ),
    Row(
        'W1z',
        'the same with 64 KiB segments and no checksum',
        'Gbit/s',
        {'': 250},
        '',
        each=True,
        tuned={'': 117},
        columns={'gvisor': 85, 'linux': 82, 'limit': 416},
        players=[
            own('bench-memory', 'W1z'),
            own('peer-limits', 'W1z'),
            own('peer-linux', 'W1z', tun=True),
            own('peer-gvisor', 'W1z'),
        ],
    ),
    Row(
        'W2',
        'whole lives of a connection in memory, one at a time',
        'lives/cpu-s',
        {'': 2.5e6},
        '',
        tuned={'': 2.13e6},
        columns={'lwip': 735e3, 'gvisor': 15e3, 'linux': 25e3},
        players=[
            own('bench-lives', 'W2'),
            own('peer-lwip', 'W2'),
            own('peer-linux', 'W2', tun=True),
            own('peer-gvisor', 'W2'),
        ],
    ),
    Row(
        'W2c',
        'lives, 1,000 at a time',
        'lives/cpu-s',
        {'': 2.0e6},
        '',
        tuned={'': 30e3},
        columns={'lwip': 13e3, 'gvisor': 16e3, 'linux': 22e3},
        players=[
            own('bench-lives', 'W2c'),
            own('peer-lwip', 'W2c'),
            own('peer-linux', 'W2c', tun=True),
            own('peer-gvisor', 'W2c'),
        ],
    ),
    Row(
        'W2t',
        'lives, one at a time, 50,000 in TIME_WAIT',
        'lives/cpu-s',
        {'': 2.0e6},
        '',
        tuned={'': 5e3},
        columns={'linux': 24e3},
        players=[own('bench-lives', 'W2t'), own('peer-linux', 'W2t', tun=True)],
    ),
    Row(
        'W2m',
        'lives, 1,000 at a time, 1 million idle and 1 million in TIME_WAIT',
        'lives/cpu-s',
        {'': 1.0e6},
        '',
        players=[own('bench-lives', 'W2m'), own('peer-linux', 'W2m', tun=True, once=True, long=True)],
    ),
    Row(
        'W3',
        'bytes of memory for each end of a connection, tables and all, IPv4',
        'bytes',
        {'established': 256, 'time-wait': 48, 'half-open': 64},
        '{}',
        less=True,
        scales=False,
        tuned={'established': 288, 'time-wait': 288, 'half-open': 448},
        columns={
            'lwip': {'established': 304, 'time-wait': 304, 'half-open': 480},
            'gvisor': {'established': 5300, 'time-wait': 6000, 'half-open': 3200},
            'linux': {'established': 4850, 'time-wait': 344, 'half-open': 348},
        },
        players=[
            Player('tern', ['bench', 'sizes', '--json', '--n', '{records}'], once=True),
            own('peer-lwip', 'W3', once=True),
            own('peer-linux', 'W3', tun=True, once=True),
            own('peer-gvisor', 'W3', once=True),
        ],
    ),
    Row(
        'W4',
        'the kernel sends over TUN, MTU 1500, both on one core',
        'Gbit/s',
        {'': 70},
        '',
        tuned={'': 22},
        columns={'gvisor': 2.8, 'limit': 84},
        players=[over_tun('W4'), over_tun('W4', 'peer-lwip'), own('peer-gvisor', 'W4', tun=True)],
    ),
    Row(
        'W4r',
        'the kernel receives over TUN, both on one core',
        'Gbit/s',
        {'': 75},
        '',
        tuned={'': 4.7},
        columns={'gvisor': 0.9, 'limit': 90},
        players=[over_tun('W4r'), over_tun('W4r', 'peer-lwip'), own('peer-gvisor', 'W4r', tun=True)],
    ),
    Row(
        'W5',
        'HTTP over TUN: 128 bytes an answer, 64 connections that stay open',
        'requests/cpu-s',
        {'': None},
        '',
        of_limit=0.95,
        columns={'nginx': 89e3},
        players=[
            over_tun('W5'),
            over_tun('W5', 'peer-lwip'),
            own('peer-gvisor', 'W5', tun=True, needs='wrk'),
            own('bench/peers/nginx.py', 'W5', needs='nginx', tun=True),
        ],
    ),
    Row(
        'W5c',
        'HTTP over TUN: one connection for each request',
        'requests/cpu-s',
        {'': None},
        '',
        of_limit=0.93,
        columns={'nginx': 13e3},
        players=[
            over_tun('W5c'),
            own('peer-gvisor', 'W5c', tun=True, needs='wrk'),
            own('bench/peers/nginx.py', 'W5c', needs='nginx', tun=True),
        ],
    ),
    Row(
        'W6',
        'one data packet to each of random connections out of N, read and acknowledged',
        'ns/packet',
        {'1000': None, '10000': None, '100000': None, '1000000': None, '10000000': None},
        'N = {}',
        less=True,
        players=[
            Player('tern', ['bench', 'scale', '--json', '--growth', '--n', '{many}']),
            Player('tern', ['bench', 'scale', '--json', '--n', '10000000'], once=True, long=True),
            own('peer-lwip', 'W6'),
        ],
    ),
    Row(
        'scale',
        'what N connections cost, both ends in one process (`tern bench scale`)',
        '',
        {'process 10000000': 6},
        '{}',
        less=True,
        scales=False,
    ),
    Row(
        'W7',
        'a flood of SYNs in memory, and 1,000 honest connects during it',
        '',
        {'': 8e6, 'served': 1000},
        '{}',
        columns={'gvisor': {'': 56e3}, 'linux': {'': 267e3}},
        players=[
            own('bench-flood', 'W7'),
            own('peer-linux', 'W7', tun=True),
            own('peer-gvisor', 'W7'),
        ],
    ),
    Row(
        'W8',
        'two stacks and two threads on two cores, as a multiple of one; a TUN device with two queues',
        '',
        {'W1': 1.8, 'W2c': 1.8, 'tun': None},
        '{}',
        scales=False,
        players=[own('bench-threads', 'W8', pins=True), over_tun('W8')],
    ),
]
W6_AT_MOST = 2.0  # of W6: N = 10 million against N = 1,000


def row(name):
    return next((r for r in ROWS if r.name == name), None)


def column(of, stack, case):
    """What another machine has measured, or None."""
    figure = of.columns.get(stack)
    return figure.get(case) if isinstance(figure, dict) else figure
