#!/usr/bin/env python3
"""Executes the style of the project (STYLE in docs/ARCHITECTURE.md says the same in words).

    scripts/tidy.py [--tap] [--objects build/src/libtern-core.a]

Each finding is `file:line: rule: what to do`. What a rule has to let through stands in
scripts/tidy.allow, which may only shrink: an entry that is no longer needed, or is looser than it need
be, is a finding too."""
import argparse
import os
import re
import subprocess
import sys

from csource import ROOT, Source, read, walk

FUNCTION_LINES = 100
FILE_LINES = {'src/tcp/': 500, 'src/base/': 500}
FILE_LINES_ELSEWHERE = 800
COLUMNS = 110
IFS_PER_THOUSAND = 2
CITATIONS = 1  # in each file of src/tcp (with its .def), and one per LINES_PER_CITATION lines
LINES_PER_CITATION = 100
SECTION = r'\b\d{4},? [1-9A-F](?:\.\d+)*|\bRFC ?\d{3,4}|\b(?:MUST|SHLD|MAY)-\d+|\bcauses\.def\b'

FLOORS = ['src/base', 'src/wire', 'src/ip', 'src/tcp', 'src/stack', 'src/sock']  # lowest first
# outside the core, lowest first; all see include/tern
HOUSE = ['link', 'host', 'sim', 'check', 'explore', 'cli']
FREESTANDING = {'stdint.h', 'stddef.h', 'stdbool.h', 'limits.h', 'stdalign.h', 'stdnoreturn.h'}

CLOCK = 'time gettimeofday clock_gettime clock nanosleep clock_nanosleep usleep sleep timespec_get'
RANDOM = 'rand rand_r srand random srandom drand48 getrandom getentropy arc4random'
HEAP = (
    'malloc calloc realloc reallocarray free strdup strndup alloca aligned_alloc posix_memalign mmap munmap'
)
PRINT = 'printf puts putchar vprintf perror'
TEXT = PRINT + ' fprintf sprintf snprintf vsnprintf vfprintf asprintf vasprintf fputs fputc fwrite'
FILES = 'open openat fopen fdopen read write close fclose fread ioctl recvfrom poll'
THREADS = 'pthread_create pthread_mutex_lock pthread_mutex_unlock thrd_create mtx_lock fork execve system'
PROCESS = 'abort exit _exit getenv setenv signal sigaction'
# Calls that a folder may not make: {folder: {what it is: names}}
FORBIDDEN = {
    'src': {
        'a clock call: take `now` as a parameter': CLOCK,
        'a random call: draw from the seed of the configuration': RANDOM,
        'a heap call: take it from the arena': HEAP,
        'a text call: write an event record': TEXT,
        'a file or system call: the core sees packets, calls, time and seed only': FILES,
        'a thread or process call': THREADS + ' ' + PROCESS,
    },
    'link': {
        'a clock call: only host/ has the clock': CLOCK,
        'a random call: take a seed': RANDOM,
        'a call that prints: return an error instead': PRINT,
    },
    'sim': {
        'a clock call: the simulation has its own clock': CLOCK,
        'a random call: take a seed': RANDOM,
        'a call that prints: leave that to cli/': PRINT,
    },
    'explore': {
        'a clock call: its worlds have their own clocks': CLOCK,
        'a random call: it tries everything': RANDOM,
        'a call that prints: leave that to cli/': PRINT,
    },
    'cli': {'a clock call: only host/ has the clock': CLOCK, 'a random call: host/ gives the seed': RANDOM},
    'examples': {},
    'host': {'a random call: getrandom is the source': 'rand rand_r srand random srandom drand48'},
}
CORE_SYMBOLS = {'memcpy', 'memmove', 'memset', 'memcmp', 'tern_panic'}

RULES = [
    'function-length',
    'file-length',
    'include-direction',
    'mutable-static',
    'forbidden-call',
    'floating-point',
    'conditional',
    'citation',
    'columns',
    'tab',
    'trailing-blank',
    'public-comment',
    'core-symbols',
    'core-writable-data',
    'allow-list',
]


class Allow:
    """scripts/tidy.allow: lines `rule place [number] # why`. A place is a file or file:name; the number
    measured value for the length rules."""

    def __init__(self):
        self.path = 'scripts/tidy.allow'
        self.entries = {}
        self.used = {}
        text = read(self.path) if os.path.exists(os.path.join(ROOT, self.path)) else ''
        for number, line in enumerate(text.split('\n'), 1):
            words = line.split('#')[0].split()
            if words:
                self.entries[(words[0], words[1])] = (
                    number,
                    int(words[2]) if len(words) > 2 else None,
                    '#' in line,
                )

    def lets(self, rule, place, value=None):
        entry = self.entries.get((rule, place))
        if entry is None or (value is not None and entry[1] is not None and value > entry[1]):
            return False
        self.used[(rule, place)] = value
        return True

    def findings(self):
        for (rule, place), (line, value, reason) in self.entries.items():
            if rule not in RULES:
                yield self.path, line, 'allow-list', f'no rule is called {rule}'
            elif (rule, place) not in self.used:
                yield self.path, line, 'allow-list', f'{rule} {place} is no longer needed: remove the line'
            elif value is not None and self.used[(rule, place)] < value:
                now = self.used[(rule, place)]
                yield self.path, line, 'allow-list', f'{rule} {place} is {now} now: lower the number to it'
            if not reason:
                yield self.path, line, 'allow-list', f'{rule} {place}: say why behind a #'


class Tidy:
    def __init__(self):
        self.allow = Allow()
        self.found = []
        self.core = [Source(p) for p in walk(['src'], ['.c', '.h', '.def'])]
        self.public = [Source(p) for p in walk(['include'], ['.h', '.def'])]
        self.outside = [Source(p) for p in walk(HOUSE + ['examples'], ['.c', '.h', '.def'])]
        self.tests = [Source(p) for p in walk(['tests', 'bench', 'ports'], ['.c', '.h', '.def'])]
        self.lengths = []

    def find(self, path, line, rule, what, place=None, value=None):
        if not self.allow.lets(rule, path, value) and not (
            place and self.allow.lets(rule, f'{path}:{place}', value)
        ):
            self.found.append((path, line, rule, what))

    # --- sizes -------------------------------------------------------------------------------------

    def sizes(self):
        for source in self.core + self.outside + self.tests:
            for function in source.functions:
                if source in self.core:
                    self.lengths.append(function.lines)
                if function.lines > FUNCTION_LINES:
                    self.find(
                        source.path,
                        function.first,
                        'function-length',
                        f'{function.name} has {function.lines} lines: divide it ({FUNCTION_LINES} at most)',
                        function.name,
                        function.lines,
                    )
            limit = next(
                (n for p, n in FILE_LINES.items() if source.path.startswith(p)), FILE_LINES_ELSEWHERE
            )
            count = len(source.lines) - 1
            if count > limit:
                self.find(
                    source.path,
                    1,
                    'file-length',
                    f'{count} lines: divide it by mechanism ({limit} at most)',
                    None,
                    count,
                )

    # --- include direction -------------------------------------------------------------------------

    @staticmethod
    def room(path):
        for room in FLOORS + ['include/tern'] + HOUSE + ['examples', 'src']:
            if path.startswith(room + '/'):
                return room
        return None

    @staticmethod
    def resolve(source, name):
        for folder in [os.path.dirname(source.path), 'src', 'include', '.']:
            path = os.path.normpath(os.path.join(folder, name))
            if os.path.isfile(os.path.join(ROOT, path)):
                return path
        return None

    def includes(self):
        for source in self.core + self.public + self.outside:
            for number, line in enumerate(source.lines, 1):
                match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
                if match:
                    self.include(source, number, match.group(2))

    def include(self, source, line, name):
        room, target = self.room(source.path), self.resolve(source, name)
        there = self.room(target) if target else None
        in_core = source.path.startswith(('src/', 'include/'))
        if target is None or there is None:
            if in_core and name not in FREESTANDING:
                self.find(
                    source.path,
                    line,
                    'include-direction',
                    f'<{name}>: the core is freestanding; it has {", ".join(sorted(FREESTANDING))} only',
                    name,
                )
        elif there == 'include/tern':
            pass
        elif room == 'include/tern':
            self.find(
                source.path,
                line,
                'include-direction',
                f'"{name}": a public header sees public headers only',
                name,
            )
        elif room in FLOORS:
            if there not in FLOORS or FLOORS.index(there) > FLOORS.index(room):
                self.find(
                    source.path,
                    line,
                    'include-direction',
                    f'"{name}" lies above: {room} may see {", ".join(FLOORS[:FLOORS.index(room) + 1])}',
                    name,
                )
        elif room in HOUSE:
            if there.startswith('src'):
                self.find(
                    source.path, line, 'include-direction', f'"{name}": outside the core use <tern/...>', name
                )
            elif there not in HOUSE or HOUSE.index(there) > HOUSE.index(room):
                self.find(
                    source.path,
                    line,
                    'include-direction',
                    f'"{name}" lies above: {room} may see {", ".join(HOUSE[:HOUSE.index(room) + 1])}',
                    name,
                )
        elif room == 'examples' and there != 'examples':
            self.find(
                source.path, line, 'include-direction', f'"{name}": an example sees <tern/...> only', name
            )

    # --- what the core must not have ---------------------------------------------------------------

    def mutable_statics(self):
        for source in self.core:
            for offset, statement in source.statements:
                declared = statement.split('=')[0]
                if (
                    re.match(
                        r'(typedef|extern|_?[Ss]tatic_assert|struct|union|enum)\b[^=]*(\{\}\s*)?\w*$',
                        declared,
                    )
                    and '=' not in statement
                    and not re.search(r'\}\s*\w', declared)
                ):
                    continue
                if re.match(r'(typedef|extern|_Static_assert|static_assert)\b', declared) or '(' in declared:
                    continue
                if re.match(r'[A-Z_]+$', declared.strip()):
                    continue
                self.mutable(source, offset, declared)
            for function in source.functions:
                body = source.bare[function.start : function.end]
                for match in re.finditer(r'[;{}]\s*(static\b[^;={]*)', body):
                    self.mutable(source, function.start + match.start(1), match.group(1))

    def mutable(self, source, offset, declared):
        last = declared.rsplit('*', 1)[-1] if '*' in declared else declared
        if not re.search(r'\bconst\b', last):
            name = re.findall(r'[A-Za-z_]\w*', re.sub(r'\[.*', '', declared))
            self.find(
                source.path,
                source.line_of(offset),
                'mutable-static',
                f'{name[-1] if name else declared}: state lies in the arena; make it const or move it',
                name[-1] if name else None,
            )

    def calls(self):
        for source in self.core + self.outside:
            folder = source.path.split('/')[0]
            for what, names in FORBIDDEN.get(folder, {}).items():
                pattern = r'(?<![\w.>])(' + '|'.join(names.split()) + r')\s*\('
                for match in re.finditer(pattern, source.code):
                    line = source.line_of(match.start())
                    if (
                        not re.match(r'\s*(#\s*define|static|extern|[a-z_0-9]+_t)\b', source.lines[line - 1])
                        or folder != 'src'
                    ):
                        self.find(
                            source.path,
                            line,
                            'forbidden-call',
                            f'{match.group(1)}() is {what}',
                            match.group(1),
                        )

    def floats(self):
        for source in self.core:
            for match in re.finditer(r'\b(float|double)\b|\b\d+\.\d+\b|\b\d+e-?\d+\b', source.code):
                self.find(
                    source.path,
                    source.line_of(match.start()),
                    'floating-point',
                    f'{match.group()}: fixed point only, the same on every machine',
                )

    def conditionals(self):
        counted, lines = [], 0
        for source in self.core + self.public + self.outside:
            lines += len(source.lines) if source in self.outside else 0
            for number, line in enumerate(source.code.split('\n'), 1):
                match = re.match(r'\s*#\s*(if|ifdef|ifndef|elif)\b(.*)', line)
                if not match or self.is_guard(source, number, match):
                    continue
                if source in self.outside:
                    counted.append((source, number))
                else:
                    self.find(
                        source.path,
                        number,
                        'conditional',
                        'choose at run time, by the configuration',
                        match.group(2).strip(),
                    )
        for source, number in counted:
            if len(counted) * 1000 > IFS_PER_THOUSAND * max(lines, 1000):
                self.find(
                    source.path,
                    number,
                    'conditional',
                    f'{len(counted)} #if in {lines} lines outside the core: {IFS_PER_THOUSAND} a thousand',
                )

    @staticmethod
    def is_guard(source, number, match):
        kind, rest = match.groups()
        if kind == 'ifdef' and rest.strip() == '__cplusplus':
            return source.path.startswith('include/')
        if kind != 'ifndef':
            return False
        following = source.lines[number] if number < len(source.lines) else ''
        return re.match(r'\s*#\s*define\s+' + re.escape(rest.strip()) + r'\b', following) is not None

    def citations(self):
        for source in self.core:
            if not source.path.startswith('src/tcp/') or not source.path.endswith('.c'):
                continue
            table = source.path.removesuffix('.c') + '.def'  # what a table next to it says counts
            text = source.text + ''.join(s.text for s in self.core if s.path == table)
            count = len(re.findall(SECTION, text))
            wanted = max(CITATIONS, (len(source.lines) - 1) // LINES_PER_CITATION)
            if count < wanted:
                self.find(
                    source.path,
                    1,
                    'citation',
                    f'{count} of at least {wanted} sections named: say which rule each step follows',
                )

    # --- text --------------------------------------------------------------------------------------

    def text(self):
        folders = [
            'src',
            'include',
            'examples',
            'tests',
            'bench',
            'ports',
            'scripts',
            'dev',
            '.ci',
            'meson.build',
            'man',
        ] + HOUSE
        for path in walk(folders, ['.c', '.h', '.def', '.py', '.sh', '.mjs', '.build', 'run', '.scd']):
            for number, line in enumerate(read(path).split('\n'), 1):
                if len(line) > COLUMNS and not path.endswith('.scd'):
                    self.find(
                        path, number, 'columns', f'{len(line)} columns: break the line ({COLUMNS} at most)'
                    )
                if '\t' in line and not path.endswith('.scd'):
                    self.find(path, number, 'tab', 'indent with spaces')
                if line != line.rstrip():
                    self.find(path, number, 'trailing-blank', 'remove it')

    def public_comments(self):
        for source in self.public:
            if not source.path.endswith('.h'):
                continue
            documented = 0  # the last line of a documented declaration: one right below shares its comment
            things = [
                (source.line_of(o), s, source.line_of(o) + s.count('\n'))
                for o, s in source.statements
                if '(' in s and not s.startswith(('typedef', '_Static_assert', 'static_assert'))
            ]
            things += [(f.first, f.name + '()', f.last) for f in source.functions]
            for first, what, last in sorted(things):
                above = source.lines[first - 2].rstrip() if first > 1 else ''
                if above.endswith('*/') or first - 1 == documented:
                    documented = last
                else:
                    name = re.search(r'(\w+)\s*\(', what)
                    self.find(
                        source.path,
                        first,
                        'public-comment',
                        f'{name.group(1) if name else what}: say above it what it does and what it returns',
                    )

    # --- object files ------------------------------------------------------------------------------

    def objects(self, archive):
        done = subprocess.run(
            ['nm', '-f', 'sysv', os.path.join(ROOT, archive)], capture_output=True, text=True
        )
        if done.returncode != 0:
            self.find(archive, 0, 'core-symbols', f'nm cannot read it: {done.stderr.strip()}')
            return
        member, defined, wanted = archive, set(), {}
        for line in done.stdout.split('\n'):
            header = re.match(r'(?:Symbols|Undefined symbols) from .*?([^/\[\]]+)\]?:$', line)
            if header:
                member = header.group(1)
            columns = [c.strip() for c in line.split('|')]
            if len(columns) < 7 or columns[0] == 'Name':
                continue
            if columns[2] == 'U':
                wanted.setdefault(columns[0], member)
            else:
                defined.add(columns[0])
                if (
                    re.match(r'\.(data(?!\.rel\.ro)|bss|tdata|tbss)|\*COM\*', columns[6])
                    and columns[3] != 'SECTION'
                ):
                    self.find(
                        member,
                        0,
                        'core-writable-data',
                        f'{columns[0]} lies in {columns[6]}: state lies in the arena',
                        columns[0],
                    )
        for name, where in sorted(wanted.items()):
            if name not in defined and name not in CORE_SYMBOLS and name != '_GLOBAL_OFFSET_TABLE_':
                self.find(
                    where,
                    0,
                    'core-symbols',
                    f'needs {name}: the core links with memcpy and its like only',
                    name,
                )

    def run(self, archive):
        self.sizes()
        self.includes()
        self.mutable_statics()
        self.calls()
        self.floats()
        self.conditionals()
        self.citations()
        self.text()
        self.public_comments()
        if archive:
            self.objects(archive)
        self.found += self.allow.findings()
        return sorted(set(self.found), key=lambda f: (f[2] == 'columns', f))


def main():
    parser = argparse.ArgumentParser(description='checks the style of the sources')
    parser.add_argument('--objects', help='the static library of the core, to check its symbols')
    parser.add_argument('--tap', action='store_true', help='one TAP line per rule')
    options = parser.parse_args()
    tidy = Tidy()
    found = tidy.run(options.objects)
    for path, line, rule, what in found:
        print(f'{"# " if options.tap else ""}{path}:{line}: {rule}: {what}')
    if options.tap:
        for number, rule in enumerate(RULES, 1):
            print(('not ' if any(f[2] == rule for f in found) else '') + f'ok {number} - {rule}')
    lengths = sorted(tidy.lengths)
    if lengths:
        median, high = lengths[len(lengths) // 2], lengths[len(lengths) * 9 // 10]
        print(f'# {len(lengths)} functions in src/: median {median} lines, 90% {high}, longest {lengths[-1]}')
    if not options.tap:
        print(f'tidy: {len(found)} findings')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
