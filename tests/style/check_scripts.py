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


def index_tells():
    """A citation is found and attributed; a stale document and an unknown requirement fail the check."""
    names = {'docs/requirements.tsv': 'id\tlevel\tsection\tactor\twhat\nMUST-1\tMUST\t3.1\tsender\tx\n'}
    tree = Tree(
        {
            **CLEAN,
            **names,
            'src/tcp/a.c': '/* RFC 9293 3.4,\n * 3.10.7.4; MUST-1 */\nint f(void) { return 1; }\n',
        }
    )
    stale = tree.run('rfc_index.py', '--check').returncode
    tree.run('rfc_index.py')
    fresh = tree.run('rfc_index.py', '--check').returncode
    with open(os.path.join(tree.root, 'docs', 'RFC.md'), encoding='utf-8') as file:
        text = file.read()
    with open(os.path.join(tree.root, 'src', 'tcp', 'a.c'), 'a', encoding='utf-8') as file:
        file.write('/* MUST-77 */\n')
    unknown = tree.run('rfc_index.py').returncode
    tree.remove()
    good = (
        '| 3.10.7.4 | `src/tcp/a.c:f` |' in text
        and '| MUST-1 | MUST | 3.1 | x | `src/tcp/a.c:f` | – |' in text
    )
    return (stale, fresh, unknown) == (1, 0, 1) and good, f'{stale} {fresh} {unknown}\n{text}'


def main():
    tree = Tree(CLEAN)
    done = tree.run('tidy.py', '--tap')
    tree.remove()
    results = [(done.returncode == 0, 'a clean tree passes', done.stdout + done.stderr)]
    for rule, path, text, where in BREAKS:
        good, output = rule_breaks_alone(rule, path, text, where)
        results.append((good, f'{rule}: {path}', output))
    good, output = index_tells()
    results.append((good, 'the index of sections', output))
    for number, (good, name, output) in enumerate(results, 1):
        verdict(number, good, name, output)
    print(f'1..{len(results)}')
    return 0 if all(r[0] for r in results) else 1


if __name__ == '__main__':
    sys.exit(main())
