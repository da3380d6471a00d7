#!/usr/bin/env python3
"""Writes docs/RFC.md: which function follows which section of which RFC, and where each requirement of RFC
9293 is met and tested.

scripts/rfc_index.py writes docs/RFC.md scripts/rfc_index.py --check fails when docs/RFC.md is not what
                                    would be written, or a source names a requirement that does not exist

It reads what the sources say: `RFC 9293 3.10.7.4`, `RFC 5961 3.2, 4.2`, `9293 3.6.1` (in tables),
`MUST-23`, `SHLD-14`. A comment at file scope belongs to the function below it. Places are named
file:function, not file:line, so that the table changes when the code does and not with every line that
moves."""
import argparse
import os
import re
import sys

from csource import ROOT, Source, read, walk

OUTPUT = 'docs/RFC.md'
REQUIREMENTS = 'docs/requirements.tsv'
NOT_OURS = {  # requirements that no code of ours could meet, or options that we do not offer
    'SHLD-6': 'A link has one MTU, the same for every packet; so there is no smallest one to choose.',
    'SHLD-13': 'Advice to applications. The flag exists for those that need it (MUST-30).',
    'SHLD-23': 'Advice to applications. The field may be changed at any time (SHLD-21).',
    'MAY-4': 'What may be cut gets a new Identification each time; all else has 0 and DF (RFC 6864).',
    'MAY-6': 'A keepalive never carries an octet. Those of a peer that do are answered.',
    'MAY-10': 'No Timestamp option is sent; one that arrives is stepped over (MUST-50).',
    'MAY-11': 'No Record Route option is sent; one that arrives is stepped over (MUST-50).',
    'MAY-14': 'There is no FLUSH: what was taken to be sent is sent, or the connection is aborted.',
    'MAY-15': 'SEND has no PUSH flag: each pushes, unless it says that more follows (MUST-60, MUST-61).',
    'MAY-17': 'A received PSH is not shown: every byte can be read when it has arrived in order.',
    'MAY-18': 'There is NewReno alone (RFC 5681, RFC 6582, RFC 6675).',
}
CODE = ['include', 'src', 'link', 'host', 'sim', 'cli', 'examples']
TESTS = ['tests']
SECTION = r'(?:[1-9]\d?|[A-F])(?:\.\d+)+|[1-9]\d?(?![\w.-])|[A-F](?![\w-])'
CITATION = re.compile(
    r'\b(?:RFC\s?(\d{3,5})|(9293))'
    r'((?:(?:,|;| and| to)?\s*(?:section|sect\.|§)?\s*(?:'
    + SECTION
    + r')(?![\d]|\s*(?:ms|us|s|bytes|minutes)\b))*)'
)
REQUIREMENT = re.compile(r'\b(?:MUST|SHLD|MAY|REC)-\d+\b')


def places_of(source):
    """(what, place) for each citation; what is ('RFC', number, section) or a requirement's id."""
    # a citation may be broken over two lines of a comment
    text = re.sub(r'\n(\s*)\*(?!/)', lambda m: ' ' + ' ' * len(m.group(1)) + ' ', source.text)
    for match in CITATION.finditer(text):
        number, sections = match.group(1) or match.group(2), re.findall(SECTION, match.group(3) or '')
        if match.group(2) and not any('.' in s for s in sections):
            continue  # a bare 9293 is a number like any other
        place = place_of(source, match.start())
        for section in sections or ['']:
            yield ('RFC', int(number), section), place
    for match in REQUIREMENT.finditer(text):
        yield match.group(), place_of(source, match.start())


def place_of(source, offset):
    function = source.function_at(source.line_of(offset))
    return f'{source.path}:{function.name}' if function else source.path


def collect(folders):
    found = {}
    for path in walk(folders, ['.c', '.h', '.def', '.tsv']):
        for what, place in places_of(Source(path)):
            found.setdefault(what, set()).add(place)
    return found


def section_key(section):
    return [(0, int(p), '') if p.isdigit() else (1, 0, p) for p in section.split('.')] if section else []


def listed(places):
    return ', '.join(f'`{p}`' for p in sorted(places)) or '–'


def requirements():
    rows = [line.split('\t') for line in read(REQUIREMENTS).rstrip('\n').split('\n')]
    return rows[1:]


def document(code, tests):
    lines = [
        '# What tern follows, section by section',
        '',
        'Made by `scripts/rfc_index.py` from the section references in the sources; do not edit.',
        '',
    ]
    cited = sorted({(w[1], w[2]) for w in code if w[0] == 'RFC'}, key=lambda w: (w[0], section_key(w[1])))
    for number in sorted({n for n, _ in cited}):
        lines += [f'## RFC {number}', '', '| section | code |', '|---|---|']
        for section in [s for n, s in cited if n == number]:
            lines.append(f'| {section or "(as a whole)"} | {listed(code[("RFC", number, section)])} |')
        lines.append('')
    return lines + requirement_tables(code, tests)


def requirement_tables(code, tests):
    rows = requirements()
    lines = [
        '## The requirements of RFC 9293',
        '',
        'Numbers, levels and sections are those of its Appendix B; the descriptions are ours.',
        '',
        '| id | level | section | what it asks | code | tests |',
        '|---|---|---|---|---|---|',
    ]
    for ident, level, section, _, what in rows:
        lines.append(
            f'| {ident} | {level} | {section} | {what} | {listed(code.get(ident, ()))} '
            f'| {listed(tests.get(ident, ()))} |'
        )
    lines += ['', '### Not ours', '']
    lines += ['Advice to applications, what cannot arise here, and what is optional and not offered.', '']
    lines += ['| id | why |', '|---|---|'] + [f'| {ident} | {why} |' for ident, why in NOT_OURS.items()]
    lines += ['', '### Not named yet', '']
    for title, where in (('by code', code), ('by tests', tests)):
        owed = [row[0] for row in rows if row[0] not in NOT_OURS]
        missing = [ident for ident in owed if ident not in where]
        lines.append(f'{len(missing)} of {len(owed)} {title}: {", ".join(missing) or "none"}.')
        lines.append('')
    return lines


def main():
    parser = argparse.ArgumentParser(description='writes docs/RFC.md')
    parser.add_argument('--check', action='store_true')
    options = parser.parse_args()
    code, tests = collect(CODE), collect(TESTS)
    known = {row[0] for row in requirements()}
    wrong = [
        (what, place)
        for found in (code, tests)
        for what, places in found.items()
        for place in places
        if isinstance(what, str) and what not in known
    ]
    for what, place in sorted(wrong):
        print(f'{place}: {what} is no requirement of RFC 9293 ({REQUIREMENTS})')
    text = '\n'.join(document(code, tests)).rstrip('\n') + '\n'
    if options.check:
        path = os.path.join(ROOT, OUTPUT)
        stale = not os.path.exists(path) or read(OUTPUT) != text
        if stale:
            print(f'{OUTPUT} is not what the sources say: run scripts/rfc_index.py')
        print('ok' if not stale and not wrong else 'stale')
        return 1 if stale or wrong else 0
    with open(os.path.join(ROOT, OUTPUT), 'w', encoding='utf-8') as file:
        file.write(text)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
