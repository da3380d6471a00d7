"""Compiling and running for other places than this machine. Used by everywhere.py and chip_size.py."""
import concurrent.futures
import glob
import os
import shutil
import subprocess

from csource import ROOT

SECONDS = 120  # what one program may take
WARNINGS = ['-Wall', '-Wextra', '-Werror']
CORE_FLAGS = ['-std=c17', '-ffreestanding', '-fbuiltin', '-Iinclude', '-Isrc']
BARE_FLAGS = ['-std=c17', '-ffreestanding', '-fno-builtin']  # memcpy must not become a call of itself


class Failed(Exception):
    """A step that did not work; the text says why."""


class Missing(Exception):
    """A tool that is not here."""


def run(argv, text=True):
    """What a program prints on standard output; Failed when it does not succeed."""
    try:
        done = subprocess.run(
            argv, capture_output=True, timeout=SECONDS, check=False, cwd=ROOT, stdin=subprocess.DEVNULL
        )
    except OSError as why:
        raise Failed(f'{argv[0]} cannot be started: {why.strerror}') from why
    except subprocess.TimeoutExpired as late:
        raise Failed(f'{argv[0]} took more than {SECONDS} s') from late
    if done.returncode != 0:
        raise Failed(f'{" ".join(argv)[:200]}: exit code {done.returncode}\n' + done.stderr.decode()[-2000:])
    return done.stdout.decode() if text else done.stdout


def need(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            raise Missing(tool)


def files(*patterns):
    return sorted(path for p in patterns for path in glob.glob(os.path.join(ROOT, p), recursive=True))


def core_files():
    return files('src/*/*.c')


def compile_all(compiler, flags, sources, folder):
    """Object files, one for each source."""

    def compile_one(source):
        name = os.path.relpath(source, ROOT).replace(os.sep, '-')
        made = os.path.join(folder, f'{name}.o')
        run(compiler + flags + WARNINGS + ['-c', source, '-o', made])
        return made

    os.makedirs(folder, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sources))


def tap(place, cases):
    """Prints the cases as TAP: pairs of what is shown, and whether it holds. Returns how many do not."""
    count = bad = 0
    try:
        for what, good in cases:
            count, bad = count + 1, bad + (not good)
            print(f'{"ok" if good else "not ok"} {count} - {what}', flush=True)
    except Missing as tool:
        count += 1
        print(f'ok {count} - the rest # SKIP {tool} is not here')
    except Failed as why:
        count, bad = count + 1, bad + 1
        print(f'not ok {count} - {place}')
        print('\n'.join(f'# {line}' for line in str(why).splitlines()))
    print(f'1..{count}')
    return bad
