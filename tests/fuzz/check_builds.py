#!/usr/bin/env python3
"""Differential: whole stacks play the corpus of fuzz-stack in several builds, and each build shows the same
bytes and results: without optimisation and with it, by another compiler, with 32 bits, big-endian."""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'scripts'))

import building  # noqa: E402
from csource import ROOT  # noqa: E402

FLAGS = ['-std=c17', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-Wno-psabi']
FLAGS += ['-Iinclude', '-Isrc', '-Itests', '-I.']
SOURCES = ['tests/fuzz/fuzz_stack.c', 'tests/fuzz/replay.c', 'link/segment.c', 'link/packet.c', 'link/sum.c']
# name: compiler, options, what runs it
BUILDS = {
    'cc without optimisation': ('cc', ['-O0'], []),
    'cc with optimisation': ('cc', ['-O2'], []),
    'clang': ('clang', ['-O1'], []),
    '32 bits': ('i686-linux-gnu-gcc', ['-O1', '-static'], ['qemu-i386']),
    'big-endian': ('s390x-linux-gnu-gcc', ['-O1', '-static'], ['qemu-s390x']),
}
FEW = 60  # inputs, since some are played by an emulator


def some_inputs(folder):
    """A folder with every n-th input of the corpus."""
    corpus = os.path.join(HERE, 'corpus', 'stack')
    names = sorted(os.listdir(corpus))
    os.makedirs(folder)
    for name in names[:: max(1, len(names) // FEW)]:
        shutil.copy(os.path.join(corpus, name), folder)
    return folder


def build(name, folder):
    """The command that plays a folder of inputs in this build."""
    compiler, options, runner = BUILDS[name]
    building.need(compiler, *runner)
    place = os.path.join(folder, name.replace(' ', '-'))
    sources = building.core_files() + [os.path.join(ROOT, path) for path in SOURCES]
    objects = building.compile_all([compiler, *options], FLAGS, sources, place)
    program = os.path.join(place, 'fuzz-stack')
    building.run([compiler, *options, *objects, '-o', program])
    return [*runner, program]


def seen(name, folder, inputs):
    """What a build shows of some inputs, as a number."""
    done = subprocess.run(
        [*build(name, folder), inputs, '0'],
        env=dict(os.environ, FUZZ_STACK_SEEN='1'),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    found = re.search(r'^seen: (\w+)$', done.stderr, re.M)
    if done.returncode != 0 or not found:
        raise building.Failed(f'{name}: exit code {done.returncode}\n{done.stderr[-500:]}')
    return found.group(1)


def cases(folder):
    inputs = some_inputs(os.path.join(folder, 'inputs'))
    first, *others = BUILDS
    expected = seen(first, folder, inputs)
    for name in others:
        yield f'{name} shows what {first} shows', seen(name, folder, inputs) == expected


def main():
    folder = os.path.join(ROOT, 'build', 'fuzz-builds')
    shutil.rmtree(folder, ignore_errors=True)
    return 1 if building.tap('builds', cases(folder)) else 0


if __name__ == '__main__':
    sys.exit(main())
