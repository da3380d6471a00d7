#!/usr/bin/env python3
"""Writes docs/RFC.md: for each requirement of the standards the code that performs it, the test that shows
it and the fault that makes the test fail; and which function follows which section of which RFC.

    scripts/rfc_index.py           write docs/RFC.md
    scripts/rfc_index.py --check   fail when it is not what would be written

Both fail when an id is named that does not exist, and when a requirement has no code, no test or, if it is
a MUST, no mutant that makes one of its tests fail. What is not met stands with its reason in
docs/requirements-not-ours.tsv. rfc_cited.py reads the sources. Lines in the page are those of the
citations; so it is written anew when they move."""
import argparse
import os
import sys

from csource import ROOT, read
from rfc_cited import REASONS, TABLES, Index, reasons, requirements

OUTPUT = 'docs/RFC.md'
NO_KEYWORDS = {1337, 4987, 5927}
SHOWN = 8  # tests and mutants of one requirement; the others are counted
WHOLE = {'built', 'built in part', 'not built'}  # what can be said of an RFC without a table of its own
KINDS = {
    'differs': 'tern does something else, on purpose',
    'not built': 'a mechanism that may come later',
    'not offered': 'optional, and tern does without',
    'not ours': 'meant for somebody else, or cannot arise here',
}
TITLES = {
    9293: 'Transmission Control Protocol',
    5961: 'blind in-window attacks',
    6298: 'the retransmission timer',
    5681: 'congestion control',
    6675: 'loss recovery with SACK',
    7323: 'window scale, timestamps, PAWS',
    2018: 'selective acknowledgment',
    6191: 'TIME-WAIT with timestamps',
    6528: 'initial sequence numbers (now RFC 9293 3.4.1)',
    6056: 'ephemeral ports',
    1337: 'TIME-WAIT hazards',
    5482: 'the user timeout option',
    5927: 'ICMP attacks',
    4987: 'SYN floods',
    3168: 'explicit congestion notification',
    4861: 'IPv6 neighbours and routers',
    4862: 'IPv6 addresses without a server',
    5227: 'IPv4 address conflicts',
}


def section_key(section):
    return [(0, int(p), '') if p.isdigit() else (1, 0, p) for p in section.split('.')] if section else []


def link(place):
    """A short name that leads to the line."""
    path = place.path
    for long, short in (('src/', ''), ('tests/conversations/', ''), ('tests/', ''), ('include/', '')):
        if path.startswith(long):
            path = short + path[len(long) :]
            break
    if place.kind == 'mutant':
        return f'[{place.name}](../{place.path})'
    if place.path.endswith('.pkt'):
        return f'[{path.removesuffix(".pkt")}](../{place.path})'
    shown = f'{path}:{place.name}' if place.name else path
    return f'[{shown}](../{place.path}#L{place.line})'


def listed(places, most=0):
    """In the order of their paths, which is that of tests in C and then scripts."""
    found = sorted(places, key=lambda p: (p.path.endswith('.pkt'), p.path, p.line))
    shown = found[:most] if most and len(found) > most + 1 else found
    more = f' and {len(found) - len(shown)} more' if len(shown) < len(found) else ''
    return ', '.join(link(p) for p in shown) + more or '–'


class Page:
    def __init__(self):
        self.index, self.known = Index(), requirements()
        self.later = []  # whole RFCs that stand in the reasons
        for what, kind, why in reasons():
            if what in self.known:
                self.known[what].reason = (kind, why)
            else:
                self.later.append((what, kind, why))

    def of_rfc(self, number):
        return [r for r in self.known.values() if r.rfc == number]

    def numbers(self):
        return list(dict.fromkeys(r.rfc for r in self.known.values()))

    # --- what is wrong ---

    def wrong(self):
        """Sentences about what may not be."""
        for ident, places in sorted(self.index.places.items()):
            if ident not in self.known:
                for place in places:
                    yield f'{place.path}:{place.line}: {ident} is no requirement of {" or ".join(TABLES)}'
        for what, kind, _ in reasons():
            if kind not in (WHOLE if what.startswith('RFC ') else KINDS):
                yield f'{REASONS}: {what}: there is no kind "{kind}"'
            if what not in self.known and not what.startswith('RFC '):
                yield f'{REASONS}: {what} is no requirement'

    def owed(self):
        """Sentences about what is missing."""
        for r in self.known.values():
            for thing in self.missing(r):
                yield f'{r.ident} ({r.what}) has no {thing}'

    def missing(self, r):
        """What a requirement lacks."""
        if r.owed and not self.index.of(r.ident, 'code'):
            yield 'code'
        if r.owed and not self.index.of(r.ident, 'test'):
            yield 'test'
        if r.owes_mutant and not self.index.killers(r.ident):
            yield 'mutant that makes one of its tests fail'

    # --- the page ---

    def lines(self):
        yield from self.head()
        yield from self.open_ends()
        for number in self.numbers():
            yield from self.table(number)
        yield from self.not_met()
        yield from self.not_built()
        yield from self.section_index()

    def head(self):
        yield from (
            '# The standards, line by line',
            '',
            'Made by `scripts/rfc_index.py` from what the sources, tests and faults say; do not edit.',
            '',
            'Each requirement has the code that performs it, the tests that show it and, if it is a MUST,',
            'a fault (`tests/mutants/`) that makes one of these tests fail. The test run fails when one',
            'lacks any of them. What is not met, or not as the text asks, has a reason',
            '([below](#not-met-or-not-as-the-text-asks)). Numbers of RFC 9293 are those of its Appendix B,',
            'other ids are RFC, section and a letter; the words are ours. RFC 1337, 4987 and 5927 have no',
            'keywords of their own: what they ask in effect stands here.',
            '',
            '| RFC | about | asked | met | tests | MUSTs met | mutants | '
            + ' | '.join(KINDS)
            + ' |',
            '|---|---|---|---|---|---|---|---|---|---|---|',
        )
        rows = [self.figures(number) for number in self.numbers()]
        for number, row in zip(self.numbers(), rows):
            about = f'[{number}](#rfc-{number}) | {TITLES.get(number, "")}'
            yield f'| {about} | ' + ' | '.join(map(str, row)) + ' |'
        yield '| all | | ' + ' | '.join(str(sum(column)) for column in zip(*rows)) + ' |'
        yield ''

    def figures(self, number):
        rows = self.of_rfc(number)
        met = [r for r in rows if r.reason is None]
        musts = [r for r in met if r.rank == 'MUST']
        tests = {p.key for r in rows for p in self.index.of(r.ident, 'test')}
        mutants = {m.name for r in rows for m in self.index.mutants if r.ident in m.shows}
        kinds = [sum(1 for r in rows if r.reason and r.reason[0] == kind) for kind in KINDS]
        return [len(rows), len(met), len(tests), len(musts), len(mutants), *kinds]

    def verdict(self):
        rows = [self.figures(number) for number in self.numbers()]
        asked, met, tests, musts, mutants = (sum(row[i] for row in rows) for i in range(5))
        return (
            f'{asked} requirements of {len(rows)} RFCs: {met} met, {asked - met} with a reason; '
            f'{tests} tests; {musts} MUSTs with {mutants} mutants'
        )

    def table(self, number):
        yield from (f'## RFC {number}', '')
        if number in NO_KEYWORDS:
            yield from ('The levels are ours.', '')
        yield '| id | level | what it asks | code | tests | mutants |'
        yield '|---|---|---|---|---|---|'
        for r in self.of_rfc(number):
            code = self.index.of(r.ident, 'code') or self.index.of(r.ident, 'promise')
            mark = f' *({r.reason[0]}: see below)*' if r.reason else ''
            where = f' ({r.section})' if number == 9293 else ''
            yield (
                f'| {r.ident} | {r.level} | {r.what}{where}{mark} | {listed(code)} '
                f'| {listed(self.index.of(r.ident, "test"), SHOWN)} '
                f'| {listed(self.index.of(r.ident, "mutant"), SHOWN)} |'
            )
        yield ''

    def not_met(self):
        yield from ('## Not met, or not as the text asks', '')
        for kind, meaning in KINDS.items():
            rows = [r for r in self.known.values() if r.reason and r.reason[0] == kind]
            yield from (f'### {kind[0].upper() + kind[1:]}: {meaning}', '')
            yield '| id | level | what it asks | why |'
            yield '|---|---|---|---|'
            for r in rows:
                yield f'| {r.ident} | {r.level} | {r.what} | {r.reason[1]} |'
            yield ''

    def open_ends(self):
        rows = [(r, list(self.missing(r))) for r in self.known.values()]
        if not any(missing for _, missing in rows):
            return
        yield from ('## Not shown yet', '', '| id | level | has no |', '|---|---|---|')
        for r, missing in rows:
            if missing:
                yield f'| {r.ident} | {r.level} | {", ".join(missing)} |'
        yield ''

    def not_built(self):
        yield from ('## Other RFCs: what is built of them', '', '| RFC | | |', '|---|---|---|')
        for what, kind, why in self.later:
            yield f'| {what} | {kind} | {why} |'
        yield ''

    def section_index(self):
        yield from ('## From a section to the code', '')
        cited = sorted(self.index.sections, key=lambda w: (w[0], section_key(w[1])))
        for number in sorted({n for n, _ in cited}):
            yield from (f'### Sections of RFC {number}', '', '| section | code |', '|---|---|')
            for section in [s for n, s in cited if n == number]:
                yield f'| {section or "(as a whole)"} | {listed(self.index.sections[(number, section)])} |'
            yield ''


def main():
    parser = argparse.ArgumentParser(description='writes docs/RFC.md')
    parser.add_argument('--check', action='store_true')
    options = parser.parse_args()
    page = Page()
    text = '\n'.join(page.lines()).rstrip('\n') + '\n'
    wrong, owed = list(page.wrong()), list(page.owed())
    print('\n'.join(wrong + owed) or page.verdict())
    wrong += owed
    path = os.path.join(ROOT, OUTPUT)
    if options.check:
        if not os.path.exists(path) or read(OUTPUT) != text:
            wrong.append(f'{OUTPUT} is not what the sources say: run scripts/rfc_index.py')
            print(wrong[-1])
    else:
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
