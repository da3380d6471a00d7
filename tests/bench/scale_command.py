#!/usr/bin/env python3
"""`tern bench scale` as a program meets it: every figure is there, and each is one line of the form that
bench/README.md describes. How large they are is not judged: the machine has other work."""
import json
import os
import subprocess
import sys

TERN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'build', 'tern')
N = 10000
WANTED = {
    ('W6', '1000', 'ns/packet'),
    ('W6', 'one by one 1000', 'ns/packet'),
    ('W6', f'{N}', 'ns/packet'),
    ('W6', f'one by one {N}', 'ns/packet'),
    ('scale', 'open 1000', 'ns/connection'),
    ('scale', f'open {N}', 'ns/connection'),
    ('scale', f'held {N}', 'ns/connection/h'),
    ('scale', f'memory {N}', 'bytes/connection'),
    ('scale', f'close {N}', 'ns/connection'),
    ('scale', f'process {N}', 'GiB'),
}


def figures():
    command = [TERN, 'bench', 'scale', '--growth', '--n', str(N), '--packets', '1000', '--json']
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0 or done.stderr:
        return {}, [f'exit {done.returncode}: {done.stderr.strip()}']
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [str(line) for line in lines if line['stack'] != 'tern' or not line['value'] >= 0]
    return {(line['workload'], line['case'], line['unit']): line['value'] for line in lines}, wrong


def main():
    found, wrong = figures()
    wrong += [f'missing: {key}' for key in sorted(WANTED - set(found))]
    wrong += [f'not known: {key}' for key in sorted(set(found) - WANTED)]
    bytes_each = found.get(('scale', f'memory {N}', 'bytes/connection'), 0)
    if not 400 < bytes_each < 560:  # 256 for each end, and what a table needs when it is small
        wrong.append(f'{bytes_each} bytes for a connection with both ends')
    for line in wrong:
        print(f'# {line}')
    print('not ok' if wrong else 'ok', '1 - tern bench scale: every figure, once')
    print('1..1')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
