"""Says what `./dev bench` has measured: as text, as docs/bench/, and as README's table."""
import json
import os
import re

import bench_plot
import bench_where
from bench_rows import ENOUGH, MEMCPY_US, ROWS, W6_AT_MOST, column

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# the tables of where time goes: {work of bench_counts: (row, case, nanoseconds of a unit at that figure)}
WHERE = {
    'life': ('W2', '', lambda lives: 1e9 / lives),
    'bulk': ('W1', '64', lambda gbit: 1460 * 8 / gbit),
}
PAGES = os.path.join(ROOT, 'docs', 'bench')
MARK = '<!-- %s: begin, made by ./dev bench --keep -->', '<!-- %s: end -->'


def figure(value):
    """Three digits, or a whole number with its thousands apart."""
    if value >= 1000:
        return f'{value:,.0f}'
    return f'{value:.0f}' if value >= 100 else f'{value:.1f}' if value >= 10 else f'{value:.2f}'


class Results:
    """What was measured, to be asked by row, case and stack."""

    def __init__(self, lines):
        self.lines = lines
        self.by_key = {(line['workload'], line['case'], line['stack']): line for line in lines}

    def get(self, name, case, stack):
        return self.by_key.get((name, case, stack))

    def median(self, name, case, stack):
        line = self.get(name, case, stack)
        return line['median'] if line else None

    def cases(self, of):
        """Those of the row first, then those that a program has added."""
        seen = list(of.cases)
        seen += [line['case'] for line in self.lines if line['workload'] == of.name]
        return [
            case
            for case in dict.fromkeys(seen)
            if any(line['workload'] == of.name and line['case'] == case for line in self.lines)
        ]

    def unit(self, of, case):
        return of.unit or next(line['unit'] for line in self.stacks(of.name, case))

    def stacks(self, name, case):
        return [line for line in self.lines if (line['workload'], line['case']) == (name, case)]

    def speed(self):
        """How fast this machine's memcpy is against the one of the columns."""
        here = self.median('M', '', 'limit')
        return MEMCPY_US / here if here else 1.0

    def tuned(self, of, case):
        """lwIP as tuned by hand elsewhere, scaled to this machine."""
        there = of.tuned.get(case)
        return there * (self.speed() if of.scales else 1.0) if there else None

    def best(self, name, case):
        """The best of tern's own ways (lent bytes beside copied ones), or the plain one where that counts."""
        ours = [line for line in self.stacks(name, case) if line['stack'].split('-')[0] == 'tern']
        of = next(r for r in ROWS if r.name == name)
        if of.each:
            return self.get(name, case, 'tern')
        return sorted(ours, key=lambda line: line['median'] * (1 if of.less else -1))[0] if ours else None


def counts(results, of, line):
    """Whether a peer's figure counts: it reaches ENOUGH of its column, scaled."""
    there = column(of, line['stack'], line['case'])
    if there is None or line['stack'] == 'limit':
        return True
    scale = results.speed() if of.scales else 1.0
    reached = there / line['median'] if of.less else line['median'] / (there * scale)
    return reached >= ENOUGH


def times(of, ours, theirs):
    """How many times as good as the other."""
    return theirs / ours if of.less else ours / theirs


def targets_of(results, of, case):
    """[(figure, what it is)] of what is to be reached: a figure, a share of the limit, or both."""
    found, limit = [], results.median(of.name, case, 'limit')
    if of.cases.get(case):
        found.append((of.cases[case], f'at {"most" if of.less else "least"} {short(of.cases[case], of)}'))
    if of.of_limit and limit:
        found.append((of.of_limit * limit, f'{of.of_limit:.2f} of the limit'))
    return found


def target_text(results, of, case):
    return ' and '.join(words for _, words in targets_of(results, of, case))


def verdict(results, of, case):
    """'reached', or which share of each target is; '' without a target or a figure."""
    ours, targets = results.best(of.name, case), targets_of(results, of, case)
    if ours is None or not targets:
        return ''
    shares = [times(of, ours['median'], figure_) for figure_, _ in targets]
    if min(shares) >= 1:
        return 'reached'
    return ', '.join('reached' if share >= 1 else f'{share:.0%} of it' for share in shares)


def title(of, case):
    return of.title + (f': {of.what.format(number(case))}' if of.what and case else '')


def number(case):
    return f'{int(case):,}' if case.isdigit() else case


# --- text ------------------------------------------------------------------------------------------


def ratio_text(of, ours, line):
    if ours is None or line['stack'].split('-')[0] == 'tern':
        return ''
    ratio = line.get('tern_ratio')
    share = (1 / ratio if of.less else ratio) if ratio else times(of, ours['median'], line['median'])
    return f'x {share:.2f}' if share < 100 else f'x {share:,.0f}'


def print_text(machine, lines):
    results = Results(lines)
    print(f'{machine["cpu"]}, {machine["cores"]} cores, Linux {machine["kernel"]}, {machine["system"]}')
    print(f'memcpy of 64 KiB: {figure(MEMCPY_US / results.speed())} us; x is how many times as good tern is')
    for of in ROWS:
        for case in results.cases(of) if of.name != 'M' else []:
            print(f'\n{of.name}  {title(of, case)} [{results.unit(of, case)}]')
            print_case(results, of, case)
    for words in [w6_words(results)]:
        if words:
            print('\nW6  ' + words)


def print_case(results, of, case):
    ours = results.best(of.name, case)
    for line in results.stacks(of.name, case):
        spread = f'{figure(line["min"])} to {figure(line["max"])}' if line['runs'] > 1 else 'one run'
        note = '' if counts(results, of, line) else '  below 0.8 of its column: does not count'
        print(
            f'    {ratio_text(of, ours, line):>9}  {line["stack"]:16}{figure(line["median"]):>12}  '
            f'({spread}){note}'
        )
    tuned = results.tuned(of, case)
    if tuned and ours:
        ratio = f'x {times(of, ours["median"], tuned):.2f}'
        print(f'    {ratio:>9}  {"lwip by hand":16}{figure(tuned):>12}  (scaled)')
    if verdict(results, of, case):
        print(f'               target {target_text(results, of, case)}: {verdict(results, of, case)}')


def w6_words(results):
    first, last = results.median('W6', '1000', 'tern'), results.median('W6', '10000000', 'tern')
    if not first or not last:
        return ''
    word = 'reached' if last / first <= W6_AT_MOST else 'not reached'
    return f'10 million connections cost {last / first:.2f} times what 1,000 do (target {W6_AT_MOST}: {word})'


# --- pages -----------------------------------------------------------------------------------------


def version():
    with open(os.path.join(ROOT, 'meson.build'), encoding='utf-8') as file:
        return re.search(r"version: '([^']+)'", file.read()).group(1)


def kept(path, measured):
    """What an earlier run has kept of the rows that were not measured now."""
    if not os.path.exists(path):
        return []
    with open(path, encoding='utf-8') as file:
        old = [json.loads(line) for line in file]
    return [line for line in old if 'workload' in line and line['workload'] not in measured]


def keep(machine, lines):
    """Writes the figures of this version, its page, its plots and README's table. Rows that were not measured
    now stay as they were; each line says which commit it is of."""
    os.makedirs(PAGES, exist_ok=True)
    path = os.path.join(PAGES, f'{version()}.json')
    order = [of.name for of in ROWS]
    lines = [{**line, 'commit': machine['commit']} for line in lines]
    lines += kept(path, {line['workload'] for line in lines})
    lines.sort(key=lambda line: order.index(line['workload']))
    with open(path, 'w', encoding='utf-8') as file:
        for line in [{'machine': machine}, *lines]:
            file.write(json.dumps(line) + '\n')
    draw(machine, lines)


def draw(machine, lines):
    results = Results(lines)
    with open(os.path.join(PAGES, 'README.md'), 'w', encoding='utf-8') as file:
        file.write(page(machine, results))
    bench_plot.draw_all(results, PAGES)
    replace('README.md', 'bench', readme_table(results))
    replace('docs/PERFORMANCE.md', 'targets', targets_table(machine, results))
    for name, (workload, case, per) in WHERE.items():
        ours = results.best(workload, case)
        rows = bench_where.where('build', name)
        replace('docs/PERFORMANCE.md', name, bench_where.table(rows, per(ours['median']) if ours else None))


def replace(path, what, text):
    """Puts a made text between its marks; a page without them stays as it is."""
    path = os.path.join(ROOT, path)
    begin, end = (mark % what for mark in MARK)
    with open(path, encoding='utf-8') as file:
        old = file.read()
    if begin not in old:
        return
    head, rest = old.split(begin, 1)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(f'{head}{begin}\n{text}{end}{rest.split(end, 1)[1]}')


def targets_table(machine, results):
    text = f'\n{machine["date"]}, {machine["cpu"]}, {machine["cores"]} cores, commit {machine["commit"]}.\n\n'
    text += '| | measured | target | | the best of the others | |\n|---|---|---|---|---|---|\n'
    for of in ROWS:
        for case in results.cases(of):
            ours = results.best(of.name, case)
            if not verdict(results, of, case):
                continue
            others = [
                (times(of, ours['median'], line['median']), line['stack'], line['median'])
                for line in results.stacks(of.name, case)
                if line['stack'].split('-')[0] not in ('tern', 'limit') and counts(results, of, line)
            ]
            if results.tuned(of, case):
                tuned = results.tuned(of, case)
                others.append((times(of, ours['median'], tuned), 'lwIP by hand', tuned))
            least = min(others, default=None)
            beside = f'{short(least[2], of)} ({least[1]}) | x {least[0]:.2f}' if least else ' | '
            name = f'{of.name} {number(case)}'.strip()
            words = f'{target_text(results, of, case)} | {verdict(results, of, case)}'
            measured = f'{short(ours["median"], of)} {ours["unit"]}{way(ours)}'
            text += f'| {name} | {measured} | {words} | {beside} |\n'
    if w6_words(results):
        text += f'\nW6: {w6_words(results)}.\n'
    return text + '\n'


def short(value, of):
    """A figure as a table has room for it."""
    if of.unit in ('', 'lives/cpu-s', 'requests/cpu-s'):
        if value >= 1e6:
            return f'{value / 1e6:.2f} M'
        return f'{value / 1e3:.0f} k' if value >= 1e4 else figure(value)
    return figure(value)


def cell(results, of, case, stack):
    line = results.get(of.name, case, stack)
    if line is None:
        return ''
    return short(line['median'], of) + ('' if counts(results, of, line) else ' (!)')


def way(line):
    """Which of tern's ways a figure is of, when it is not the plain one."""
    return '' if line['stack'] == 'tern' else f' ({line["stack"].split("-", 1)[1]})'


def readme_table(results):
    text = '\n| | | tern | lwIP by hand | lwIP | gVisor | Linux | limit | target |\n'
    text += '|---|---|---|---|---|---|---|---|---|\n'
    for of in ROWS:
        what = f'{of.title}{f" ({of.unit})" if of.unit else ""}'
        for case in results.cases(of) if of.name != 'M' else []:
            if of.name in ('W3', 'scale') and case not in of.cases:
                continue
            ours, tuned = results.best(of.name, case), results.tuned(of, case)
            cells = [f'{of.name} {number(case)}'.strip(), what]
            cells += [f'**{short(ours["median"], of)}**{way(ours)}' if ours else '']
            cells += [short(tuned, of) if tuned else '']
            cells += [cell(results, of, case, stack) for stack in ('lwip', 'gvisor')]
            cells += [cell(results, of, case, 'linux') or cell(results, of, case, 'nginx')]
            cells += [cell(results, of, case, 'limit')]
            reached = verdict(results, of, case)
            cells += [f'{target_text(results, of, case)}: {reached}' if reached else '']
            text += '| ' + ' | '.join(cells) + ' |\n'
            what = ''
    return text + '\n'


def page(machine, results):
    packages = ', '.join(f'{name} {found}' for name, found in sorted(machine['packages'].items()))
    cores = f'{machine["cores"]} {"virtual " if machine["virtual"] else ""}cores'
    runs = max((line['runs'] for line in results.lines), default=0)
    text = f"""# tern {version()} beside its peers

Made by `./dev bench --keep` on {machine['date']} from commit {machine['commit']}; the figures as JSON, an
object a line: [{version()}.json]({version()}.json). What they mean, and where the time goes:
[PERFORMANCE.md](../PERFORMANCE.md).

The machine: {machine['cpu']}, {cores}, {machine['memory_gib']} GiB,
Linux {machine['kernel']}, {machine['system']};
{packages}.
64 KiB in the cache are copied in {figure(MEMCPY_US / results.speed())} us.

Every stack takes its turn in one run on one core, {runs} times over: medians, in brackets the least and the
most. x is how many times as good as the other tern is: the median of the ratios of single rounds. "lwIP by
hand" is the figure of a tuned build that nobody packages, measured elsewhere and scaled by memcpy. (!): below
0.8 of what that peer is known to reach, so its figure does not count.

![how many times as good as each peer](ratios.svg)
"""
    for of in ROWS:
        cases = results.cases(of) if of.name != 'M' else []
        if cases:
            text += f'\n## {of.name}: {of.title}\n\n'
        if cases and of.name == 'W6':
            words = w6_words(results)
            text += '![cost against N](w6.svg)\n\n' + (f'{words}.\n\n' if words else '')
        for case in cases:
            text += page_case(results, of, case)
    return text


def page_case(results, of, case):
    ours = results.best(of.name, case)
    text = f'{of.what.format(number(case))}\n\n' if of.what and case else ''
    text += f'| {results.unit(of, case)} | median | (least to most) | x |\n|---|---|---|---|\n'
    for line in results.stacks(of.name, case):
        spread = f'{figure(line["min"])} to {figure(line["max"])}' if line['runs'] > 1 else ''
        mark = '' if counts(results, of, line) else ' (!)'
        ratio = ratio_text(of, ours, line).removeprefix('x ')
        text += f'| {line["stack"]} | {figure(line["median"])}{mark} | {spread} | {ratio} |\n'
    tuned = results.tuned(of, case)
    if tuned and ours:
        text += f'| lwIP by hand | {figure(tuned)} | scaled | {times(of, ours["median"], tuned):.2f} |\n'
    if verdict(results, of, case):
        text += f'\nTarget: {target_text(results, of, case)}: {verdict(results, of, case)}.\n'
    return text + '\n'
