#!/usr/bin/env python3
"""Pages made from the sources are what the sources say; the README's program is the one that is built."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def readme_program():
    shown = re.search(r'```c\n(.*?)```', (ROOT / 'README.md').read_text(), re.S).group(1)
    built = (ROOT / 'examples/hello.c').read_text().split('*/\n', 1)[1]
    return shown.strip() == built.strip()


def states():
    return subprocess.run([sys.executable, ROOT / 'scripts/states.py', '--check']).returncode == 0


def links():
    """Every relative link of the pages leads somewhere."""
    bad = []
    for page in [ROOT / 'README.md', *ROOT.glob('docs/*.md'), *ROOT.glob('examples/*.md')]:
        for target in re.findall(r'\]\(([^)#]+)\)', page.read_text()):
            if '://' not in target and not (page.parent / target).exists():
                bad.append(f'{page.name}: {target}')
    for line in bad:
        print(f'# leads nowhere: {line}')
    return not bad


def options():
    """Every option that a man page explains is in its command's --help."""
    bad = []
    for page in sorted(ROOT.glob('man/tern-*.scd')):
        name = page.name.split('.')[0].removeprefix('tern-')
        sources = [*ROOT.glob(f'cli/{name}*.c'), ROOT / 'cli/net.c', ROOT / 'cli/change.c']
        usage = ''.join(path.read_text() for path in sources)
        for line in re.findall(r'^\*-.*$', page.read_text().split('# OPTIONS')[-1], re.M):
            for option in re.findall(r'--[a-z][a-z0-9_-]*', line):
                known = re.search(rf'"[^"\n]*{option}(?![a-z0-9_-])', usage)
                if not known and option != '--help' and not line.endswith('...'):
                    bad.append(f'tern {name} {option}')
    for line in bad:
        print(f'# not in --help: {line}')
    return not bad


CHECKS = {'the README shows examples/hello.c as it is built': readme_program,
          'docs/STATES.md is what the table says': states,
          'links lead somewhere': links,
          'man pages and --help know the same options': options}

failed = 0
print(f'1..{len(CHECKS)}')
for number, (what, check) in enumerate(CHECKS.items(), 1):
    good = check()
    failed += not good
    print(f'{"ok" if good else "not ok"} {number} - {what}')
sys.exit(failed > 0)
