#!/usr/bin/env python3
"""Makes docs/STATES.md from src/tcp/state.def and include/tern/causes.def: the table that the one door
asserts.

    scripts/states.py           write docs/STATES.md
    scripts/states.py --check   fail when it is not what the tables say
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / 'docs' / 'STATES.md'


def causes():
    text = (ROOT / 'include/tern/causes.def').read_text()
    found = re.findall(r'^CAUSE\((\w+),\s*"([^"]*)",\s*((?:"[^"]*"\s*)+)\)', text, re.M)
    return {name: (rule, ''.join(re.findall(r'"([^"]*)"', sentence))) for name, rule, sentence in found}


def edges():
    text = re.sub(r'/\*.*?\*/', '', (ROOT / 'src/tcp/state.def').read_text(), flags=re.S).replace('\\\n', ' ')
    macros = {}
    for line in text.splitlines():
        if match := re.match(r'#define (\w+)\(cause\)(.*)', line):
            macros[match.group(1)] = re.findall(r'EDGE\(cause, (\w+), (\w+)\)', match.group(2))
        elif match := re.match(r'EDGE\((\w+), (\w+), (\w+)\)', line):
            yield match.groups()
        elif match := re.match(r'(EDGE_\w+)\((\w+)\)', line):
            for start, end in macros[match.group(1)]:
                yield match.group(2), start, end


def diagram(table):
    lines = ['```mermaid', 'stateDiagram-v2']
    pairs = {}
    for cause, start, end in table:
        pairs.setdefault((start, end), []).append(cause)
    for (start, end), names in pairs.items():
        label = names[0] if len(names) == 1 else f'{names[0]} and {len(names) - 1} more'
        lines.append(f'    {start} --> {end}: {label}')
    return lines + ['```']


def page():
    known, table = causes(), list(edges())
    lines = [
        '# The legal edges',
        '',
        'Made by scripts/states.py from src/tcp/state.def, which the one door '
        '(src/tcp/state.h) asserts: a change of',
        f'state that does not stand here ends the process. {len(table)} edges.',
        '',
        *diagram(table),
        '',
        '| from | to | cause | rule | what happened |',
        '|---|---|---|---|---|',
    ]
    for cause, start, end in table:
        rule, sentence = known[cause]
        lines.append(f'| {start} | {end} | {cause} | {rule} | {sentence} |')
    return '\n'.join(lines) + '\n'


def main():
    text = page()
    if '--check' in sys.argv:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.exit('docs/STATES.md is not what the tables say: run scripts/states.py')
        return
    PAGE.write_text(text)


main()
