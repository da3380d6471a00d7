#!/usr/bin/env python3
"""Instructions of small fixed work, counted by valgrind: the regression check without noise.

    scripts/bench_counts.py [--build DIR]            table, and TAP: what takes more than the baseline fails
    scripts/bench_counts.py --update                 writes tests/bench/counts.tsv; the commit says why

Each row is (instructions for MANY - instructions for FEW) / (MANY - FEW): what one life, one segment, one
packet or one SYN costs, both ends and the program that measures included. The baseline holds for the
compiler and the kind of machine that it names; elsewhere the check is skipped."""
import argparse
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASELINE = os.path.join(ROOT, 'tests', 'bench', 'counts.tsv')
TOLERANCE = 0.02
SEGMENTS = 65536 / 1460
# name: (few, many, how many units are in one, what the unit is)
WORK = {
    'life': (200, 1200, 1, 'a whole life, both ends'),
    'bulk': (16, 80, SEGMENTS, 'a segment of 1,460 bytes, both ends'),
    'touch': (640, 3840, 1, 'a packet to one of 1,000 connections, both ends'),
    'syn': (6400, 16384, 1, 'a SYN in a flood, answered with a cookie'),
}


def count(build, name, n):
    with tempfile.TemporaryDirectory() as place:
        argv = ['valgrind', '--tool=callgrind', f'--callgrind-out-file={place}/out']
        argv += [os.path.join(ROOT, build, 'bench-counts'), name, str(n)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(r'Collected : (\d+)', done.stderr)
    if done.returncode != 0 or not found:
        raise SystemExit(f'bench-counts {name} {n}: {done.stderr[-500:]}')
    return int(found.group(1))


def measured(build):
    for name, (few, many, units, _) in WORK.items():
        yield name, (count(build, name, many) - count(build, name, few)) / ((many - few) * units)


def place():
    """What the counts depend on besides the sources."""
    compiler = subprocess.run(['cc', '-dumpfullversion'], capture_output=True, text=True, check=False)
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        wide = 'avx2' if re.search(r'^flags.*\bavx2\b', file.read(), re.M) else 'plain'
    return f'cc {compiler.stdout.strip()} {os.uname().machine} {wide}'


def baseline():
    """(place, {name: instructions})"""
    with open(BASELINE, encoding='utf-8') as file:
        lines = [line.rstrip('\n') for line in file]
    where = next((line[2:] for line in lines if line.startswith('# cc ')), '')
    return where, {row.split('\t')[0]: float(row.split('\t')[1]) for row in lines if '\t' in row}


def update(build):
    os.makedirs(os.path.dirname(BASELINE), exist_ok=True)
    rows = [f'{name}\t{figure:.1f}\t{WORK[name][3]}' for name, figure in measured(build)]
    with open(BASELINE, 'w', encoding='utf-8') as file:
        file.write('# Instructions (scripts/bench_counts.py --update), good for:\n')
        file.write(f'# {place()}\n' + '\n'.join(rows) + '\n')
    print('\n'.join(rows))


def check(build):
    where, known = baseline()
    if where != place():
        print(f'ok 1 - counts # skip the baseline is for {where}, this is {place()}\n1..1')
        return 0
    failed = 0
    for number, (name, figure) in enumerate(measured(build), 1):
        change = figure / known[name] - 1
        failed += change > TOLERANCE
        word = 'not ok' if change > TOLERANCE else 'ok'
        said = f'{name}: {figure:.1f} instructions, {change:+.1%} ({WORK[name][3]})'
        print(f'{word} {number} - {said}', flush=True)
        if change < -TOLERANCE:
            print('# better: scripts/bench_counts.py --update keeps it')
    print(f'1..{len(WORK)}')
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    parser.add_argument('--update', action='store_true')
    options = parser.parse_args()
    if options.update:
        update(options.build)
        return 0
    return check(options.build)


if __name__ == '__main__':
    sys.exit(main())
