#!/usr/bin/env python3
"""The places where tern must fit, built and tried: other machines, WebAssembly, one file, a small chip.

    scripts/everywhere.py test PLACE           TAP: builds into a temporary folder and tries it
    scripts/everywhere.py build PLACE FOLDER   builds it there and says what was made
    scripts/everywhere.py places               their names

On every place the scenarios of `tern demo` are played by the same core, on a virtual clock, and what they
print must be what build/tern prints here, byte for byte."""
import os
import re
import shutil
import sys
import tempfile

import chip_size
from building import BARE_FLAGS, CORE_FLAGS, WARNINGS, Failed, Missing, compile_all, core_files, files, need
from building import run, tap
from csource import ROOT, core_headers, read

TERN = os.environ.get('TERN_COMMAND', os.path.join(ROOT, 'build', 'tern'))
SEEDS = range(1, 6)
FEW = ['handshake', 'close', 'transfer']  # with every seed; all others with the first
CALLED = {'memcpy', 'memmove', 'memset', 'memcmp'}  # what the core needs from outside


NOT_BARE = {'scene_close_wait.c', 'explain.c'}


def scene_files():
    """The simulation and its printer; all but what needs a JSON library, and what writes captures."""
    sim = [path for path in files('sim/*.c') if os.path.basename(path) not in NOT_BARE]
    return sim + files('host/story.c', 'host/json_line.c', 'host/trace_json.c')


SCENE_FLAGS = ['-std=gnu17', '-D_GNU_SOURCE', '-DWITHOUT_JANSSON', '-I.', '-Iinclude']


# --- what is compared -----------------------------------------------------------------------------------


def names():
    listed = run([TERN, 'demo', '--list'])
    return [line.split()[0] for line in listed.splitlines() if not line.startswith('close-wait')]


def others():
    return [name for name in names() if name not in FEW]


def same(play, seed, what, title):
    here = run([TERN, 'demo', '--json', '--seed', str(seed), *what], text=False)
    there = play(seed, what)
    return f'{title}, seed {seed}: the same {len(here)} bytes', here == there and len(here) > 1000


def compare_few(play):
    """TAP cases: what `play(seed, names)` prints equals what the command prints here."""
    for seed in SEEDS:
        yield same(play, seed, FEW, ', '.join(FEW))


def compare(play):
    yield from compare_few(play)
    yield same(play, SEEDS[0], others(), f'the {len(others())} other scenarios')


# --- machines with Linux --------------------------------------------------------------------------------


class Machine:
    def __init__(self, title, compiler, emulator):
        self.title, self.compiler, self.emulator = title, compiler, emulator

    def build(self, folder):
        need(self.compiler)
        core = compile_all([self.compiler], [*CORE_FLAGS, '-O2'], core_files(), folder)
        scenes = [*scene_files(), os.path.join(ROOT, 'ports/scenes.c')]
        rest = compile_all([self.compiler], [*SCENE_FLAGS, '-O1'], scenes, folder)
        made = os.path.join(folder, 'scenes')
        run([self.compiler, '-static', *core, *rest, '-o', made])
        return core, made

    def alone(self, core, folder):
        """The core links with the compiler's own arithmetic and ports/bare/mem.c, without a C library."""
        memory = compile_all([self.compiler], [*BARE_FLAGS, '-O2'], files('ports/bare/mem.c'), folder)
        # raise: what libgcc for ARM calls when something is divided by zero
        linked = ['-nostdlib', '-static', '-Wl,-e,tern_rx', '-Wl,--defsym=raise=0']
        run([self.compiler, *linked, *core, *memory, '-lgcc', '-o', os.path.join(folder, 'alone')])
        return True

    def starter(self, made):
        """How a program of that machine is started here: by itself if the kernel can, else emulated."""
        try:
            run([made, 'handshake'])
            return []
        except (Failed, OSError):
            need(self.emulator)
            return [self.emulator]

    def test(self, folder):
        core, made = self.build(folder)
        yield f'{self.title}: compiled without a warning', True
        yield 'src/ links without a C library', self.alone(core, folder)
        start = [] if self.emulator is None else self.starter(made)
        yield from compare(lambda seed, what: run([*start, made, '--seed', str(seed), *what], text=False))


# --- WebAssembly ------------------------------------------------------------------------------------------

WASM = ['clang', '--target=wasm32', '-nostdlib', '-ffreestanding', '-fno-builtin']
SCENE_STACK = '-Wl,-z,stack-size=1048576'  # as much as a process has here: the oracle's model lies there


def leb128(data, at):
    """An unsigned number of the binary format, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at


def wasm_imports(data):
    """(module, name, kind) of each import: kind 2 is a memory. Section 2 of the binary format."""
    if data[:8] != b'\0asm\1\0\0\0':
        raise Failed('not a WebAssembly module')
    at = 8
    while at < len(data):
        section, (length, begin) = data[at], leb128(data, at + 1)
        at = begin + length
        if section == 2:
            return list(import_entries(data, begin))
    return []


def import_entries(data, at):
    count, at = leb128(data, at)
    for _ in range(count):
        words = []
        for _ in range(2):
            length, at = leb128(data, at)
            words.append(data[at : at + length].decode())
            at += length
        kind = data[at]
        yield words[0], words[1], kind
        if kind == 0:  # a function: the index of its type
            _, at = leb128(data, at + 1)
        elif kind == 2:  # a memory: limits
            limits, at = data[at + 1], at + 2
            for _ in range(2 if limits & 1 else 1):
                _, at = leb128(data, at)
        else:
            raise Failed(f'import of kind {kind}: {words}')


def public_calls():
    """The functions of the public headers, but for those that are inline."""
    found = set()
    for path in core_headers():
        text = re.sub(r'/\*.*?\*/', '', read(path), flags=re.S)
        found |= set(re.findall(r'^(?!static|typedef)[\w ]+?[ *](tern_\w+)\([^{;]*\);', text, re.M))
    return sorted(found)


def link_wasm(out, objects, *flags):
    run([*WASM, '-Wl,--no-entry', *flags, *objects, '-o', out])
    return out


def wasm_parts(folder):
    """Object files by part: the core, the memory functions, the rest of ports/bare, the two modules."""
    need('clang', 'wasm-ld')
    bare = ['-O2', '-Iports/bare/include']
    core = ['-std=c17', '-Iinclude', '-Isrc']
    sim = [flag for flag in SCENE_FLAGS if flag != '-D_GNU_SOURCE']
    plan = {
        'core': ([*bare, *core], core_files()),
        'memory': ([*bare, '-std=c17'], files('ports/bare/mem.c')),
        'bare': ([*bare, '-std=c17'], files('ports/bare/heap.c', 'ports/bare/text.c')),
        'stack': ([*bare, *core], files('ports/wasm/stack.c')),
        'scenes': ([*bare, *sim], [*scene_files(), *files('ports/wasm/scenes.c')]),
    }
    return {
        part: compile_all(WASM, flags, sources, os.path.join(folder, 'objects'))
        for part, (flags, sources) in plan.items()
    }


def link_modules(parts, folder):
    exports = [f'-Wl,--export={name}' for name in public_calls()]
    all_bare = [*parts['core'], *parts['memory'], *parts['bare']]
    return [
        link_wasm(os.path.join(folder, 'tern.wasm'), [*all_bare, *parts['stack']], *exports),
        link_wasm(os.path.join(folder, 'scenes.wasm'), [*all_bare, *parts['scenes']], SCENE_STACK),
    ]


def bare_core(parts, folder):
    """What src/ and the four memory functions import when everything of them is kept."""
    out = os.path.join(folder, 'core.wasm')
    link_wasm(out, [*parts['core'], *parts['memory']], '-Wl,--export-all', '-Wl,--import-memory')
    with open(out, 'rb') as file:
        return wasm_imports(file.read())


def build_wasm(folder):
    return link_modules(wasm_parts(folder), folder)


def test_wasm(folder):
    parts = wasm_parts(folder)
    stack, scenes = link_modules(parts, folder)
    yield 'src/ links with no import but memory', bare_core(parts, folder) == [('env', 'memory', 2)]
    for module in (stack, scenes):
        with open(module, 'rb') as file:
            yield f'{os.path.basename(module)} imports nothing', wasm_imports(file.read()) == []
    need('node')
    said = run(['node', 'examples/wasm/hello.mjs', stack])
    yield 'examples/wasm/hello.mjs: two stacks talk in node', 'hello from WebAssembly' in said
    player = ['node', 'ports/wasm/scenes.mjs', scenes]
    yield from compare(lambda seed, what: run([*player, '--seed', str(seed), *what], text=False))


# --- one file, small tables -------------------------------------------------------------------------------


def build_single(folder):
    run([sys.executable, 'scripts/amalgamate.py', folder])
    return [os.path.join(folder, name) for name in ('tern.c', 'tern.h')]


def symbols(made):
    """Names that an object defines for others, and names that it needs."""
    lines = [line.split() for line in run(['nm', made]).splitlines()]
    return {w[-1] for w in lines if w[-2].isupper() and w[-2] != 'U'}, {w[-1] for w in lines if w[-2] == 'U'}


def test_single(folder):
    source, header = build_single(folder)
    made = os.path.join(folder, 'tern.o')
    own = {'clang': ['-fno-builtin-bcmp', '-fno-builtin-strlen']}  # which it would call by itself
    for compiler in filter(shutil.which, ('clang', 'cc')):
        run([compiler, '-std=c17', '-O2', *WARNINGS, *own.get(compiler, []), '-c', source, '-o', made])
        yield f'tern.c, {compiler}: compiled without a warning', True
        defined, needed = symbols(made)
        yield 'tern.o defines tern_ names only', all(name.startswith('tern_') for name in defined)
        yield 'tern.o needs memcpy, memmove, memset, memcmp only', needed <= CALLED
    check = os.path.join(folder, 'header.cc')
    with open(check, 'w', encoding='utf-8') as file:
        file.write('#include "tern.h"\nint main() { return tern_ip_is4(nullptr); }\n')
    for compiler in filter(shutil.which, ('g++', 'clang++')):
        run([compiler, *WARNINGS, '-fsyntax-only', check])
        yield f'tern.h is C++, too ({compiler})', True
    hello = os.path.join(folder, 'hello')
    run(['cc', '-std=c17', '-O2', *WARNINGS, f'-I{folder}', 'ports/single/hello.c', made, '-o', hello])
    yield 'ports/single/hello.c', run([hello]) == 'hello from one file\n'
    rest = compile_all(['cc'], [*SCENE_FLAGS, '-O1'], [*scene_files(), f'{ROOT}/ports/scenes.c'], folder)
    run(['cc', *rest, made, '-o', f'{folder}/scenes'])
    yield from compare(lambda seed, what: run([f'{folder}/scenes', '--seed', str(seed), *what], text=False))


def build_small(folder):
    core = compile_all(['cc'], [*CORE_FLAGS, '-O2', '-DTERN_SMALL=1'], core_files(), folder)
    rest = compile_all(['cc'], [*SCENE_FLAGS, '-O1'], [*scene_files(), f'{ROOT}/ports/scenes.c'], folder)
    run(['cc', *core, *rest, '-o', f'{folder}/scenes'])
    return core, f'{folder}/scenes'


def test_small(folder):
    core, scenes = build_small(folder)
    yield 'the tables of a small chip (-DTERN_SMALL=1): compiled without a warning', True
    flags = ['-std=gnu17', '-DTERN_SMALL=1', '-I.', '-Iinclude', '-Isrc', '-Itests']
    run(['cc', *flags, 'tests/unit/test_base_wheel.c', *core, '-lcmocka', '-o', f'{folder}/wheel'])
    run([f'{folder}/wheel'])
    yield 'the unit test of its timing wheel', True
    yield from compare_few(lambda seed, what: run([scenes, '--seed', str(seed), *what], text=False))
    # this wheel turns at other times, and some programs in the scenarios act whenever the clock stops
    run([scenes, *others()])
    yield f'the {len(others())} other scenarios hold', True


# --- the command ----------------------------------------------------------------------------------------

MACHINES = {
    'i686': Machine('32 bits, x86', 'i686-linux-gnu-gcc', 'qemu-i386'),
    'armhf': Machine('32 bits, ARM', 'arm-linux-gnueabihf-gcc', 'qemu-arm'),
    's390x': Machine('big-endian, 64 bits, s390x', 's390x-linux-gnu-gcc', 'qemu-s390x'),
}
TESTS = {**{name: m.test for name, m in MACHINES.items()}}
TESTS.update({'wasm': test_wasm, 'single': test_single, 'small': test_small, 'chip': chip_size.test})
BUILDS = {**{name: m.build for name, m in MACHINES.items()}}
BUILDS.update({'wasm': build_wasm, 'single': build_single, 'small': build_small})


def test(place):
    with tempfile.TemporaryDirectory() as folder:
        return tap(place, TESTS[place](folder))


def main():
    words = sys.argv[1:]
    if words == ['places']:
        print('\n'.join(TESTS))
    elif len(words) == 2 and words[0] == 'test' and words[1] in TESTS:
        sys.exit(test(words[1]) > 0)
    elif len(words) == 3 and words[0] == 'build' and words[1] in BUILDS:
        try:
            for made in BUILDS[words[1]](os.path.abspath(words[2])):
                print(made if isinstance(made, str) else f'{len(made)} object files')
        except (Failed, Missing) as why:
            sys.exit(f'everywhere: {"there is no " if isinstance(why, Missing) else ""}{why}')
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main()
