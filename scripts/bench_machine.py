"""What a machine is, in the words that a figure needs beside it."""
import os
import re
import subprocess

PACKAGES = ['liblwip0', 'golang-gvisor-gvisor-dev', 'golang-go', 'nginx', 'wrk', 'gcc', 'libc6']


def _read(path):
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return file.read()
    except OSError:
        return ''


def _said(*argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ''
    return done.stdout.strip()


def _first(pattern, text, otherwise='unknown'):
    found = re.search(pattern, text, re.M)
    return found.group(1).strip() if found else otherwise


def versions():
    """{package: version} of what takes part and is installed."""
    listed = _said('dpkg-query', '-W', '-f=${Package} ${Version} ${db:Status-Status}\n', *PACKAGES)
    found = (line.split() for line in listed.split('\n'))
    return {words[0]: words[1] for words in found if len(words) == 3 and words[2] == 'installed'}


def describe():
    cpu = _read('/proc/cpuinfo')
    memory = int(_first(r'^MemTotal:\s+(\d+)', _read('/proc/meminfo'), '0'))
    return {
        'cpu': _first(r'^model name\s*:\s*(.*)$', cpu),
        'cores': len(os.sched_getaffinity(0)),
        'virtual': 'hypervisor' in _first(r'^flags\s*:\s*(.*)$', cpu, ''),
        'memory_gib': round(memory / 2**20),
        'kernel': os.uname().release,
        'system': _first(r'^PRETTY_NAME="?([^"\n]*)', _read('/etc/os-release')),
        'busy': round(os.getloadavg()[0], 2),
        'commit': _said('git', 'rev-parse', '--short', 'HEAD') or 'unknown',
        'date': _said('date', '-u', '+%Y-%m-%d'),
        'packages': versions(),
    }
