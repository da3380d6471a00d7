"""Reads the Prometheus text format (0.0.4) strictly from standard input; exits 1 with what is wrong.

Stricter than a scraper has to be: each metric has HELP and TYPE before its samples, in this order and once;
its samples stand together; no sample comes twice; counters and only counters end in _total, and count up
from 0; every value is a number. Prints NAME{LABELS} VALUE of the samples named as arguments."""
import re
import sys

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf'({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?)$')


def fail(number, line, why):
    sys.exit(f'line {number}: {why}: {line!r}')


def check(text):
    """{sample: value} of a correct text."""
    samples, types, helped, current = {}, {}, set(), None
    if not text.endswith('\n'):
        sys.exit('the last line does not end')
    for number, line in enumerate(text[:-1].split('\n'), 1):
        if match := re.match(rf'# HELP ({NAME}) (\S.*)$', line):
            if match[1] in helped:
                fail(number, line, 'a second HELP')
            if re.search(r'\\(?![\\n])', match[2]):
                fail(number, line, 'a backslash that escapes nothing')
            helped.add(match[1])
        elif match := re.match(rf'# TYPE ({NAME}) (counter|gauge)$', line):
            current = match[1]
            if current in types or current not in helped:
                fail(number, line, 'a second TYPE, or one without HELP')
            if (match[2] == 'counter') != current.endswith('_total'):
                fail(number, line, 'only counters end in _total')
            types[current] = match[2]
        elif match := SAMPLE.match(line):
            name, labels, value = match.groups()
            if name != current:
                fail(number, line, 'a sample apart from its metric')
            key = name + '{' + ','.join(sorted(re.findall(LABEL, labels or ''))) + '}'
            if key in samples:
                fail(number, line, 'the same sample again')
            if types[name] == 'counter' and float(value) < 0:
                fail(number, line, 'a counter below 0')
            samples[key] = value
        else:
            fail(number, line, 'neither HELP nor TYPE nor a sample')
    if helped != set(types):
        sys.exit(f'HELP without TYPE: {helped - set(types)}')
    return samples


found = check(sys.stdin.read())
for wanted in sys.argv[1:]:
    hits = [key for key in found if key.startswith(wanted)]
    if not hits:
        sys.exit(f'there is no {wanted}')
    for key in hits:
        print(key, found[key])
