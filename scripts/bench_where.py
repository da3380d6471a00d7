#!/usr/bin/env python3
"""Where the work of one life and of one segment is done: instructions by source file, a table that adds up.

    scripts/bench_where.py [--build DIR] [life|bulk|touch|syn]...

Counted by callgrind on `bench-counts`, for MANY less for FEW of them (bench_counts.py), so what making the
stacks costs is not in it. Code that the compiler has put into another function counts for the file that it
was written in."""
import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile

from bench_counts import ROOT, WORK

SHOWN = 0.02  # files with less of the whole are one row


def costs_of(path):
    """{source file: instructions of its own} of a callgrind file."""
    names, costs, here, skip = {}, collections.Counter(), '', False
    with open(path, encoding='utf-8', errors='replace') as file:
        for text in file:
            found = re.match(r'(fl|fi|fe)=\((\d+)\)(?: (.*))?$', text)
            if found:
                if found.group(3):
                    names[found.group(2)] = found.group(3)
                here = names[found.group(2)]
            elif text.startswith('calls='):
                skip = True  # the next line is what the called one costs, callees and all
            elif re.match(r'[+\-*\d]', text):
                if not skip:
                    costs[here] += int(text.split()[1])
                skip = False
            else:
                # other files are named by the same numbers: cfi=, cfl=
                found = re.match(r'c(?:fi|fl)=\((\d+)\) (.*)$', text)
                if found:
                    names[found.group(1)] = found.group(2)
    return costs


def counted(build, name, n):
    with tempfile.TemporaryDirectory() as place:
        out = os.path.join(place, 'out')
        argv = ['valgrind', '--tool=callgrind', f'--callgrind-out-file={out}']
        argv += [os.path.join(ROOT, build, 'bench-counts'), name, str(n)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f'bench-counts {name}: {done.stderr[-500:]}')
        return costs_of(out)


def place_of(path):
    """A source file's name in the project, or what it is instead."""
    found = re.search(r'(?:^|.*/)((?:src|include|bench|link|host)/[\w./-]+)$', path)
    if found:
        return found.group(1)
    return 'memcpy, memset and the C library'


def purpose(place):
    """What the head of a source file says that it is for."""
    path = os.path.join(ROOT, place)
    if place.startswith('bench/'):
        return 'the program that measures: both programs, and the wire between them'
    if not os.path.exists(path):
        return ''
    with open(path, encoding='utf-8') as file:
        head = file.read(1500)
    found = re.match(r'/\* \S+ - (.*?)(?:\*/|\n \*\n|\.\s)', head, re.S)
    return re.sub(r'\s*\n \* ?', ' ', found.group(1)).strip().rstrip('.:;') if found else ''


def where(build, name):
    """[(place, purpose, instructions of one unit)], the most first; the last row is the rest."""
    few, many, units, _ = WORK[name]
    low, high = counted(build, name, few), counted(build, name, many)
    sums = collections.Counter()
    for path in set(low) | set(high):
        sums[place_of(path)] += (high[path] - low[path]) / ((many - few) * units)
    total = sum(sums.values())
    shown = [(place, cost) for place, cost in sums.most_common() if cost >= SHOWN * total]
    rows = [(place, purpose(place), cost) for place, cost in shown]
    rest = total - sum(cost for _, cost in shown)
    return [*rows, (f'{len(sums) - len(shown)} others', '', rest)]


def table(rows, ns):
    """The rows as Markdown; `ns`: what the whole was measured to take, None = not known."""
    total = sum(cost for *_, cost in rows)
    text = '| file | what it does | instructions | share | ns |\n|---|---|---|---|---|\n'
    for place, what, cost in [*rows, ('**all**', '', total)]:
        name = f'`{place}`' if '/' in place else place
        time = f'{cost / total * ns:.1f}' if ns else ''
        text += f'| {name} | {what} | {cost:,.0f} | {cost / total:.1%} | {time} |\n'
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('names', nargs='*')
    parser.add_argument('--build', default='build')
    options = parser.parse_args()
    for name in options.names or WORK:
        print(f'{name}: {WORK[name][3]}\n\n{table(where(options.build, name), None)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
