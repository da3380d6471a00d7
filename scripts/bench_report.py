"""Says what `./dev bench` has measured: as text, as docs/bench/, and as README's table."""
import json
import os
import re

import bench_plot
from bench_rows import ENOUGH, MEMCPY_US, ROWS, W6_AT_MOST, column

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGES = os.path.join(ROOT, 'docs', 'bench')
BEGIN, END = '<!-- bench: begin, made by ./dev bench --keep -->', '<!-- bench: end -->'


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
        """The best of tern's own ways (lent bytes beside copied ones)."""
        ours = [line for line in self.stacks(name, case) if line['stack'].split('-')[0] == 'tern']
        of = next(r for r in ROWS if r.name == name)
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


def target_of(results, of, case):
    """(figure, words) of what is to be reached, or None."""
    if of.cases.get(case):
        return of.cases[case], f'{"at most" if of.less else "at least"} {figure(of.cases[case])}'
    limit = results.median(of.name, case, 'limit')
    if of.of_limit and limit:
        return of.of_limit * limit, f'{of.of_limit:.2f} of the limit'
    return None


def verdict(results, of, case):
    """'reached' or how far it is, in words; '' without a target or a figure."""
    ours, target = results.best(of.name, case), target_of(results, of, case)
    if ours is None or target is None:
        return ''
    share = times(of, ours['median'], target[0])
    return 'reached' if share >= 1 else f'{share:.2f} of it'


def title(of, case):
    return of.title + (f': {of.what.format(number(case))}' if of.what else '')


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
            print(f'\n{of.name}  {title(of, case)} [{of.unit}]')
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
    target = target_of(results, of, case)
    if target and ours:
        print(f'               target {target[1]}: {verdict(results, of, case)}')


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


def keep(machine, lines):
    """Writes the figures of this version, its page, its plots and README's table."""
    os.makedirs(PAGES, exist_ok=True)
    path = os.path.join(PAGES, f'{version()}.json')
    with open(path, 'w', encoding='utf-8') as file:
        for line in [{'machine': machine}, *lines]:
            file.write(json.dumps(line) + '\n')
    draw(machine, lines)


def draw(machine, lines):
    results = Results(lines)
    with open(os.path.join(PAGES, 'README.md'), 'w', encoding='utf-8') as file:
        file.write(page(machine, results))
    bench_plot.draw_all(results, PAGES)
    draw_readme(results)


def draw_readme(results):
    readme = os.path.join(ROOT, 'README.md')
    with open(readme, encoding='utf-8') as file:
        text = file.read()
    if BEGIN in text:
        head, rest = text.split(BEGIN, 1)
        text = head + BEGIN + '\n' + readme_table(results) + END + rest.split(END, 1)[1]
        with open(readme, 'w', encoding='utf-8') as file:
            file.write(text)


def short(value, of):
    """A figure as a table has room for it."""
    if of.unit in ('lives/cpu-s', 'SYN/cpu-s', 'requests/cpu-s'):
        if value >= 1e6:
            return f'{value / 1e6:.2f} M'
        return f'{value / 1e3:.0f} k' if value >= 1e4 else figure(value)
    return figure(value)


def cell(results, of, case, stack):
    line = results.get(of.name, case, stack)
    if line is None:
        return ''
    return short(line['median'], of) + ('' if counts(results, of, line) else ' (!)')


PEERS = ['lwip', 'gvisor', 'linux', 'nginx', 'limit']


def readme_table(results):
    text = '\n| | | tern | lwIP by hand | lwIP | gVisor | Linux | limit | target |\n'
    text += '|---|---|---|---|---|---|---|---|---|\n'
    for of in ROWS:
        for case in results.cases(of) if of.name != 'M' else []:
            if of.name == 'W3' and case not in of.cases:
                continue
            ours, target = results.best(of.name, case), target_of(results, of, case)
            tuned = results.tuned(of, case)
            row_ = [of.name + (f' {number(case)}' if case else ''), f'{of.title} ({of.unit})']
            row_ += [f'**{short(ours["median"], of)}**' if ours else '', short(tuned, of) if tuned else '']
            row_ += [cell(results, of, case, stack) for stack in ('lwip', 'gvisor', 'linux', 'limit')]
            row_ += [f'{target[1]}: {verdict(results, of, case)}' if target and ours else '']
            text += '| ' + ' | '.join(row_) + ' |\n'
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
    ours, target = results.best(of.name, case), target_of(results, of, case)
    text = f'{of.what.format(number(case))}\n\n' if of.what else ''
    text += f'| {of.unit} | median | (least to most) | x |\n|---|---|---|---|\n'
    for line in results.stacks(of.name, case):
        spread = f'{figure(line["min"])} to {figure(line["max"])}' if line['runs'] > 1 else ''
        mark = '' if counts(results, of, line) else ' (!)'
        ratio = ratio_text(of, ours, line).removeprefix('x ')
        text += f'| {line["stack"]} | {figure(line["median"])}{mark} | {spread} | {ratio} |\n'
    tuned = results.tuned(of, case)
    if tuned and ours:
        text += f'| lwIP by hand | {figure(tuned)} | scaled | {times(of, ours["median"], tuned):.2f} |\n'
    if target and ours:
        text += f'\nTarget: {target[1]}: {verdict(results, of, case)}.\n'
    return text + '\n'
