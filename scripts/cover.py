#!/usr/bin/env python3
"""Which lines and branches of the core the tests reach; called by `./dev cover` with a build for gcov.

    scripts/cover.py BUILD [--room src/tcp] [--all]

Runs every test that is compiled, the corpora of the fuzz targets, and what `tern` proves by itself (scripts,
simulation, explorer), each bounded; then prints for each file how much was reached. A branch that no test
reaches is either listed in tests/cover.tsv with the reason, or it is a gap. Fails when less than 95% of the
branches of the room are reached, when a gap has no reason, or when a reason has become untrue.

ASSERT and NEVER are left out: their other side ends the program, so it cannot be reached by a test that
passes. So are the lines that call the one door, which is inlined: each of them knows what kind of record it
has, and the door's own branch is judged where it stands (src/tcp/state.h)."""
import argparse
import collections
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REASONS = 'tests/cover.tsv'
LEAST = 95.0  # percent of branches
LIMIT = 1200  # seconds, for each program
# The build is slow (-O0, and a counter at each branch): invariants are asked in one step of 32, numbers that
# wrap are left to the other builds, and of worlds and random inputs there are fewer. What these reach, the
# corpora and the conversations reach as well.
SPARSELY = {'TERN_CHECK_EACH': '32', 'TERN_VARIANTS': 'plain,IPv6,by steps', 'TERN_SIM_WORLDS': '100'}
RANDOM_INPUTS = '100'
NOT_OURS = r'.*\b(ASSERT|NEVER|state_change)\(.*'


def programs(build):
    """Each command line that is to be run."""
    for path in sorted(glob.glob(os.path.join(build, 'tests', '*-*'))):
        if not os.path.isfile(path) or not os.access(path, os.X_OK):
            continue
        name = os.path.basename(path)
        corpus = f'tests/fuzz/corpus/{name.removeprefix("fuzz-")}'
        if name.startswith('explore-'):
            continue  # faults are planted there, and the same search follows below
        yield [path, corpus, RANDOM_INPUTS] if name.startswith('fuzz-') else [path]
    tern = os.path.join(build, 'tern')
    for seed in range(1, 4):
        yield [tern, 'demo', '--json', '--seed', str(seed)]
    yield [tern, 'check', '--quiet', 'tests/conversations']
    yield [tern, 'sim', '--seed', '1', '--runs', '600', '--seconds', '120']
    yield [tern, 'explore', '--limit', '20000', '--seconds', '120']


def run(argv):
    """(name, seconds, what went wrong)"""
    name = ' '.join([os.path.basename(argv[0]), *argv[1:]])
    env = dict(os.environ, TERN_SOURCE_ROOT=ROOT, CMOCKA_MESSAGE_OUTPUT='TAP', **SPARSELY)
    began = time.monotonic()
    try:
        done = subprocess.run(
            argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return name, LIMIT, f': ended after {LIMIT} s'
    return name, time.monotonic() - began, f': exit code {done.returncode}' if done.returncode else ''


def run_all(build):
    """Runs what there is; says what did not pass (coverage of a failed run would be a lie)."""
    for path in glob.glob(os.path.join(build, '**', '*.gcda'), recursive=True):
        os.remove(path)
    bad = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for name, seconds, trouble in pool.map(run, programs(build)):
            print(f'cover: {seconds:4.0f} s  {name}{trouble}', file=sys.stderr)
            if trouble:
                bad.append(name)
    return bad


def measure(build, rooms):
    """gcovr's findings: {file: [(line, count, [taken, ...])]}"""
    argv = ['gcovr', '-r', ROOT, '--json', '-', '--exclude-branches-by-pattern', NOT_OURS]
    for room in rooms:
        argv += ['-f', room + '/']
    done = subprocess.run([*argv, build], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f'cover: gcovr: {done.stderr[-500:]}')
    found = {}
    for file in json.loads(done.stdout)['files']:
        found[file['file']] = [
            (line['line_number'], line['count'], [branch['count'] for branch in line['branches']])
            for line in file['lines']
            if not line.get('gcovr/noncode') and not line.get('gcovr/excluded')
        ]
    return found


def reasons():
    """{(file, text of the line): why}; the lines of tests/cover.tsv."""
    table = {}
    with open(os.path.join(ROOT, REASONS), encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            if line.startswith('#') or not line.strip():
                continue
            cells = line.rstrip('\n').split('\t')
            if len(cells) != 3:
                sys.exit(f'cover: {REASONS}:{number}: three columns wanted: file, line of code, reason')
            table[cells[0], ' '.join(cells[1].split())] = cells[2]
    return table


Sums = collections.namedtuple('Sums', 'lines lines_hit branches branches_hit')


def sums_of(lines):
    branches = [n for _, _, taken in lines for n in taken]
    return Sums(len(lines), sum(1 for _, n, _ in lines if n), len(branches), sum(1 for n in branches if n))


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def gaps_of(path, lines):
    """(line, text of the code, branches missing) for each line with a branch that was not taken. (What lies
    behind that branch is not reached either; once is enough.)"""
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        text = file.read().split('\n')
    for number, _, taken in lines:
        missing = sum(1 for n in taken if n == 0)
        if missing:
            yield number, ' '.join(text[number - 1].split()), missing


def report(found, room, everything):
    """Prints the table; returns what is wrong, in words."""
    known, used, wrong = reasons(), set(), []
    total = collections.Counter()
    print(f'{"":28} {"lines":>7} {"branches":>9}')
    for path in sorted(found):
        sums = sums_of(found[path])
        inside = path.startswith(room + '/')
        if inside:
            total.update(sums._asdict())
        if not sums.lines or not (inside or everything):
            continue
        print(
            f'{path:28} {percent(sums.lines_hit, sums.lines):6.1f}%'
            f' {percent(sums.branches_hit, sums.branches):8.1f}%'
        )
        for number, text, missing in gaps_of(path, found[path]):
            why = known.get((path, text))
            used.add((path, text))
            if why or inside:
                print(f'    {number:5}  {text[:70]:70}  {why or "NO REASON GIVEN"}')
            if inside and not why:
                wrong.append(f'{path}:{number}: {missing} branch(es) that no test reaches: {text}')
    for key in sorted(set(known) - used):
        wrong.append(f'{REASONS}: {key[0]}: reached after all, or not there any more: {key[1]}')
    reached = percent(total['branches_hit'], total['branches'])
    if reached < LEAST:
        wrong.append(f'{room}: {reached:.1f}% of the branches; at least {LEAST:.0f}% are wanted')
    lines = percent(total['lines_hit'], total['lines'])
    print(
        f'proof: coverage: {room}: {lines:.1f}% of {total["lines"]} lines,'
        f' {reached:.1f}% of {total["branches"]} branches, the others explained'
    )
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build')
    parser.add_argument('--room', default='src/tcp', help='the folder that is judged')
    parser.add_argument('--all', action='store_true', help='print the other rooms of src/ as well')
    parser.add_argument('--again', action='store_true', help='judge what was measured last time, run nothing')
    options = parser.parse_args()
    began = time.monotonic()
    wrong = []
    if not options.again:
        wrong = [f'{name} did not pass' for name in run_all(os.path.abspath(options.build))]
    wrong += report(measure(os.path.abspath(options.build), ['src']), options.room, options.all)
    for line in wrong:
        print(re.sub(r'\s+', ' ', line))
    verdict = f'{len(wrong)} to mend' if wrong else 'nothing is missing'
    print(f'{time.monotonic() - began:.0f} s; {verdict}')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
