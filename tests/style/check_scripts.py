#!/usr/bin/env python3
"""The style checker must be able to fail: a small tree that is clean, and for each rule one that breaks it
alone."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'scripts')

CLEAN = {
    'include/tern/tern.h': '''#ifndef T
#define T
/* One. */
int tern_one(int a);
int tern_two(int a);
#endif
''',
    'src/base/mem.h': '''#ifndef M
#define M
#include <stdint.h>
static inline int min(int a) { return a; }
#endif
''',
    'src/tcp/rtt.c': '''/* RFC 6298 2.1 and RFC 6298 2.2. */
#include "base/mem.h"
#include <tern/tern.h>

typedef struct rtt {
    int a, b;
} rtt;

enum { ONE = 1, TWO };

static const int table[] = {1, 2, 3};
static const char *const names[] = {"a;{", "b"};
static int forward(int a);
int tern_one(int a)
{
    static const int local = 3;
    struct { int t; } x = {table[0] + local + names[0][0]};
    const char c = '{'; /* it's malloc(3) that we avoid, 1.5 */
    return forward(a) + x.t + c + (int)sizeof(rtt) + ONE;
}

static int forward(int a)
{
    return a;
}
''',
    'host/loop.c': '#include <tern/tern.h>\n#include <time.h>\nint now(void) { return (int)time(0); }\n',
    'cli/main.c': '#include "host/loop.h"\n',
    'src/tcp/rtt.h': '/* */\n',
    'host/loop.h': '#include <stdio.h>\n',
}

BODY = ''.join(f'    a += {n};\n' for n in range(100))
BREAKS = [
    (
        'function-length',
        'src/base/a.c',
        'int f(int a)\n{\n' + BODY + '    return a;\n}\n',
        'a.c:1: function-length: f',
    ),
    ('file-length', 'src/tcp/a.h', '/* RFC 1 */\n' * 501, 'a.h:1:'),
    (
        'include-direction',
        'src/base/a.c',
        '#include "tcp/rtt.h"\n',
        'a.c:1: include-direction: "tcp/rtt.h" lies above',
    ),
    ('include-direction', 'src/base/a.c', '#include <stdio.h>\n', 'a.c:1:'),
    ('include-direction', 'host/a.c', '#include "base/mem.h"\n', 'a.c:1:'),
    ('include-direction', 'link/a.c', '#include "host/loop.h"\n', 'a.c:1:'),
    ('include-direction', 'include/tern/a.h', '#include "base/mem.h"\n', 'a.h:1:'),
    ('mutable-static', 'src/base/a.c', '\nstatic int counter;\n', 'a.c:2: mutable-static: counter'),
    ('mutable-static', 'src/base/a.c', 'int counters[3] = {1, 2};\n', 'a.c:1: mutable-static: counters'),
    (
        'mutable-static',
        'src/base/a.c',
        'static const char *names[] = {"a"};\n',
        'a.c:1: mutable-static: names',
    ),
    ('mutable-static', 'src/base/a.c', 'static struct s { int a; } it;\n', 'a.c:1: mutable-static: it'),
    (
        'mutable-static',
        'src/base/a.c',
        'int f(void)\n{\n    static int n = 0;\n    return n++;\n}\n',
        'a.c:3:',
    ),
    ('forbidden-call', 'src/base/a.c', 'int f(void)\n{\n    return malloc(3) != 0;\n}\n', 'a.c:3:'),
    ('forbidden-call', 'sim/a.c', 'int f(void)\n{\n    return rand();\n}\n', 'a.c:3:'),
    ('forbidden-call', 'link/a.c', 'int f(void)\n{\n    return clock_gettime(1, 0);\n}\n', 'a.c:3:'),
    ('floating-point', 'src/base/a.c', 'static const int a = 1.5;\n', 'a.c:1:'),
    ('floating-point', 'src/base/a.c', 'static inline double f(int a) { return a; }\n', 'a.c:1:'),
    ('conditional', 'src/base/a.c', '#ifdef __linux__\n#endif\n', 'a.c:1:'),
    ('conditional', 'host/a.c', '#ifdef __linux__\n#endif\n' * 3, 'a.c:1:'),
    ('citation', 'src/tcp/a.c', 'int f(int a) { return a; }\n', 'a.c:1:'),
    ('columns', 'src/base/a.c', '/* ' + 'x' * 110 + ' */\n', 'a.c:1:'),
    ('tab', 'src/base/a.c', 'int f(void)\n{\n\treturn 1;\n}\n', 'a.c:3:'),
    ('trailing-blank', 'src/base/a.c', 'int f(void); \n', 'a.c:1:'),
    (
        'public-comment',
        'include/tern/a.h',
        '/* One. */\nint a(void);\n\nint b(int c,\n      int d);\n',
        'a.h:4:',
    ),
    ('allow-list', 'scripts/tidy.allow', 'columns src/base/mem.h  # wide\n', 'tidy.allow:1:'),
    ('allow-list', 'scripts/tidy.allow', 'no-such-rule src/base/mem.h  # wide\n', 'tidy.allow:1:'),
    ('core-symbols', 'src/base/a.c', 'int blue(void);\nint f(void)\n{\n    return blue();\n}\n', 'a.c.o:0:'),
    (
        'core-writable-data',
        'src/base/a.c',
        '#define HIDDEN static int a\nHIDDEN;\nint *f(void)\n{\n    return &a;\n}\n',
        'a',
    ),
]


class Tree:
    """A project of a few files with the scripts in it."""

    def __init__(self, files):
        self.root = tempfile.mkdtemp()
        shutil.copytree(
            SCRIPTS,
            os.path.join(self.root, 'scripts'),
            ignore=shutil.ignore_patterns('*.sh', '*.allow', '__*'),
        )
        for path, text in files.items():
            where = os.path.join(self.root, path)
            os.makedirs(os.path.dirname(where), exist_ok=True)
            with open(where, 'w', encoding='utf-8') as file:
                file.write(text)

    def compile(self, path):
        """The static library of one file, for the rules about object files."""
        made = os.path.join(self.root, os.path.basename(path) + '.o')
        subprocess.run(['cc', '-c', os.path.join(self.root, path), '-o', made], check=True)
        subprocess.run(['ar', 'rc', os.path.join(self.root, 'core.a'), made], check=True)
        return ['--objects', 'core.a']

    def run(self, script, *arguments):
        argv = [sys.executable, os.path.join(self.root, 'scripts', script), *arguments]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def remove(self):
        shutil.rmtree(self.root)


def verdict(number, good, name, output):
    print(f'{"" if good else "not "}ok {number} - {name}')
    if not good:
        print('\n'.join('# ' + line for line in output.split('\n')))


def rule_breaks_alone(rule, path, text, where):
    tree = Tree({**CLEAN, path: text})
    objects = tree.compile(path) if rule.startswith('core-') else []
    done = tree.run('tidy.py', '--tap', *objects)
    tree.remove()
    broken = re.findall(r'^not ok \d+ - (\S+)', done.stdout, re.M)
    shown = where is None or where in done.stdout
    return done.returncode == 1 and broken == [rule] and shown, done.stdout + done.stderr


INDEX = {
    'docs/requirements.tsv': 'id\tlevel\tsection\tactor\twhat\nMUST-1\tMUST\t3.1\tsender\tx\n',
    'docs/requirements-more.tsv': 'id\tlevel\tsection\twhat\nRFC5961-3.2-a\tSHOULD\t3.2\ty\n',
    'docs/requirements-not-ours.tsv': 'id\tkind\twhy\n',
    'src/tcp/a.c': '/* RFC 9293 3.4,\n * 3.10.7.4; MUST-1, RFC5961-3.2-a */\nint f(void) { return 1; }\n',
    'tests/conv/test_a.c': '/* MUST-1 */\nvoid g(void) {}\nint t = {cmocka_unit_test(g)};\n',
    'tests/conversations/b.pkt': '// covers: RFC5961-3.2-a\n',
    'tests/mutants/m.patch': 'Shows: MUST-1\nKilled-by: conv/test_a\n--- a\n',
}


def index_of(files):
    """(exit code of rfc_index.py, its words, the page) for a tree with these files."""
    tree = Tree({**CLEAN, **files})
    done = tree.run('rfc_index.py')
    with open(os.path.join(tree.root, 'docs', 'RFC.md'), encoding='utf-8') as file:
        page = file.read()
    again = tree.run('rfc_index.py', '--check').returncode
    tree.remove()
    return done.returncode, again, done.stdout, page


def index_tells():
    """Citations are found and attributed, in code, tests, scripts and mutants."""
    code, again, words, page = index_of(INDEX)
    here, test = '[tcp/a.c:f](../src/tcp/a.c#L2)', '[conv/test_a.c:g](../tests/conv/test_a.c#L1)'
    rows = (
        '| 3.10.7.4 | [tcp/a.c:f](../src/tcp/a.c#L1) |',
        f'| MUST-1 | MUST | x (3.1) | {here} | {test} | [m](../tests/mutants/m.patch) |',
        f'| RFC5961-3.2-a | SHOULD | y | {here} | [b](../tests/conversations/b.pkt) | – |',
    )
    return (code, again) == (0, 0) and all(r in page for r in rows), f'{code} {again} {words}\n{page}'


def index_misses():
    """What is missing or wrong is told; a page that is not what the sources say fails the check."""
    faults = {
        'no test': {'tests/conv/test_a.c': '/* MUST-1 */\nvoid g(void) {}\n'},
        'no code': {'src/tcp/a.c': '/* RFC 9293 3.4 */\n', 'docs/requirements-more.tsv': 'id\n'},
        'no mutant': {'tests/mutants/m.patch': 'Shows: MUST-1\nKilled-by: conv/test_z\n--- a\n'},
        'MUST-77 is no requirement': {'src/tcp/b.c': '/* MUST-77 */\n'},
        'there is no kind': {'docs/requirements-not-ours.tsv': 'id\tkind\twhy\nMUST-1\tperhaps\tx\n'},
    }
    for words, files in faults.items():
        code, again, told, page = index_of({**INDEX, **files})
        if words not in told:
            return False, f'"{words}" is not told: {code} {again} {told}\n{page}'
    tree = Tree({**CLEAN, **INDEX})
    stale = tree.run('rfc_index.py', '--check').returncode
    tree.remove()
    return stale == 1, f'a missing page: {stale}'


def main():
    tree = Tree(CLEAN)
    done = tree.run('tidy.py', '--tap')
    tree.remove()
    results = [(done.returncode == 0, 'a clean tree passes', done.stdout + done.stderr)]
    for rule, path, text, where in BREAKS:
        good, output = rule_breaks_alone(rule, path, text, where)
        results.append((good, f'{rule}: {path}', output))
    for name, case in (('the index of the standards', index_tells), ('what it misses', index_misses)):
        good, output = case()
        results.append((good, name, output))
    for number, (good, name, output) in enumerate(results, 1):
        verdict(number, good, name, output)
    print(f'1..{len(results)}')
    return 0 if all(r[0] for r in results) else 1


if __name__ == '__main__':
    sys.exit(main())
