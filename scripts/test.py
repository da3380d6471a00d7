#!/usr/bin/env python3
"""Runs every test and counts single cases; called by `./dev test [FILTER]` after both builds.

A suite is a list of commands with a time limit each. A command says its cases as TAP (cmocka does) or
with a line `N passed, N failed`; one that says neither is one case, by its exit code. A command that
fails without a failed case counts as one more failure: a crash is never lost. With FILTER only commands
whose name (suite/name) contains it are run.

Names of suites: `unit` is the normal build, `unit+asan` the one with address and undefined-behaviour
sanitizer, `unit+valgrind` the normal build under valgrind."""
import argparse
import concurrent.futures
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(ROOT, 'build', 'test-logs')
TUN = '/dev/net/tun'
VALGRIND = [
    'valgrind',
    '--quiet',
    '--error-exitcode=99',
    '--leak-check=full',
    '--errors-for-leak-kinds=definite,possible',
]
VALGRIND_SUITES = {'unit', 'conv'}
# link_tun and host_queues play against the kernel's clock, which valgrind is too slow for; an image of a
# stack (snapshot) holds the padding of its records too, which valgrind calls uninitialised: it
# runs under the sanitizers
VALGRIND_NOT = {'link_tun', 'host_queues', 'snapshot'}
# invariants and numbers that wrap are asked by the other builds; here it is about memory not written
VALGRIND_ENV = {'TERN_CHECK_EACH': '64', 'TERN_VARIANTS': 'plain,IPv6'}
SLOW_ENV = {'TERN_VARIANTS': 'plain,2^31,2^32,IPv6'}  # the list without short ways is in them as well
FIRST = ['unit', 'conv']  # suites in the order of cheapness; the others follow by name
WORLDS = {'build': 2500, 'build-asan': 250}  # of `tern sim`, in each of two commands
DEMO_SEEDS = {'build': 100, 'build-asan': 5}
MUTANT_SECONDS = 80
EXPLORED_WORLDS = 100000  # of each setting
MINUTES = 20  # what the whole run may take on two cores
LINES_SHOWN = 25  # of a failed command's output
FAILURES_SHOWN = 8  # of a suite
EXACT = ['--tolerance_usecs=1000', '--tolerance_percent=0.5', '--tcp_ts_tick_usecs=1000']
# what all scripts are played with once more: numbers that wrap, no short ways
AGAIN = [('by_steps', 1), ('iss', 2**31 - 5), ('iss', 2**32 - 5), ('irs', 2**31 - 5), ('irs', 2**32 - 5)]
SKIP = 77  # exit code of a command that cannot be run here

ENVIRONMENT = {
    'CMOCKA_MESSAGE_OUTPUT': 'TAP',
    'TERN_SOURCE_ROOT': ROOT,
    'ASAN_OPTIONS': 'detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1',
}


class Command:
    def __init__(self, suite, name, argv, limit=300, env=None, count=None):
        self.suite, self.name, self.argv, self.limit = suite, name, argv, limit
        self.env = dict(os.environ, **ENVIRONMENT, **(env or {}))
        self.count = count or count_cases

    @property
    def full_name(self):
        return f'{self.suite}/{self.name}'


class Outcome:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f'{self.passed} passed, {self.failed} failed' + (
            f', {self.skipped} skipped' if self.skipped else ''
        )


def count_cases(text, code):
    """The cases that an output tells of."""
    tap = re.findall(r'^(not ok|ok) \d+(.*)$', text, re.M)
    said = re.findall(r'^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$', text, re.M)
    if tap:
        skipped = sum(1 for word, rest in tap if word == 'ok' and re.search(r'# *skip', rest, re.I))
        failed = sum(1 for word, _ in tap if word == 'not ok')
        outcome = Outcome(len(tap) - failed - skipped, failed, skipped)
    elif said:
        outcome = Outcome(*(int(n or 0) for n in said[-1]))
    else:
        outcome = Outcome(passed=1 if code == 0 else 0)
    if code != 0 and outcome.failed == 0:
        outcome.failed = 1
    return outcome


def count_scenarios(text, code):
    """The verdicts of `tern demo --json`."""
    verdicts = [json.loads(line) for line in text.split('\n') if line.startswith('{') and '"verdict"' in line]
    outcome = Outcome(sum(1 for v in verdicts if v.get('ok')), sum(1 for v in verdicts if not v.get('ok')))
    if (code != 0 or not verdicts) and outcome.failed == 0:
        outcome.failed = 1
    return outcome


def count_worlds(text, code):
    """The worlds of `tern sim --json`."""
    lines = [json.loads(line) for line in text.split('\n') if line.startswith('{"ev":"summary"')]
    outcome = Outcome(sum(s['worlds'] - s['failures'] for s in lines), sum(s['failures'] for s in lines))
    if (code != 0 or not lines) and outcome.failed == 0:
        outcome.failed = 1
    return outcome


# --- what there is to run -----------------------------------------------------------------------


def limit_of(path, default):
    """A test that needs longer says `timeout: SECONDS` in a comment of its first lines."""
    try:
        with open(path, encoding='utf-8') as file:
            match = re.search(r'timeout: (\d+)', file.read(2000))
            return int(match.group(1)) if match else default
    except OSError:
        return default


def meson_tests(build):
    """(suite, name, argv) of what meson has built."""
    with open(os.path.join(ROOT, build, 'meson-info', 'intro-tests.json'), encoding='utf-8') as file:
        for test in json.load(file):
            suite = test['suite'][0].split(':')[-1]
            yield suite, test['name'].removeprefix(suite + '-'), test['cmd']


def source_of(suite, name):
    for path in (f'tests/{suite}/test_{name}.c', f'tests/{suite}/{name}.c'):
        if os.path.exists(os.path.join(ROOT, path)):
            return os.path.join(ROOT, path)
    return ''


def style_commands():
    yield Command(
        'style', 'tidy', ['python3', 'scripts/tidy.py', '--tap', '--objects', 'build/src/libtern-core.a']
    )
    yield Command('style', 'rfc-index', ['python3', 'scripts/rfc_index.py', '--check'])
    yield Command('style', 'cells', ['python3', 'scripts/cells.py'])
    for pattern in ('coverage.py', 'check_*.py', 'check_*.sh'):
        for path in sorted(glob.glob(os.path.join(ROOT, 'tests', '*', pattern))):
            name, _ = os.path.splitext(os.path.relpath(path, os.path.join(ROOT, 'tests')))
            shell = 'python3' if path.endswith('.py') else 'sh'
            yield Command('style', name.replace('/', '-').removeprefix('style-'), [shell, path])


def compiled_commands():
    for build, mark in (('build', ''), ('build-asan', '+asan')):
        for suite, name, argv in meson_tests(build):
            limit = limit_of(source_of(suite, name), 120)
            yield Command(suite + mark, name, argv, limit * (3 if mark else 1), SLOW_ENV if mark else None)
    for suite, name, argv in meson_tests('build'):
        if suite in VALGRIND_SUITES and name not in VALGRIND_NOT:
            env = VALGRIND_ENV
            yield Command(suite + '+valgrind', name, VALGRIND + argv, 600, env)


def demo_commands():
    for build, seeds in DEMO_SEEDS.items():
        mark = '+asan' if build == 'build-asan' else ''
        tern = os.path.join(ROOT, build, 'tern')
        for seed in range(1, seeds + 1):
            argv = [tern, 'demo', '--json', '--seed', str(seed)]
            yield Command('scenarios' + mark, f'seed-{seed}', argv, 120, count=count_scenarios)


def world_commands():
    for build, runs in WORLDS.items():
        mark = '+asan' if build == 'build-asan' else ''
        for first in (1, runs + 1):
            tern = os.path.join(ROOT, build, 'tern')
            argv = [tern, 'sim', '--json', '--seed', str(first), '--runs', str(runs)]
            yield Command('worlds' + mark, f'from-{first}', argv, 300, count=count_worlds)


def as_root(argv):
    """Interop needs a network namespace: root has it; others by sudo or a user namespace of their own."""
    if os.geteuid() == 0:
        return argv
    if (
        shutil.which('sudo')
        and subprocess.run(['sudo', '-n', 'true'], capture_output=True, check=False).returncode == 0
    ):
        return ['sudo', '-n', '-E'] + argv
    return ['unshare', '-Urnm', 'sh', '-c', 'mount -t tmpfs tmpfs /run && exec "$@"', 'sh'] + argv


def interop_commands():
    demo = os.path.join(ROOT, 'scripts', 'demo.sh')
    if os.path.exists(demo):
        yield Command('interop', 'demo-real', as_root([demo, '--real']), 300)
    for path in sorted(glob.glob(os.path.join(ROOT, 'tests', 'interop', '*.sh'))):
        if os.access(path, os.X_OK):
            name = os.path.basename(path).removesuffix('.sh')
            yield Command('interop', name, as_root([path]), limit_of(path, 300))


def everywhere_commands():
    """Other machines, WebAssembly, one file: each builds for itself and says what it must skip."""
    places = [sys.executable, 'scripts/everywhere.py', 'places']
    for place in subprocess.check_output(places, cwd=ROOT, text=True).split():
        yield Command('everywhere', place, [sys.executable, 'scripts/everywhere.py', 'test', place], 400)


def check_commands():
    """The packetdrill scripts, one command a folder; tern check counts them itself."""
    top = os.path.join(ROOT, 'tests', 'conversations')
    scripts = glob.glob(os.path.join(top, '**', '*.pkt'), recursive=True)
    folders = sorted({os.path.relpath(os.path.dirname(path), top) for path in scripts})
    for build in ('build', 'build-asan'):
        mark = '+asan' if build == 'build-asan' else ''
        tern = os.path.join(ROOT, build, 'tern')
        for folder in folders:
            here = sorted(glob.glob(os.path.join(top, folder, '*.pkt')))
            argv = [tern, 'check', '--quiet', *[os.path.relpath(path, ROOT) for path in here]]
            yield Command('check' + mark, folder, argv, 120)
        for name, number in AGAIN:  # and more exactly
            argv = [tern, 'check', '--quiet', f'--tern={name}={number}', *EXACT, 'tests/conversations']
            yield Command('check' + mark, f'{name}-{number}', argv, 120)


def scale_commands():
    yield Command('bench', 'scale', [sys.executable, 'tests/bench/scale_command.py'], 120)


def script_command(name):
    """One script by its name, check/FOLDER/SCRIPT: nothing else is called so."""
    path = os.path.join('tests', 'conversations', name.removeprefix('check/') + '.pkt')
    if name.startswith('check/') and os.path.exists(os.path.join(ROOT, path)):
        tern = os.path.join(ROOT, 'build', 'tern')
        yield Command('check', name.removeprefix('check/'), [tern, 'check', path], 120)


def count_explored(text, code):
    """`tern explore --json`: each setting is a case; its last line must have every edge of the diagram, or,
    of a search of one setting, that it is complete."""
    lines = [json.loads(line) for line in text.split('\n') if line.startswith('{')]
    settings = [line for line in lines if 'depth' in line]
    outcome = Outcome(sum(1 for s in settings if s['violations'] == 0))
    outcome.failed = len(settings) - outcome.passed
    last = lines[-1] if lines else {}
    whole = last.get('complete') or last.get('edges_covered', 0) == last.get('edges_total', 1)
    outcome.failed += code != 0 or not whole
    return outcome


def explore_commands():
    """One search that is complete, a piece of each of the others that takes every edge, and two small ones in
    whose worlds much is tried."""
    searches = (
        ('complete', ['listening', '--probes', '0']),
        ('edges', ['--limit', str(EXPLORED_WORLDS), '--probes', '0']),
        ('tried', ['recycle', 'reopened', '--probes', '3']),
    )
    for name, options in searches:
        argv = [os.path.join(ROOT, 'build', 'tern'), 'explore', '--json', *options]
        yield Command('explore', name, argv, 300, count=count_explored)


def mutant_commands():
    """Faults on purpose: as many as there is time for; `./dev mutate` takes them all."""
    argv = [sys.executable, 'scripts/mutate.py', '--budget', str(MUTANT_SECONDS)]
    yield Command('mutants', 'named', argv, 4 * MUTANT_SECONDS)


def bench_commands():
    """A moment of each workload, so that the benchmark never rots; peers only where they are installed."""
    argv = [sys.executable, 'scripts/bench.py', '--smoke', '--build', 'build']
    yield Command('bench', 'smoke', argv, 300)
    yield Command('bench', 'counts', [sys.executable, 'scripts/bench_counts.py'], 120)


def install_commands():
    yield Command('install', 'pkg-config', ['sh', 'tests/install.sh'], 120)


# --- running ------------------------------------------------------------------------------------


def adopt_orphans():
    """Makes this process the parent of what a test leaves behind, so that it can be found and ended."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children():
    found = []
    for entry in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{entry}/stat', encoding='utf-8', errors='replace') as file:
                name, rest = file.read().rsplit(')', 1)
        except OSError:
            continue
        if int(rest.split()[1]) == os.getpid():
            found.append((int(entry), name.split('(', 1)[1], rest.split()[0]))
    return found


def end_orphans():
    """Ends what the commands of a suite have left running; returns the names of those still alive."""
    left = []
    for wait in (0.2, 0.8, 0):
        alive = [(pid, name) for pid, name, state in children() if state != 'Z']
        if not alive or wait == 0:
            break
        time.sleep(wait)
    for _ in range(20):  # those that an ended one leaves behind come next
        for pid, name, state in children():
            if state != 'Z':
                left.append(name)
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            break
        time.sleep(0.05)
    return left


RUNNING = set()


def end_all(number, _frame):
    """On SIGINT and SIGTERM nothing that was started goes on."""
    for process in list(RUNNING):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    end_orphans()
    print('0 passed, 1 failed', flush=True)
    os._exit(128 + number)


def run(command):
    """(outcome, seconds, text) of one command; ends its whole process group when its time is over."""
    began = time.monotonic()
    log = os.path.join(LOGS, command.full_name.replace('/', '--') + '.log')
    with open(log, 'w', encoding='utf-8') as out:
        process = subprocess.Popen(
            command.argv,
            cwd=ROOT,
            env=command.env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        RUNNING.add(process)
        try:
            code = process.wait(command.limit)
            late = ''
        except subprocess.TimeoutExpired:
            late = f'\nended after {command.limit} s, its time limit\n'
            for kind, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
                try:
                    os.killpg(process.pid, kind)
                    process.wait(patience)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
            code = 124
        RUNNING.discard(process)
        out.write(late or (f'# exit code {code}\n' if code else ''))
    with open(log, encoding='utf-8', errors='replace') as file:
        text = file.read()
    if code == SKIP:
        may_skip = os.environ.get('TERN_ALLOW_SKIP') and not os.path.exists(TUN)
        outcome = Outcome(skipped=1) if may_skip else Outcome(failed=1)
    else:
        outcome = command.count(text, code)
    return outcome, time.monotonic() - began, text


def telling(lines):
    """What a failed command's output says about the failure: TAP's failed cases, or the end."""
    bad = [n for n, line in enumerate(lines) if line.startswith('not ok')]
    if not bad:
        report = [n for n, line in enumerate(lines) if re.search(r'ERROR: |runtime error', line)]
        first = report[0] if report else max(0, len(lines) - LINES_SHOWN)
        return lines[first : first + LINES_SHOWN]
    shown = []
    for n in bad:
        before = n  # cmocka says why behind a case, tidy before all of them
        while n == bad[0] and before > 0 and lines[before - 1].startswith('#'):
            before -= 1
        behind = n + 1
        while behind < len(lines) and lines[behind].startswith('#'):
            behind += 1
        shown += lines[before:behind]
    head = [line for line in lines[: bad[0]] if line.startswith('# ') and line not in shown]
    return (head + shown)[:LINES_SHOWN]


def tell_failure(command, text):
    print(f'--- {command.full_name} failed:')
    for line in telling(text.rstrip('\n').split('\n')):
        print('    ' + line[:300])
    print(f'    (all of it: build/test-logs/{command.full_name.replace("/", "--")}.log)', flush=True)


def run_suite(suite, commands, workers):
    """Runs the commands of a suite and prints its line; returns the outcome and the names of what failed."""
    began = time.monotonic()
    total, failed = Outcome(), []
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for command, (outcome, _, text) in zip(commands, pool.map(run, commands)):
            total.add(outcome)
            if outcome.failed:
                failed.append(command.full_name)
                if len(failed) <= FAILURES_SHOWN:
                    tell_failure(command, text)
    left = end_orphans()
    if left:
        total.failed += 1
        failed.append(f'{suite}: left running: {", ".join(sorted(set(left)))}')
    if not total.failed and not total.passed and not total.skipped:
        total.failed += 1
        failed.append(f'{suite}: no case was run')
    word = 'FAIL' if total.failed else 'SKIP' if not total.passed else 'ok'
    print(f'{word:4}  {suite:20} {total!s:34} {time.monotonic() - began:7.1f} s', flush=True)
    return total, failed


def main():
    began = time.monotonic()
    parser = argparse.ArgumentParser()
    parser.add_argument('filter', nargs='?', default='')
    options = parser.parse_args()
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)
    adopt_orphans()
    signal.signal(signal.SIGINT, end_all)
    signal.signal(signal.SIGTERM, end_all)

    compiled = sorted(
        compiled_commands(), key=lambda c: (c.suite.split('+')[0] not in FIRST, c.suite.count('+'), c.suite)
    )
    suites = {}
    scripts = [*demo_commands(), *world_commands(), *check_commands(), *explore_commands()]
    scripts += [*mutant_commands(), *bench_commands(), *scale_commands()]
    commands = [*style_commands(), *compiled, *scripts, *install_commands()]
    single = list(script_command(options.filter))
    for command in single or [*commands, *everywhere_commands(), *interop_commands()]:
        if options.filter in command.full_name:
            suites.setdefault(command.suite, []).append(command)

    total, failed = Outcome(), []
    for suite, commands in suites.items():
        # against the real kernel one at a time: those tests have clocks and use both cores
        outcome, names = run_suite(suite, commands, 1 if suite == 'interop' else os.cpu_count() or 1)
        total.add(outcome)
        failed += names
    if not suites:
        print(f'no test is called {options.filter!r}')
        total.failed = 1

    seconds = time.monotonic() - began + float(os.environ.get('TERN_BUILD_SECONDS', 0))
    for suite in suites:
        names = [name for name in failed if name.startswith((suite + '/', suite + ':'))]
        more = f' and {len(names) - FAILURES_SHOWN} more' if len(names) > FAILURES_SHOWN else ''
        if names:
            print(f'failed: {" ".join(names[:FAILURES_SHOWN])}{more}')
    over = '' if seconds < MINUTES * 60 else f', over the {MINUTES} minutes that it may take'
    print(f'total time: {int(seconds // 60)} min {int(seconds % 60)} s with the builds{over}')
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == '__main__':
    sys.exit(main())
