#!/usr/bin/env python3
"""Runs the workloads with tern and its peers in turn, in one run on the same core; called by `./dev bench`.

    ./dev bench [ROW...] [--runs N] [--seconds S] [--long] [--json] [--only STACK] [--core N] [--keep]

Each program measures once (bench/README.md); this one lets all that take part in a row play one after the
other, N times over (5), and says medians with the least and the most, and tern's ratio to each first: the
median of the ratios of single rounds, so a machine whose speed changes does not matter. With --json a line
for each stack, case and row. --long adds what takes minutes. --keep writes docs/bench/VERSION.json and draws
the page and README's table from it. Ctrl-C ends it with what is known by then. Exit code 0: measured, 2:
could not be."""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

import bench_machine
import bench_report
from bench_rows import ROWS, row

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATIENCE = 240  # seconds that a run may take besides what it measures
PATIENCE_LONG = 900
SIZES = {  # of those that count work instead of time
    'records': {'bench': 200000, 'smoke': 2000},  # W3: near the worst moment of the tables' growth
    'many': {'bench': 1000000, 'smoke': 1000},
}
SINGLE = 'one by one '  # of a case: the same without batches
SMOKE_SECONDS = 0.02
TUN = '/dev/net/tun'
RUNNING = []


class Ended(Exception):
    """Somebody wants no more."""


def options_of(argv):
    parser = argparse.ArgumentParser(prog='./dev bench')
    parser.add_argument('rows', nargs='*', metavar='ROW', help='W1, W2c, ...; all when none is named')
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=0.4, help='of each run (0.4)')
    parser.add_argument('--only', action='append', default=[], metavar='STACK', help='tern, lwip, ...')
    parser.add_argument('--core', type=int, help='which core (the last)')
    parser.add_argument('--long', action='store_true', help='also what takes minutes')
    parser.add_argument('--json', action='store_true', help='one object a line')
    parser.add_argument('--keep', action='store_true', help='into docs/bench and README.md')
    parser.add_argument('--smoke', action='store_true', help='a moment of each, as a test (TAP)')
    parser.add_argument('--build', default='build-bench', help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    unknown = [name for name in options.rows if row(name) is None]
    if unknown or options.runs < 1 or options.seconds <= 0:
        parser.error(f'there is no row {unknown[0]}' if unknown else 'runs and seconds must be more than 0')
    cores = sorted(os.sched_getaffinity(0))
    if options.core is None:
        options.core = cores[-1]
    if options.core not in cores:
        parser.error(f'there is no core {options.core}')
    return options


# --- one run of one program -----------------------------------------------------------------------


def sizes_line(line):
    """`tern bench sizes` says more than a row: its worst moment counts."""
    cases = {'halfopen': 'half-open', 'idle': 'established', 'timewait': 'time-wait'}
    return {
        'workload': 'W3',
        'case': cases[line['record']] + (' IPv6' if line['ip'] == 6 else ''),
        'stack': 'tern',
        'unit': 'bytes',
        'value': line['worst_bytes'],
    }


def lines_of(text):
    """The results among the lines of a program."""
    for line in text.split('\n'):
        try:
            said = json.loads(line) if line.startswith('{') else {}
        except json.JSONDecodeError:
            continue
        if 'record' in said and 'worst_bytes' in said:
            said = sizes_line(said)
        if 'value' not in said and 'median' in said:
            said['value'] = said['median']
        if str(said.get('case', '')).startswith(SINGLE):
            said.update(case=said['case'].removeprefix(SINGLE), stack=said['stack'] + '-single')
        if 'workload' in said and 'value' in said:
            of = row(said['workload'])
            said['case'] = str(said.get('case', '')) if of and list(of.cases) != [''] else ''
            yield said


def play(player, options, log):
    """The results of one run; what the program says besides goes to the log."""
    values = {name: str(sizes['smoke' if options.smoke else 'bench']) for name, sizes in SIZES.items()}
    values.update(seconds=str(options.seconds), core=str(options.core))
    argv = [path_of(player, options)]
    argv += [argument.format(**values) for argument in player.arguments]
    process = subprocess.Popen(
        argv,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {options.core}) if not player.pins else None,
    )
    RUNNING.append(process)
    try:
        text, _ = process.communicate(timeout=PATIENCE_LONG if options.long else PATIENCE)
    except subprocess.TimeoutExpired:
        text = ''
        print(f'{player.program}: ended after its time', file=log)
    finally:
        end(process)
    return list(lines_of(text))


def end(process):
    """Ends a run with all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    RUNNING.remove(process)


# --- all of them -----------------------------------------------------------------------------------


class Progress:
    """A line that is written again on a terminal, and now and then a line elsewhere."""

    def __init__(self, total):
        self.total, self.done, self.began, self.said = total, 0, time.monotonic(), 0
        self.terminal = sys.stderr.isatty()

    def tell(self, words):
        now = time.monotonic()
        left = (now - self.began) / self.done * (self.total - self.done) if self.done else 0
        text = f'bench: {self.done}/{self.total}, about {left:.0f} s left: {words}'
        if self.terminal:
            sys.stderr.write('\r\033[K' + text[:100])
        elif now - self.said >= 10:
            sys.stderr.write(text + '\n')
            self.said = now
        sys.stderr.flush()

    def clear(self):
        if self.terminal:
            sys.stderr.write('\r\033[K')
            sys.stderr.flush()


def wanted(options):
    """[(row, [player])] of what is there and asked for; the speed of memcpy is always known."""
    for of in ROWS:
        if options.rows and of.name not in options.rows and of.name != 'M':
            continue
        there = [p for p in of.players if is_there(p, options)]
        if options.only:
            there = [p for p in there if of.name == 'M' or stack_of(p) in options.only]
        yield of, there


def path_of(player, options):
    return os.path.join(ROOT, '' if '/' in player.program else options.build, player.program)


def is_there(player, options):
    installed = not player.needs or shutil.which(player.needs, path=os.environ['PATH'] + ':/usr/sbin')
    return installed and os.path.exists(path_of(player, options)) and (options.long or not player.long)


def stack_of(player):
    """Whom a program measures first of all: peers are called after their stack."""
    kind, _, name = player.program.partition('-')
    if '/' in player.program:
        return os.path.basename(player.program).removesuffix('.py')
    return ('limit' if name == 'limits' else name) if kind == 'peer' else 'tern'


def measure(options, log):
    """{(row, case, stack): (unit, {round: value})}; and whether all was played."""
    found, plan = {}, list(wanted(options))
    progress = Progress(sum(1 if p.once else options.runs for _, players in plan for p in players))
    try:
        for of, players in plan:
            for turn in range(options.runs):
                for player in players:
                    if player.once and turn > 0:
                        continue
                    progress.tell(f'{of.name} {player.program}')
                    for said in play(player, options, log):
                        key = (said['workload'], said['case'], said['stack'])
                        entry = found.setdefault(key, (said.get('unit', ''), {}))
                        entry[1][turn] = said['value']
                    progress.done += 1
    except (KeyboardInterrupt, Ended):
        return found, False
    finally:
        progress.clear()
    return found, True


def summary(found):
    """One object for each row, case and stack, in the order of the rows."""
    order = {of.name: n for n, of in enumerate(ROWS)}
    lines = []
    for (name, case, stack), (unit, rounds) in found.items():
        if row(name) is None:
            continue
        values = list(rounds.values())
        line = {'workload': name, 'case': case, 'stack': stack, 'unit': unit}
        line.update(median=statistics.median(values), min=min(values), max=max(values), runs=len(values))
        ours = found.get((name, case, 'tern'), ('', {}))[1]
        ratios = [ours[turn] / value for turn, value in rounds.items() if turn in ours and value > 0]
        if len(rounds) == 1 and ours:  # measured once: against the median
            ratios = [statistics.median(ours.values()) / values[0]]
        if ratios and stack != 'tern':
            line['tern_ratio'] = round(statistics.median(ratios), 4)
        lines.append(line)
    cases = {of.name: list(of.cases) for of in ROWS}

    def place(line):
        known = cases[line['workload']]
        case = known.index(line['case']) if line['case'] in known else len(known)
        return (order[line['workload']], case, line['case'], line['stack'] != 'tern', line['stack'])

    return sorted(lines, key=place)


def smoke(options, log):
    """Each program says its figures: one case a row and program, as TAP."""
    number, failed = 0, 0
    for of, players in wanted(options):
        for player in players:
            number += 1
            if player.tun and (os.geteuid() != 0 or not os.path.exists(TUN)):
                print(f'ok {number} - {of.name} {player.program} # skip not root, or no TUN device')
                continue
            said = [line for line in play(player, options, log) if line['workload'] == of.name]
            units = {line['unit'] for line in said}
            good = said and all(line['value'] > 0 for line in said) and (not of.unit or units == {of.unit})
            failed += not good
            print(f'{"ok" if good else "not ok"} {number} - {of.name} {player.program}', flush=True)
    print(f'1..{number}')
    return 1 if failed else 0


def stop(_number, _frame):
    raise Ended


def main(argv):
    options = options_of(argv)
    if options.smoke:
        options.runs, options.seconds = 1, SMOKE_SECONDS
    signal.signal(signal.SIGTERM, stop)
    logs = os.path.join(ROOT, options.build, 'bench.log')
    with open(logs, 'w', encoding='utf-8') as log:
        if options.smoke:
            return smoke(options, log)
        found, whole = measure(options, log)
    if not found:
        print(f'bench: nothing was measured; what the programs said is in {logs}', file=sys.stderr)
        return 2
    machine, lines = bench_machine.describe(), summary(found)
    if options.json:
        for line in [{'machine': machine}, *lines]:
            print(json.dumps(line))
    else:
        bench_report.print_text(machine, lines)
    if options.keep and whole:
        bench_report.keep(machine, lines)
    if not whole:
        print('bench: ended early; this is what was measured by then', file=sys.stderr)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
