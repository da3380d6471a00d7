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


CHECKS = {'the README shows examples/hello.c as it is built': readme_program,
          'docs/STATES.md is what the table says': states,
          'links lead somewhere': links}

failed = 0
print(f'1..{len(CHECKS)}')
for number, (what, check) in enumerate(CHECKS.items(), 1):
    good = check()
    failed += not good
    print(f'{"ok" if good else "not ok"} {number} - {what}')
sys.exit(failed > 0)
