#!/usr/bin/env python3
"""Runs the fuzz targets of tests/fuzz, two at a time, under the address and undefined-behaviour sanitizers;
called by `./dev fuzz` after the build. At the end a table: executions a second, and edges (places in the
program between which control passes) and features (how often, and of what else the target counts) reached.

An input that fails is made as short as can be in a minute and stays in tests/fuzz/corpus/TARGET/found-...,
where every test run plays it again. What else is worth keeping stays in build-fuzz/corpus; --keep makes the
corpus of the tests anew from all of it, as few inputs as reach every edge."""
import argparse
import concurrent.futures
import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What a long proof gives each (seconds): whole stacks and differential targets, and the rest.
LONG, SHORT = 2700, 300
LONG_TARGETS = {'stack', 'twin', 'joined', 'records'}
MAX_LEN = {'stack': 3000, 'twin': 3000}  # longer programs are slow, and find no more
MINIMISE_SECONDS = 60
ENVIRONMENT = {
    'ASAN_OPTIONS': 'detect_leaks=1:detect_stack_use_after_return=0:abort_on_error=1',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1:abort_on_error=1',
}
AFL_ENVIRONMENT = {
    'ASAN_OPTIONS': 'detect_leaks=0:abort_on_error=1:symbolize=0',  # it asks for these
    'UBSAN_OPTIONS': 'halt_on_error=1:abort_on_error=1:symbolize=0',
    'AFL_NO_UI': '1',
    'AFL_SKIP_CPUFREQ': '1',
    'AFL_NO_AFFINITY': '1',
    'AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES': '1',
}
RUNNING = set()
STOP = threading.Event()


class Target:
    """One fuzz target, and what its run has shown."""

    def __init__(self, program, seconds, afl):
        self.program, self.afl = program, afl
        self.name = os.path.basename(program).removeprefix('fuzz-')
        self.seconds = seconds or (LONG if self.name in LONG_TARGETS else SHORT)
        self.place = os.path.join(os.path.dirname(os.path.dirname(program)))
        self.kept = os.path.join(ROOT, 'tests', 'fuzz', 'corpus', self.name)
        self.corpus = os.path.join(self.place, 'corpus', self.name)
        self.found = os.path.join(self.place, 'found', self.name)
        self.log = os.path.join(self.place, self.name + '.log')
        self.took = 0  # seconds: less than it was given when an input failed
        self.executions = self.speed = self.edges = self.features = self.inputs = 0
        self.failed = []

    def options(self):
        dictionary = os.path.join(ROOT, 'tests', 'fuzz', 'dict', self.name + '.dict')
        found = [f'-max_len={MAX_LEN[self.name]}'] if self.name in MAX_LEN else []
        if self.name in LONG_TARGETS:
            found.append('-entropic=0')  # its book-keeping would take longer than a run does
        return found + ([f'-dict={dictionary}'] if os.path.exists(dictionary) else [])

    def command(self):
        if self.afl:
            return ['afl-fuzz', '-i', self.kept, '-o', self.corpus, '-V', str(self.seconds), '-t', '5000',
                    '-m', 'none', '--', self.program]  # fmt: skip
        folders = [self.corpus] + ([self.kept] if os.path.isdir(self.kept) else [])
        return [self.program, f'-max_total_time={self.seconds}', '-timeout=20', '-print_final_stats=1',
                '-rss_limit_mb=3000', f'-artifact_prefix={self.found}/', *self.options(),
                *folders]  # fmt: skip

    def run(self):
        if STOP.is_set():
            return
        for folder in (self.corpus, self.found):
            os.makedirs(folder, exist_ok=True)
        before = set(self.failures())
        with open(self.log, 'w', encoding='utf-8', errors='replace') as log:
            environment = AFL_ENVIRONMENT if self.afl else ENVIRONMENT
            start = time.monotonic()
            code = run(self.command(), log, self.seconds + 300, environment)
            self.took = round(time.monotonic() - start)
        self.read_afl() if self.afl else self.read_log()
        fresh = sorted(set(self.failures()) - before)
        self.failed = [self.keep_failure(path) for path in fresh]
        if code != 0 and not fresh and not STOP.is_set():
            self.failed.append(f'{self.log} (exit code {code})')

    def failures(self):
        pattern = f'{self.corpus}/default/crashes/id*' if self.afl else f'{self.found}/*'
        return glob.glob(pattern)

    def read_log(self):
        with open(self.log, encoding='utf-8', errors='replace') as file:
            text = file.read()
        for match in re.finditer(r'^#(\d+)\s.*cov: (\d+) ft: (\d+) corp: (\d+)/', text, re.M):
            self.executions, self.edges, self.features, self.inputs = map(int, match.groups())
        done = re.search(r'stat::number_of_executed_units: (\d+)', text)
        self.executions = int(done.group(1)) if done else self.executions
        self.speed = self.executions // max(1, self.took)

    def read_afl(self):
        stats = os.path.join(self.corpus, 'default', 'fuzzer_stats')
        if os.path.exists(stats):
            with open(stats, encoding='utf-8') as file:
                values = dict(re.findall(r'^(\w+)\s*: (\S+)', file.read(), re.M))
            self.executions = int(values['execs_done'])
            self.speed = int(float(values['execs_per_sec']))
            self.edges, self.inputs = int(values['edges_found']), int(values['corpus_count'])

    def keep_failure(self, path):
        """Makes a failing input shorter; returns where it stays."""
        short = path + '.short'
        if not self.afl and 'crash-' in path:
            command = [self.program, '-minimize_crash=1', f'-max_total_time={MINIMISE_SECONDS}',
                       f'-exact_artifact_path={short}', path]  # fmt: skip
            with open(self.log + '.minimise', 'w', encoding='utf-8', errors='replace') as log:
                run(command, log, 4 * MINIMISE_SECONDS)
        best = short if os.path.exists(short) else path
        with open(best, 'rb') as file:
            digest = hashlib.sha1(file.read()).hexdigest()[:10]
        stays = os.path.join(self.kept, 'found-' + digest)
        os.makedirs(self.kept, exist_ok=True)
        shutil.copy(best, stays)
        return os.path.relpath(stays, ROOT)

    def keep_corpus(self):
        """The fewest inputs that reach every edge, beside those that once failed."""
        fresh = os.path.join(self.place, 'kept', self.name)
        shutil.rmtree(fresh, ignore_errors=True)
        os.makedirs(fresh)
        folders = [folder for folder in (self.kept, self.corpus) if os.path.isdir(folder)]
        with open(self.log + '.merge', 'w', encoding='utf-8', errors='replace') as log:
            command = [self.program, '-merge=1', '-use_counters=0', '-timeout=20', *self.options(), fresh]
            if run(command + folders, log, 1800) != 0:
                return
        os.makedirs(self.kept, exist_ok=True)
        for path in glob.glob(self.kept + '/*'):
            if not os.path.basename(path).startswith('found-'):
                os.remove(path)
        for path in sorted(glob.glob(fresh + '/*')):
            shutil.copy(path, os.path.join(self.kept, os.path.basename(path)[:12]))


def run(command, log, limit, environment=None):
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT,
        env=dict(os.environ, **(environment or ENVIRONMENT)), start_new_session=True,
    )  # fmt: skip
    RUNNING.add(process)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return 124
    finally:
        RUNNING.discard(process)


def stop(_number, _frame):
    """Each target is asked to end, and what was found so far is told."""
    STOP.set()
    for process in list(RUNNING):
        process.send_signal(signal.SIGINT)


def progress(targets, done, began):
    """How far it is, as a bar on a terminal, else a line a minute."""
    total = sum(t.seconds for t in targets)
    width, last = 40, 0.0
    while not done.wait(1 if sys.stderr.isatty() else 5):
        seconds = time.monotonic() - began
        share = min(1.0, seconds * (os.cpu_count() or 1) / max(1, total))
        text = f'{seconds:6.0f} s, {sum(1 for t in targets if t.executions)} of {len(targets)} targets done'
        if sys.stderr.isatty():
            print(f'\r[{"#" * int(share * width):{width}}] {text}', end='', file=sys.stderr, flush=True)
        elif seconds - last >= 60:
            last = seconds
            print(f'fuzz: {text}', file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print('\r' + ' ' * (width + 50) + '\r', end='', file=sys.stderr)


def tell(targets):
    print(f'{"target":12} {"seconds":>7} {"executions":>12} {"a second":>9} {"edges":>7} {"features":>9} '
          f'{"inputs":>7}  found')  # fmt: skip
    for t in targets:
        print(f'{t.name:12} {t.took:7} {t.executions:12,} {t.speed:9,} {t.edges:7,} {t.features:9,} '
              f'{t.inputs:7,}  {len(t.failed) or "-"}')  # fmt: skip
    for t in targets:
        for path in t.failed:
            print(f'found: fuzz-{t.name} fails with {path}')
    for t in targets:
        print(f'proof: fuzzing: {t.name}: {t.executions} executions in {t.took} s ({t.speed} a second), '
              f'{t.edges} edges, {t.features} features, {len(t.failed)} failures')  # fmt: skip


def main():
    parser = argparse.ArgumentParser(prog='./dev fuzz', description='Runs the fuzz targets.')
    parser.add_argument('seconds', nargs='?', type=int, default=60, help='for each target (60)')
    parser.add_argument('targets', nargs='*', help='only these')
    parser.add_argument('--afl', action='store_true', help='by AFL++ instead of libFuzzer')
    parser.add_argument('--keep', action='store_true', help='make tests/fuzz/corpus anew from what was found')
    parser.add_argument('--long', action='store_true', help='45 minutes for whole stacks, 5 for the rest')
    parser.add_argument('--budget', type=int, help='with --long: seconds for all together')
    options = parser.parse_args()
    place = 'build-afl' if options.afl else 'build-fuzz'
    pattern = os.path.join(ROOT, place, 'tests', 'fuzz-*')
    programs = [path for path in sorted(glob.glob(pattern)) if os.path.isfile(path)]
    seconds = 0 if options.long else options.seconds
    targets = [Target(program, seconds, options.afl) for program in programs]
    targets = [t for t in targets if not options.targets or t.name in options.targets]
    if not targets:
        print(f'./dev fuzz: no such target; there are: {" ".join(os.path.basename(p)[5:] for p in programs)}')
        return 2
    workers = os.cpu_count() or 1
    if options.budget:
        share = options.budget * workers / sum(t.seconds for t in targets)
        for t in targets:
            t.seconds = max(1, int(t.seconds * share))
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    done = threading.Event()
    watcher = threading.Thread(target=progress, args=(targets, done, time.monotonic()))
    watcher.start()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(t.run) for t in sorted(targets, key=lambda t: -t.seconds)]:
            future.result()
        if options.keep and not options.afl and not STOP.is_set():
            list(pool.map(Target.keep_corpus, targets))
    done.set()
    watcher.join()
    tell(targets)
    return 1 if any(t.failed for t in targets) else 0


if __name__ == '__main__':
    sys.exit(main())
