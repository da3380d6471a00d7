"""Which ring of tests notices which mutant: played, kept, and written to docs/MUTANTS.md. Used by mutate.py.

What a ring said of a mutant is kept in build/mutants/table.json, so that an interrupted table goes on where
it was. It holds until the mutant's own lines change, or what the ring is asked; `--fresh` plays all again:
for when the core or the tests around have changed much."""
import json
import os

from csource import ROOT
from mutant_build import PLACE, Missing, digest
from mutants import FOLDER

PAGE = os.path.join(ROOT, 'docs', 'MUTANTS.md')
KEPT = os.path.join(PLACE, 'table.json')
SIMULATION_SECONDS = 3  # of processor time
EXPLORER_WORLDS = 300  # of each setting, and
EXPLORER_PROBES = 4  # in each of them; in the first ones all
EXPLORER_SECONDS = 10
WHOLE_STACKS = ['stack', 'twin', 'joined', 'records']  # fuzz targets
CORPUS_SECONDS = 20  # of processor time, for each of them
MORE = 5  # who takes longer does not end, which is noticed too
SIGN = r'seed \d+ fails|[1-9][0-9,]* violations'  # something was found; its story is not waited for


class TestRing:
    """Tests of some suites, cheapest first, those that the mutant names before all."""

    def __init__(self, tests, name, what, chosen):
        self.tests, self.name, self.what, self.chosen = tests, name, what, chosen
        self.mark = name

    def check_ready(self):
        for test in self.chosen:
            if self.tests.run(test).failed:
                raise Missing(f'{test} fails without a mutant, too')

    def caught_by(self, mutant, library):
        named = [test for test, _ in mutant.killers if test in self.chosen]
        for test in [*named, *(t for t in self.chosen if t not in named)]:
            if self.tests.run(test, library).failed:
                return test
        return ''


class CommandRing:
    """A subcommand of tern that searches by itself for a bounded time, and says by its exit code."""

    def __init__(self, tests, name, what, words, seconds):
        self.tests, self.name, self.what = tests, name, what
        self.words, self.seconds = words, seconds
        self.mark = ' '.join(words)

    def check_ready(self):
        if self.tests.play([self.tests.executable('tern'), self.words[0], '--help'], '', MORE).failed:
            raise Missing(f'there is no `tern {self.words[0]}`')

    def caught_by(self, _mutant, library):
        argv = [self.tests.executable('tern'), *self.words]
        return self.words[0] if self.tests.finds(argv, library, self.seconds + MORE, SIGN) else ''


class CorpusRing:
    """What fuzzing has kept of each of these targets is played again, without a search."""

    def __init__(self, tests, name, what, targets):
        self.tests, self.name, self.what, self.targets = tests, name, what, targets
        self.mark = ' '.join(targets)

    def replayed(self, target, library=''):
        corpus = os.path.join('tests', 'fuzz', 'corpus', target)
        argv = [self.tests.executable(f'tests/fuzz-{target}'), corpus, '0']
        return self.tests.play(argv, library, CORPUS_SECONDS)

    def check_ready(self):
        for target in self.targets:
            if self.replayed(target).failed:
                raise Missing(f'fuzz/{target} fails without a mutant, too')

    def caught_by(self, _mutant, library):
        return next((t for t in self.targets if self.replayed(t, library).failed), '')


def rings(tests):
    """In the order of the page's columns."""

    def suite(*names):
        return [name for name in tests.names() if name.split('/')[0] in names]

    script = TestRing(
        tests,
        'conversations',
        'one stack, the test plays its peer: `tests/conv`, and `tern check` of `tests/conversations`',
        suite('conv', 'check'),
    )
    matrix = TestRing(
        tests, 'matrix', 'each state with each segment and call', suite('matrix')
    )
    simulation = CommandRing(
        tests,
        'simulation',
        f'`tern sim --check 4`, seeds from 1 on, {SIMULATION_SECONDS} s of processor time',
        ['sim', '--runs', '1000000', '--check', '4', '--seconds', str(SIMULATION_SECONDS)],
        SIMULATION_SECONDS,
    )
    explorer = CommandRing(
        tests,
        'explorer',
        f'`tern explore --probes {EXPLORER_PROBES}`, at most {EXPLORER_WORLDS} worlds of each setting',
        ['explore', '--threads', '1', '--limit', str(EXPLORER_WORLDS), '--probes', str(EXPLORER_PROBES)],
        EXPLORER_SECONDS,
    )
    fuzzing = CorpusRing(
        tests,
        'fuzzing',
        f'the corpora of {", ".join("`fuzz-" + t + "`" for t in WHOLE_STACKS)}, without a search',
        WHOLE_STACKS,
    )
    return [script, matrix, simulation, explorer, fuzzing]


class Kept:
    """What is known already."""

    def __init__(self):
        try:
            with open(KEPT, encoding='utf-8') as file:
                self.known = json.load(file)
        except (OSError, ValueError):
            self.known = {}

    def get(self, ring, mutant, mark):
        entry = self.known.get(f'{ring.name} {mutant.name}')
        return entry['by'] if entry and entry['mark'] == mark else None

    def put(self, ring, mutant, mark, by):
        self.known[f'{ring.name} {mutant.name}'] = {'mark': mark, 'by': by}
        part = KEPT + '.part'
        with open(part, 'w', encoding='utf-8') as file:
            json.dump(self.known, file, indent=0)
        os.replace(part, KEPT)


def play(shop, tests, found, fresh, step):
    """{(ring, mutant): who caught it, '' = nobody}; `step` is called after each."""
    kept, known = Kept(), {}
    for ring in rings(tests):
        ring.check_ready()
        for mutant in found:
            mark = digest(mutant.diff, ring.mark)
            by = None if fresh else kept.get(ring, mutant, mark)
            if by is None:
                library = shop.library(mutant)
                by = ring.caught_by(mutant, library)
                kept.put(ring, mutant, mark, by)
            known[ring.name, mutant.name] = by
            step(f'{ring.name}: {mutant.name}')
    return known


def gather(tests, found):
    """What is known already, of the same shape; what nobody has asked yet is left out."""
    kept, known = Kept(), {}
    for ring in rings(tests):
        for mutant in found:
            by = kept.get(ring, mutant, digest(mutant.diff, ring.mark))
            if by is not None:
                known[ring.name, mutant.name] = by
    return known


# --- the page ---------------------------------------------------------------------------------------


def share(columns, found, known):
    for ring in columns:
        asked = [known[ring.name, m.name] for m in found if (ring.name, m.name) in known]
        n = sum(1 for by in asked if by)
        of = f' of {len(asked)}' if len(asked) < len(found) else ''
        yield f'{n}{of} ({100 * n // max(1, len(asked))}%)' if asked else 'not asked'


def mark_of(by):
    return '  |' if by is None else ' ✓ |' if by else ' – |'


def lines(columns, found, known):
    caught = sum(1 for m in found if any(known.get((ring.name, m.name)) for ring in columns))
    yield from (
        '# Mutants',
        '',
        'Made by `./dev mutate --table`; do not edit.',
        '',
        f'{len(found)} small faults, one at a time, in the sources of the core',
        '([tests/mutants](../tests/mutants/README.md)). Each makes the test fail that it names.',
        'Here each ring of tests is asked alone, for a bounded time (✓ noticed, – not, empty: not asked):',
        '',
    )
    yield from (f'- **{ring.name}**: {ring.what}' for ring in columns)
    yield from ('', '| |' + ''.join(f' {ring.name} |' for ring in columns) + ' any |')
    yield '|---|' + '---|' * (len(columns) + 1)
    yield '| caught |' + ''.join(f' {s} |' for s in share(columns, found, known)) + f' {caught} |'
    yield from ('', '| mutant | what is wrong | named test |' + ''.join(f' {r.name} |' for r in columns))
    yield '|---|---|---|' + '---|' * len(columns)
    for m in sorted(found, key=lambda m: m.name):
        ticks = ''.join(mark_of(known.get((ring.name, m.name))) for ring in columns)
        named = ', '.join('`' + ' '.join(killer).strip() + '`' for killer in m.killers)
        file = os.path.relpath(os.path.join(FOLDER, m.name + '.patch'), os.path.dirname(PAGE))
        yield f'| [{m.name}]({file}) | {m.what.replace("|", chr(92) + "|")} | {named} |{ticks}'


def write(tests, found, known):
    with open(PAGE, 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines(rings(tests), found, known)) + '\n')
