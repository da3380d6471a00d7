#!/usr/bin/env python3
"""The grid of the scripts in tests/conversations/states: which state x event has how many.

A cell is a state of RFC 9293 (SYN_RCVD and TIME_WAIT twice, as their rules differ) and an event of its
section 3.10: a call of the program, a kind of segment that arrives, a timeout, an ICMP error. Its scripts are
STATE/EVENT.pkt and STATE/EVENT-WHAT.pkt. A cell without a script needs a reason in reasons.tsv; one that has
neither is a gap, and the exit code is 1. Unknown names, reasons that are not needed and scripts without a
comment that says what the standard asks are faults too.

    scripts/cells.py            the grid
    scripts/cells.py --reasons  and why the other cells are empty"""
import argparse
import fnmatch
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / 'tests' / 'conversations' / 'states'

STATES = {  # folder: head of its column
    'closed': 'CLOSED',
    'listen': 'LISTEN',
    'syn-sent': 'SYN_S',
    'syn-rcvd-passive': 'SYN_R p',
    'syn-rcvd-active': 'SYN_R a',
    'established': 'ESTAB',
    'fin-wait-1': 'FIN_W1',
    'fin-wait-2': 'FIN_W2',
    'close-wait': 'CLOSE_W',
    'closing': 'CLOSING',
    'last-ack': 'LAST_A',
    'time-wait': 'TIME_W',
    'time-wait-released': 'TIME_W r',
}
EVENTS = {
    'calls': 'open-active open-passive send receive close shutdown abort status',
    'segments': 'syn syn-ack ack-exact ack-old ack-future data data-old data-partly data-ahead data-beyond '
    'fin fin-ack fin-old fin-ahead rst rst-in-window rst-outside rst-ack urg no-ack-bit',
    'timeouts': 'retransmission user-timeout time-wait-over keepalive persist',
    'icmp': 'icmp-hard icmp-soft icmp-too-big',
}
ALL_EVENTS = [event for words in EVENTS.values() for event in words.split()]
WIDTH = 9


def event_of(name):
    """The event that a script's name begins with, the longest one; None: no event."""
    hits = [event for event in ALL_EVENTS if name == event or name.startswith(event + '-')]
    return max(hits, key=len, default=None)


def read_scripts(faults):
    """How many scripts each cell has."""
    count = {}
    for path in sorted(FOLDER.glob('**/*.pkt')):
        where = path.relative_to(ROOT)
        state, event = path.parent.name, event_of(path.stem)
        if path.parent.parent != FOLDER or state not in STATES:
            faults.append(f'{where}: not in a folder that is named after a state')
        elif event is None:
            faults.append(f'{where}: its name does not begin with an event')
        else:
            count[state, event] = count.get((state, event), 0) + 1
        if not path.read_text().startswith('// '):
            faults.append(f'{where}: no comment at its head that says what the standard asks')
    return count


def read_reasons(faults):
    """Lines `states <tab> events <tab> reason`; each of the first two is a list of patterns with commas."""
    reasons = {}
    path = FOLDER / 'reasons.tsv'
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith('#'):
            continue
        fields = [field.strip() for field in line.split('\t')]
        if len(fields) != 3:
            faults.append(f'{path.name}:{number}: {len(fields)} fields, not 3')
            continue
        for cell in cells_of(fields[0], fields[1]):
            if cell in reasons:
                faults.append(f'{path.name}:{number}: {" ".join(cell)} has a reason already')
            reasons[cell] = fields[2]
    return reasons


def matching(patterns, words):
    return [
        word for word in words if any(fnmatch.fnmatchcase(word, part.strip()) for part in patterns.split(','))
    ]


def cells_of(states, events):
    return [(state, event) for state in matching(states, STATES) for event in matching(events, ALL_EVENTS)]


def print_grid(count, reasons):
    print(' ' * 16 + ''.join(f'{head:>{WIDTH}}' for head in STATES.values()))
    for kind, words in EVENTS.items():
        print(kind)
        for event in words.split():
            cells = [(state, event) for state in STATES]
            marks = [str(count[c]) if c in count else '-' if c in reasons else 'GAP' for c in cells]
            print(f'  {event:<14}' + ''.join(f'{mark:>{WIDTH}}' for mark in marks))


def check_cells(count, reasons, faults):
    for cell in ((state, event) for state in STATES for event in ALL_EVENTS):
        if cell not in count and cell not in reasons:
            faults.append(f'{cell[0]} {cell[1]}: no script, and no reason why not')
        if cell in count and cell in reasons:
            faults.append(f'{cell[0]} {cell[1]}: has a script and a reason why not')


def print_reasons(reasons):
    for reason in dict.fromkeys(reasons.values()):
        cells = [' '.join(cell) for cell, why in reasons.items() if why == reason]
        print(f'\n{reason}\n  ' + '\n  '.join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--reasons', action='store_true', help='say why the cells without a script are empty')
    options = parser.parse_args()
    faults = []
    count, reasons = read_scripts(faults), read_reasons(faults)
    print_grid(count, reasons)
    check_cells(count, reasons, faults)
    if options.reasons:
        print_reasons(reasons)
    cells = len(STATES) * len(ALL_EVENTS)
    print(
        f'\n{cells} cells: {len(count)} with scripts ({sum(count.values())}), '
        f'{len(reasons)} with a reason why not'
    )
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
