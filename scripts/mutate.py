#!/usr/bin/env python3
"""Small faults in the core, on purpose, and the tests that must notice each (tests/mutants/README.md).

    scripts/mutate.py [FILTER]             every mutant applies, compiles, and fails the test that it names
    scripts/mutate.py --budget SECONDS     as many as there is time for, always in the same order
    scripts/mutate.py --who [FILTER]       which of all tests notice it (to write a mutant, or a test)
    scripts/mutate.py --table              which ring of tests notices which: writes docs/MUTANTS.md
                                           (what is known already is kept; --fresh: asked again;
                                           --known: written from what is known, nothing is asked)

FILTER: only mutants whose name contains it. The last line is `N passed, N failed`. Exit code 0: all were
noticed; 1: not all; 2: it could not be carried out."""
import argparse
import concurrent.futures
import os
import sys
import time

import mutant_table
import mutants
from mutant_build import Missing, Workshop, digest
from mutant_tests import Tests
from mutants import Unfit


class Progress:
    """A bar on a terminal, a line now and then otherwise."""

    def __init__(self, total, every=20):
        self.total, self.every, self.done = total, every, 0
        self.began = self.said = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def step(self, text=''):
        self.done += 1
        now = time.monotonic()
        if self.terminal:
            full = 30 * self.done // max(1, self.total)
            bar = '#' * full + '.' * (30 - full)
            print(f'\r[{bar}] {self.done}/{self.total} {text:<30.30}', end='', file=sys.stderr, flush=True)
        elif now - self.said >= self.every:
            self.said = now
            spent = now - self.began
            print(f'mutate: {self.done} of {self.total}, {spent:.0f} s', file=sys.stderr, flush=True)

    def end(self):
        if self.terminal:
            print('\r' + 78 * ' ' + '\r', end='', file=sys.stderr, flush=True)


def chosen(pattern):
    """(mutants, texts of those that cannot be read)"""
    good, bad = [], []
    for name in mutants.names():
        if pattern in name:
            try:
                good.append(mutants.load(name))
            except Unfit as why:
                bad.append(str(why))
    return good, bad


def in_order(found):
    """The same order every time, and a mixed one: a budget cuts off no one's room alone."""
    return sorted(found, key=lambda m: digest(m.name))


# --- each mutant fails the test that it names ------------------------------------------------------


def verdict(shop, tests, mutant):
    """None when the mutant is caught as it says, or what is wrong."""
    try:
        library = shop.library(mutant)
        for test, case in mutant.killers:
            sound, result = tests.run(test), tests.run(test, library)
            if sound.failed:
                return f'{mutant.name}: {test} fails without it, too: {sound.why()}'
            if not result.failed:
                return f'{mutant.name}: not noticed by {test} ({mutant.what})'
            if case and case not in result.cases:
                return f'{mutant.name}: noticed by {test}, but not by {case}: {result.why()}'
    except Unfit as why:
        return str(why)
    return None


def check(shop, tests, found, budget):
    """(passed, failed, not run)"""
    began, progress = time.monotonic(), Progress(len(found))
    failed = left = 0

    def one(mutant):
        if budget and time.monotonic() - began > budget:
            return None
        return mutant, verdict(shop, tests, mutant)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for done in pool.map(one, found):
                left += done is None
                if done is not None and done[1] is not None:
                    failed += 1
                    progress.end()
                    print(f'FAIL {done[1]}', flush=True)
                progress.step(done[0].name if done else '')
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            left = len(found) - progress.done
    progress.end()
    return len(found) - left - failed, failed, left


# --- which tests notice it -------------------------------------------------------------------------


def who(shop, tests, found):
    for mutant in found:
        try:
            library = shop.library(mutant)
        except Unfit as why:
            print(f'FAIL {why}', flush=True)
            continue
        print(f'{mutant.name}: {mutant.what}', flush=True)
        for name in tests.names():
            result = tests.run(name, library)
            if result.failed:
                print(f'    {name}: {result.why()}', flush=True)


# --- which rings do -----------------------------------------------------------------------------------


def table(shop, tests, found, fresh):
    progress = Progress(5 * len(found))
    try:
        known = mutant_table.play(shop, tests, found, fresh, progress.step)
    except KeyboardInterrupt:
        progress.end()
        print('mutate: interrupted; what was found is kept, and the table goes on from there')
        return 1
    except (Missing, Unfit) as why:
        progress.end()
        print(f'FAIL {why}')
        return 1
    progress.end()
    mutant_table.write(tests, found, known)
    print(f'docs/MUTANTS.md has {len(found)} mutants')
    return 0


def apply_all(found):
    """The texts of what does not apply."""
    bad = []
    for mutant in found:
        try:
            mutant.sources()
        except Unfit as why:
            bad.append(str(why))
    return bad


def arguments():
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument('filter', nargs='?', default='')
    parser.add_argument('--budget', type=float, default=0, metavar='SECONDS')
    parser.add_argument('--who', action='store_true')
    parser.add_argument('--table', action='store_true')
    parser.add_argument('--fresh', action='store_true')
    parser.add_argument('--known', action='store_true')
    return parser.parse_args()


def main():
    options = arguments()
    found, bad = chosen(options.filter)
    if not found and not bad:
        print(f'mutate: no mutant is called {options.filter!r}', file=sys.stderr)
        return 2
    try:
        shop = Workshop()
        tests = Tests(shop)
    except Missing as what:
        print(f'mutate: {what}', file=sys.stderr)
        return 2
    if options.who:
        who(shop, tests, found)
        return 0
    if options.table and options.known:
        mutant_table.write(tests, found, mutant_table.gather(tests, found))
        return 0
    if options.table:
        return table(shop, tests, found, options.fresh)
    began = time.monotonic()
    unfit = apply_all(found)
    for why in bad + unfit:
        print(f'FAIL {why}', flush=True)
    fit = [m for m in in_order(found) if not any(why.startswith(m.name + ':') for why in unfit)]
    passed, failed, left = check(shop, tests, fit, options.budget)
    failed += len(bad) + len(unfit)
    later = f' ({left} more apply, and were not run: the time was over)' if left else ''
    print(f'{len(found) + len(bad)} mutants in {time.monotonic() - began:.0f} s{later}')
    print(f'{passed} passed, {failed} failed', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
