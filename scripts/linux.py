#!/usr/bin/env python3
"""Plays tests/conversations against the Linux kernel and writes docs/LINUX.md: every difference between the
kernel and tern, with what the standard asks for; called by `./dev linux`.

    scripts/linux.py BUILD [--check] [--list] [FILE.pkt...]

--check writes nothing; both fail when there is a difference without an explanation in
tests/linux/differences.tsv, or an explanation that nothing needs any more. --list prints the differences
without explanation. Needs root: each script gets a network namespace with a TUN device of its own.

A real clock is not exact: a script that differs is played up to three times, a few at once, and counts as
different only when it differs each time."""
import argparse
import collections
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = 'tests/conversations'
EXPLAINED = 'tests/linux/differences.tsv'
PAGE = 'docs/LINUX.md'
EXAMPLES = 3  # of scripts that show a difference, named in the page

Rule = collections.namedtuple('Rule', 'title scripts what rfc why')


def rules():
    """The lines of tests/linux/differences.tsv."""
    found = []
    with open(os.path.join(ROOT, EXPLAINED), encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            if line.startswith('#') or not line.strip():
                continue
            cells = line.rstrip('\n').split('\t')
            if len(cells) != len(Rule._fields):
                wanted = ', '.join(Rule._fields)
                sys.exit(f'linux: {EXPLAINED}:{number}: {len(Rule._fields)} columns wanted: {wanted}')
            found.append(Rule(*cells))
    return found


def play(build, files, at_once):
    argv = [os.path.join(ROOT, build, 'tests', 'linux-play'), '--at-once', str(at_once), *files]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit('linux: linux-play could not do its work')
    results = [json.loads(line) for line in done.stdout.split('\n') if line]
    return {result['file']: result for result in results}


def play_all(build, files):
    results = play(build, files, 12)
    for at_once in (4, 2):
        again = [name for name, result in results.items() if result['verdict'] == 'differs']
        if not again:
            break
        for name, result in play(build, again, at_once).items():
            before = len(results[name]['differences'])
            if result['verdict'] != 'differs' or len(result['differences']) < before:
                results[name] = result
    return results


def signature(difference):
    """What a rule's second pattern looks at."""
    parts = (difference.get(key) or '-' for key in ('why', 'script', 'tern', 'linux'))
    return ' | '.join(parts)


def rule_of(name, difference, table):
    short = name.removeprefix(SCRIPTS + '/')
    for rule in table:
        if re.search(rule.scripts, short) and re.search(rule.what, signature(difference)):
            return rule
    return None


def version():
    return '.'.join(os.uname().release.split('.')[:2])


def show(text):
    return '`' + re.sub(r'TS val \d+', 'TS val N', text or 'nothing').replace('|', '\\|') + '`'


def said(difference):
    """One line of the page: what the script says, what the two do."""
    why = difference.get('why', '')
    linux = difference.get('linux')
    if 'too late' in why or 'too early' in why:
        linux = why.split(', but ')[-1]
    tern = difference.get('tern') or difference.get('script')
    return f'{show(tern)} | {show(linux)}'


def page(results, table):
    """(text, names of scripts with a difference that no rule explains)"""
    counts = collections.Counter(result['verdict'] for result in results.values())
    by_rule, unexplained = collections.defaultdict(list), []
    for name in sorted(results):
        for difference in results[name].get('differences') or []:
            rule = rule_of(name, difference, table)
            if rule is None:
                unexplained.append((name, difference))
            else:
                by_rule[rule].append((name, difference))
    out = [
        '# tern and Linux, conversation by conversation',
        '',
        'Made by `scripts/linux.py` (`./dev linux`); do not edit. The scripts of tests/conversations are',
        f'what tern does. Each was also played against the Linux kernel (here {version()}, reno, its other',
        'settings as they come) over a TUN device, with real sockets and the real clock, and compared until',
        'the kernel does something else.',
        '',
        '| scripts | the same | different | not played |',
        '|---|---|---|---|',
        f'| {len(results)} | {counts["same"]} | {counts["differs"]} | {counts["not played"]} |',
        '',
        'Not compared, since each stack chooses for itself: the window and its scale, PSH, the times',
        'of timers within 30%, what a program asks of tcp_info beside the state. Not played are scripts',
        'that last longer than 25 s, that need a setting which Linux has not, or poll and epoll.',
        '',
        '## The differences',
    ]
    for rule in table:
        if rule not in by_rule:
            continue
        cases = by_rule[rule]
        names = sorted({name for name, _ in cases})
        shown = ', '.join(f'[{n.removeprefix(SCRIPTS + "/")}](../{n})' for n in names[:EXAMPLES])
        more = f' and {len(names) - EXAMPLES} more' if len(names) > EXAMPLES else ''
        out += [
            '',
            f'### {rule.title}',
            '',
            '| tern | Linux |',
            '|---|---|',
            f'| {said(cases[0][1])} |',
            '',
            f'The standard: {rule.rfc}',
            '',
            f'tern {rule.why}',
            '',
            f'Seen in {shown}{more}.',
        ]
    out += ['', '## Not played', '', '| why | scripts |', '|---|---|']
    reasons = collections.Counter(r['why'] for r in results.values() if r['verdict'] == 'not played')
    out += [f'| {why} | {n} |' for why, n in sorted(reasons.items())]
    unused = [rule for rule in table if rule not in by_rule]
    return '\n'.join(out) + '\n', unexplained, unused, counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build')
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('files', nargs='*')
    options = parser.parse_intermixed_args()
    files = list(options.files)
    if not files:
        for folder, _, names in os.walk(os.path.join(ROOT, SCRIPTS)):
            files += [os.path.relpath(os.path.join(folder, n), ROOT) for n in names if n.endswith('.pkt')]
    results = play_all(options.build, sorted(files))
    text, unexplained, unused, counts = page(results, rules())
    for name, difference in unexplained:
        print(f'not explained: {name}:{difference["line"]}: {signature(difference)}')
    if not options.files:
        for rule in unused:
            print(f'explains nothing any more: {rule.title}')
        if not options.check and not options.list:
            with open(os.path.join(ROOT, PAGE), 'w', encoding='utf-8') as file:
                file.write(text)
    open_ = len({name for name, _ in unexplained})
    explained = counts['differs'] - open_
    print(
        f'proof: Linux: {len(results)} conversations: {counts["same"]} the same,'
        f' {explained} different and explained, {open_} not explained, {counts["not played"]} not played'
    )
    return 1 if unexplained or (unused and not options.files) else 0


if __name__ == '__main__':
    sys.exit(main())
