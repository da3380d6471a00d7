#!/usr/bin/env python3
"""Runs the long proofs of scripts/prove/ and gathers what they found in one table; called by `./dev prove
[FILTER]`.

    TERN_PROVE_SECONDS=N    what each proof may take, where its length can be chosen (each has a default)

A proof is an executable. Its exit code says whether it holds; each line `proof: NAME: FIGURES` that it prints
becomes a row of the table. For those that print none a closing line `N passed, N failed` stands, or the cases
that TAP tells of and its last comment. What it prints besides is in build/prove-logs/NAME.log. An interrupted
run prints the table of what is done."""
import argparse
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROOFS = os.path.join(ROOT, 'scripts', 'prove')
LOGS = os.path.join(ROOT, 'build', 'prove-logs')
ROW = re.compile(r'^proof: ([^:]+): (.*)$')
CLOSING = re.compile(r'^(?:\w+: )?(\d+ passed, \d+ failed.*)$')


def executables(words):
    for name in sorted(os.listdir(PROOFS)):
        path = os.path.join(PROOFS, name)
        if any(word in name for word in words or ['']) and os.path.isfile(path) and os.access(path, os.X_OK):
            yield name, path


def rows_of(name, text):
    """[(what, figures)] of a proof's output."""
    rows, closing = [], ''
    for line in text.split('\n'):
        row = ROW.match(line)
        end = CLOSING.match(line)
        if row:
            rows.append((row.group(1), row.group(2)))
        elif end:
            closing = end.group(1)
    return rows or [(name, closing or cases_of(text) or 'no figures')]


def cases_of(text):
    """The cases of TAP, and the last comment with a figure in it."""
    passed, failed = (len(re.findall(rf'^{word} \d+', text, re.M)) for word in ('ok', 'not ok'))
    figures = re.findall(r'^# (.*\d.*)$', text, re.M)
    if passed + failed == 0:
        return ''
    return f'{passed} passed, {failed} failed' + (f'; {figures[-1]}' if figures else '')


def run(name, path):
    """(exit code, seconds, output); None as the code: interrupted."""
    began = time.monotonic()
    log = os.path.join(LOGS, name + '.log')
    with open(log, 'w', encoding='utf-8') as out:
        process = subprocess.Popen(
            [path],
            cwd=ROOT,
            env=dict(os.environ, CMOCKA_MESSAGE_OUTPUT='TAP', TERN_SOURCE_ROOT=ROOT),
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)  # it says what it has found so far
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            code = None
    with open(log, encoding='utf-8', errors='replace') as file:
        return code, time.monotonic() - began, file.read()


def table(done):
    width = max([len(what) for _, rows, _, _ in done for what, _ in rows] + [5])
    for name, rows, code, seconds in done:
        word = 'ok' if code == 0 else 'STOPPED' if code is None else 'FAILED'
        for what, figures in rows:
            print(f'{word:8}{what:{width}}  {figures}')
        if code != 0:
            print(f'{"":8}{"":{width}}  {seconds:.0f} s; all of it: build/prove-logs/{name}.log')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('filter', nargs='*')
    options = parser.parse_args()
    os.makedirs(LOGS, exist_ok=True)
    proofs = list(executables(options.filter))
    if not proofs:
        print(f'no proof is called {" or ".join(map(repr, options.filter))}')
        return 1
    done, stopped = [], False
    for name, path in proofs:
        print(f'prove: {name}', file=sys.stderr, flush=True)
        code, seconds, text = run(name, path)
        done.append((name, rows_of(name, text), code, seconds))
        print(f'prove: {name}: {seconds:.0f} s, {"holds" if code == 0 else "DOES NOT HOLD"}', file=sys.stderr)
        if code is None:
            stopped = True
            break
    print()
    table(done)
    held = sum(1 for _, _, code, _ in done if code == 0)
    print(f'{held} passed, {len(done) - held} failed')
    return 130 if stopped else 0 if held == len(done) else 1


if __name__ == '__main__':
    sys.exit(main())
