"""What the sources say about the standards: which place follows which section, and which code, test and
fault belongs to which requirement. Used by rfc_index.py, which makes docs/RFC.md of it.

Sections are cited as `RFC 9293 3.10.7.4`, `RFC 5961 3.2, 4.2`, `9293 3.6.1` (in tables). Requirements are
cited by their ids: `MUST-23`, `SHLD-14` of RFC 9293, `RFC5961-3.2-a` of the others (`RFC5961-3.2-abc` is
short for three of them). A comment at file scope belongs to the function below it."""
import os
import re

from csource import ROOT, Source, read, walk

TABLES = ('docs/requirements.tsv', 'docs/requirements-more.tsv')
REASONS = 'docs/requirements-not-ours.tsv'
CODE = ['include', 'src', 'link', 'host', 'sim', 'cli', 'examples']
CORE = ('src/', 'link/', 'host/')  # where a requirement is met; a public header only promises it
SCRIPTS = 'tests/conversations'
MUTANTS = 'tests/mutants'

SECTION = r'(?:[1-9]\d?|[A-F])(?:\.\d+)+|[1-9]\d?(?![\w.-])|[A-F](?![\w-])'
CITATION = re.compile(
    r'\b(?:RFC\s?(\d{3,5})(?!\d|-\d)|(9293))'
    r'((?:(?:,|;| and| to)?\s*(?:section|sect\.|§)?\s*(?:'
    + SECTION
    + r')(?![\d]|\s*(?:ms|us|s|bytes|minutes)\b))*)'
)
IDENT = re.compile(r'\b(?:(?:MUST|SHLD|MAY|REC)-\d+|RFC\d+-(?:\d+\.)*\d+-[a-z]+)\b')
TEST_ENTRY = re.compile(r'\b(?:LAB_TEST|cmocka_unit_test\w*)\(\s*(\w+)')
RESULT_OF_LEVEL = {'MUST': 'MUST', 'MUST NOT': 'MUST', 'SHOULD': 'SHOULD', 'SHOULD NOT': 'SHOULD'}


class Requirement:
    """One row of a table: what an RFC asks."""

    def __init__(self, rfc, ident, level, section, what):
        self.rfc, self.ident, self.level, self.section, self.what = rfc, ident, level, section, what
        self.reason = None  # (kind, why) when it is not met, or not as the text asks

    @property
    def rank(self):
        return RESULT_OF_LEVEL.get(self.level, 'MAY')

    @property
    def owed(self):
        """Whether code must perform it and a test show it."""
        return self.reason is None or self.reason[0] == 'differs'

    @property
    def owes_mutant(self):
        return self.reason is None and self.rank == 'MUST'


class Place:
    """Where something is cited. `kind`: code, promise (a public header), test, help (of tests), mutant."""

    def __init__(self, kind, path, line, name=''):
        self.kind, self.path, self.line, self.name = kind, path, line, name

    @property
    def key(self):
        return (self.kind, self.path, self.name)


def table_rows(path):
    if not os.path.exists(os.path.join(ROOT, path)):
        return []
    return [line.split('\t') for line in read(path).rstrip('\n').split('\n')[1:]]


def requirements():
    """All of them by id, in the order of the tables."""
    found = {}
    for path in TABLES:
        for row in table_rows(path):
            rfc = int(re.match(r'RFC(\d+)', row[0]).group(1)) if row[0].startswith('RFC') else 9293
            found[row[0]] = Requirement(rfc, row[0], row[1], row[2], row[-1])
    return found


def reasons():
    """(id or RFC, kind, why) for what is not met, or not as the text asks."""
    return [tuple(row) for row in table_rows(REASONS)]


def idents(text):
    """(offset, id) for each id that a text names, short forms written out."""
    for match in IDENT.finditer(text):
        head, _, letters = match.group().rpartition('-')
        if letters.isdigit():
            yield match.start(), match.group()
        else:
            for letter in letters:
                yield match.start(), f'{head}-{letter}'


def joined(text):
    """A citation may be broken over two lines of a comment."""
    return re.sub(r'\n(\s*)\*(?!/)', lambda m: ' ' + ' ' * len(m.group(1)) + ' ', text)


def sections_cited(text):
    """(offset, RFC, section) for each citation; a requirement's id cites its section too."""
    for match in CITATION.finditer(text):
        number, sections = match.group(1) or match.group(2), re.findall(SECTION, match.group(3) or '')
        if match.group(2) and not any('.' in s for s in sections):
            continue  # a bare 9293 is a number like any other
        for section in sections or ['']:
            yield match.start(), int(number), section
    for offset, ident in idents(text):
        if ident.startswith('RFC'):
            number, section, _ = ident.split('-')
            yield offset, int(number[3:]), section


class Index:
    """Everything that is cited: `sections[(rfc, section)]` and `places[id]`, each a list of Place."""

    def __init__(self):
        self.sections, self.places = {}, {}
        self._seen = set()
        for path in walk(CODE, ['.c', '.h', '.def', '.tsv']):
            self._read_code(path)
        for path in walk(['tests'], ['.c', '.h', '.tsv']):
            self._read_test(path)
        for path in walk([SCRIPTS], ['.pkt']):
            self._read_script(path)
        self.mutants = [Mutant(path) for path in walk([MUTANTS], ['.patch'])]
        for mutant in self.mutants:
            for ident in mutant.shows:
                self._add(self.places, ident, Place('mutant', mutant.path, 1, mutant.name))

    def _add(self, table, what, place):
        if (id(table), what, place.key) not in self._seen:  # the first line of a function that names it
            self._seen.add((id(table), what, place.key))
            table.setdefault(what, []).append(place)

    def _read_code(self, path):
        source, kind = Source(path), 'code' if path.startswith(CORE) else 'promise'
        text = joined(source.text)
        for offset, number, section in sections_cited(text):
            self._add(self.sections, (number, section), place_of(source, offset, kind))
        if not path.startswith(('include/',) + CORE):
            return  # the models of sim/ and the command follow the standard, they are not tern's TCP
        for offset, ident in idents(text):
            self._add(self.places, ident, place_of(source, offset, kind))

    def _read_test(self, path):
        source = Source(path)
        entries = set(TEST_ENTRY.findall(source.text))
        for offset, ident in idents(joined(source.text)):
            place = place_of(source, offset, 'test')
            if place.name and path.endswith('.c') and place.name not in entries and 'tests/lab/' not in path:
                place.kind = 'help'
            self._add(self.places, ident, place)

    def _read_script(self, path):
        covers = re.findall(r'^//\s*covers:(.*)$', read(path), re.M)
        for _, ident in idents(' '.join(covers)):
            self._add(self.places, ident, Place('test', path, 1))

    def of(self, ident, kind):
        return [p for p in self.places.get(ident, ()) if p.kind == kind]

    def killers(self, ident):
        """The mutants that break a requirement and make one of its own tests fail."""
        tests = {test_name(p.path) for p in self.of(ident, 'test')}
        return [m for m in self.mutants if ident in m.shows and m.killed_by & tests]


def place_of(source, offset, kind):
    line = source.line_of(offset)
    function = source.function_at(line)
    return Place(kind, source.path, line, function.name if function else '')


def test_name(path):
    """A test as scripts/test.py and the heads of mutants call it: conv/test_close, check/rfc5961/rst."""
    stem = os.path.splitext(path)[0].removeprefix('tests/')
    stem = re.sub(r'^conversations/', 'check/', stem)
    return re.sub(r'^(?!check/)(\w+)/(?:test_)?', r'\1/', stem)


class Mutant:
    """One fault: its head says what it is, what it breaks and which test must notice."""

    def __init__(self, path):
        self.path, self.name = path, os.path.splitext(os.path.basename(path))[0]
        head = re.split(r'^(?:diff |--- )', read(path), maxsplit=1, flags=re.M)[0]
        field = dict(re.findall(r'^([\w-]+):\s*(.*(?:\n[ \t]+.*)*)', head, re.M))
        self.shows = {ident for _, ident in idents(field.get('Shows', ''))}
        names = re.split(r'[,\s]+', field.get('Killed-by', '').strip())
        self.killed_by = {test_name(f'tests/{name}'.replace('tests/check/', 'check/')) for name in names}
