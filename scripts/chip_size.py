#!/usr/bin/env python3
"""How much flash and RAM the core takes on a small chip, an Arm Cortex-M4.

    scripts/chip_size.py [--json]

Flash is what the linker keeps of each part of a program that uses a server's and a client's calls
(ports/chip/sixteen.c). RAM is measured by running that program on an emulated Cortex-M4: it seeks the
smallest block of memory in which sixteen connections hold."""
import collections
import json
import os
import re
import sys
import tempfile

from building import BARE_FLAGS, CORE_FLAGS, Failed, Missing, compile_all, core_files, files, need, run

COMPILER = 'arm-none-eabi-gcc'
MACHINE = ['-mcpu=cortex-m4', '-mthumb']
SMALL = ['-Os', '-DTERN_SMALL=1', '-DNDEBUG', '-ffunction-sections', '-fdata-sections']
EMULATOR = 'qemu-system-arm'
BOARD = ['-M', 'mps2-an386', '-display', 'none', '-monitor', 'none', '-serial', 'none']
SPEAKS = ['-chardev', 'stdio,id=said', '-semihosting-config', 'enable=on,target=native,chardev=said']
PARTS = ['base', 'wire', 'ip', 'tcp', 'stack', 'sock']
# What the figures must not exceed, bytes: a growth is a decision, made here.
# Flash: 90 KiB before the short ways. A chip has none of them (by_steps in tcp.h), but what they share
# with the ordered lists lies in headers now, and each file has its own copy of what it uses.
FLASH_MOST, REST_MOST, SHARED_MOST, FULL_MOST, STACK_MOST = 98 << 10, 24 << 10, 48 << 10, 92 << 10, 3 << 10


def build(folder):
    """The program for the chip, and the linker's map."""
    need(COMPILER)
    chip = [COMPILER, *MACHINE]
    made = compile_all(chip, [*CORE_FLAGS, *SMALL], core_files(), folder)
    made += compile_all(chip, [*BARE_FLAGS, *SMALL], files('ports/bare/mem.c'), folder)
    program = files('ports/chip/sixteen.c', 'ports/chip/start.c')
    made += compile_all(chip, [*CORE_FLAGS, *SMALL, '-I.'], program, folder)
    image, plan = os.path.join(folder, 'chip.elf'), os.path.join(folder, 'chip.map')
    script = ['-T', 'ports/chip/chip.ld', '-Wl,--gc-sections', f'-Wl,-Map={plan}']
    run([*chip, '-nostdlib', *script, *made, '-lgcc', '-o', image])
    return image, plan


def part_of(path):
    """base ... sock; 'arithmetic' (what the compiler calls for 64 bits); 'memory' (memcpy and its like)."""
    room = re.search(r'/src-(\w+)-[^/]*\.o$', path)
    if room:
        return room.group(1)
    return 'arithmetic' if 'libgcc' in path else 'memory' if 'ports-bare' in path else 'program'


def flash(plan):
    """Bytes of code and constants by part, from the linker's map of what it has kept."""
    with open(plan, encoding='utf-8') as file:
        kept = file.read().split('Linker script and memory map', 1)[1]
    found = collections.Counter()
    # " .text.name  0xADDRESS  0xSIZE  FILE", with a line break behind a long name
    for size, path in re.findall(r'^ \.(?:text|rodata|data)\S*\s+0x\w+\s+0x(\w+)\s+(\S+)$', kept, re.M):
        found[part_of(path)] += int(size, 16)
    return found


def ram(image):
    """{mode: {what: bytes}} that the program says, run by the emulator."""
    need(EMULATOR)
    said, mode = collections.defaultdict(dict), 'all'
    for line in run([EMULATOR, *BOARD, *SPEAKS, '-kernel', image]).splitlines():
        words = line.split()
        if len(words) == 1:
            mode = words[0]
        elif len(words) == 2:
            said['all' if words[0] == 'stack' else mode][words[0]] = int(words[1])
    if not {'shared', 'full'} <= said.keys() or 'stack' not in said['all']:
        raise Failed(f'the program on the chip did not come to its end: {dict(said)}')
    return said


def core_total(parts):
    return sum(parts[part] for part in PARTS)


def report(parts, said):
    print('flash, bytes of code and constants (Cortex-M4, -Os, IPv4 and IPv6, a server and a client):')
    for part in PARTS:
        print(f'  src/{part:11}{parts[part]:8}')
    print(f'  {"all of src/":15}{core_total(parts):8}')
    print(f'  {"64-bit division":15}{parts["arithmetic"]:8}   the compiler\'s')
    print(f'  {"memcpy ...":15}{parts["memory"]:8}   ports/bare/mem.c')
    print(f'RAM with 16 connections, bytes (pages of {said["all"]["page"]}):')
    print(f'  {said["shared"]["at-rest"]:8}  in use when all are open and at rest')
    print(f'  {said["shared"]["block"]:8}  smallest block for 16 requests and answers of 2 KiB at once')
    print(f'  {said["full"]["block"]:8}  smallest block that also holds 16 full receive buffers of 2 KiB')
    print(f'  {said["all"]["stack"]:8}  of the processor\'s stack, the program included; no other variables')


def test(folder):
    image, plan = build(folder)
    total = core_total(flash(plan))
    yield f'Cortex-M4: src/ takes {total} bytes of flash, {FLASH_MOST} at most', 20000 < total <= FLASH_MOST
    said = ram(image)
    shared, full, stack = said['shared']['block'], said['full']['block'], said['all']['stack']
    rest = said['shared']['at-rest']
    yield f'16 connections at rest take {rest} bytes, {REST_MOST} at most', 10000 < rest <= REST_MOST
    yield f'16 requests at once hold in {shared} bytes, {SHARED_MOST} at most', shared <= SHARED_MOST
    yield f'16 full buffers in {full} bytes, {FULL_MOST} at most', shared < full <= FULL_MOST
    yield f'{stack} bytes of stack, {STACK_MOST} at most', 500 < stack <= STACK_MOST
    yield 'nothing is refused then', said['full']['refused'] == 0 and said['full']['retransmits'] == 0


def main():
    with tempfile.TemporaryDirectory() as folder:
        try:
            image, plan = build(folder)
            parts, said = flash(plan), ram(image)
        except (Failed, Missing) as why:
            sys.exit(f'chip_size: {"there is no " if isinstance(why, Missing) else ""}{why}')
    if sys.argv[1:] == ['--json']:
        print(json.dumps({'flash': {part: parts[part] for part in sorted(parts)}, 'ram': said}))
    else:
        report(parts, said)


if __name__ == '__main__':
    main()
