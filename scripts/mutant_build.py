"""A core with a fault in it, quickly. Used by mutate.py.

The core is linked once as a shared library, and each test once against that (below build/mutants). A mutant
is the objects of the sources that it changes, alone, as a library that is loaded before the other
(LD_PRELOAD): its functions take the place of the sound ones. So a mutant costs the compiler a file or two,
and nothing is linked again. The checkout and the build are never touched."""
import glob
import hashlib
import json
import os
import re
import shlex
import subprocess

from csource import ROOT, walk
from mutants import Unfit

BUILD = os.path.join(ROOT, 'build')
PLACE = os.path.join(BUILD, 'mutants')
CORE = 'src/libtern-core.a'
COMPILE_SECONDS = 120


class Missing(Exception):
    """What must be there first; the text says what to do."""


def digest(*texts):
    made = hashlib.sha256()
    for text in texts:
        made.update(text if isinstance(text, bytes) else text.encode())
        made.update(b'\0')
    return made.hexdigest()[:16]


def newer(path, than):
    """Whether `path` is there and not older than each of `than`."""
    return os.path.exists(path) and all(os.path.getmtime(path) >= os.path.getmtime(p) for p in than)


def run(argv, what):
    try:
        done = subprocess.run(
            argv, cwd=BUILD, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise Unfit(f'{what}: the compiler took more than {COMPILE_SECONDS} s') from late
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if 'error' in line or 'undefined' in line]
        raise Unfit(f'{what}: does not compile:\n' + '\n'.join('    ' + line for line in said[:6]))


class Workshop:
    """Knows how the build compiles and links, and does the same aside."""

    def __init__(self):
        if not os.path.exists(os.path.join(BUILD, 'build.ninja')):
            raise Missing('there is no build: ./dev build first')
        os.makedirs(os.path.join(PLACE, 'bin'), exist_ok=True)
        os.makedirs(os.path.join(PLACE, 'made'), exist_ok=True)
        self.compiled = {  # object: (source, command), of the core
            entry['output']: (os.path.normpath(os.path.join('build', entry['file'])), entry['command'])
            for entry in self.ninja('c_COMPILER')
            if entry['output'].startswith(CORE)
        }
        self.linked = {e['output']: e['command'] for e in self.ninja('c_LINKER') if CORE in e['command']}
        headers = walk(['src', 'include'], ['.h', '.def'])
        self.headers = digest(*(open(os.path.join(ROOT, h), 'rb').read() for h in headers))
        self.users = None
        self.core = self.link_core()

    @staticmethod
    def ninja(rule):
        argv = ['ninja', '-C', BUILD, '-t', 'compdb', rule]
        return json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)

    def link_core(self):
        core = os.path.join(PLACE, 'libtern-sound.so')
        objects = [os.path.join(BUILD, o) for o in self.compiled]
        gone = [o for o in objects if not os.path.exists(o)]
        if gone:
            raise Missing('the build is not complete: ./dev build first')
        if not newer(core, objects):
            run(['cc', '-shared', '-o', core, *objects], 'the sound core')
        return core

    def executable(self, output):
        """A test of the build, linked against the shared core. `output`: its path in the build."""
        made = os.path.join(PLACE, 'bin', output.replace('/', '-'))
        if output not in self.linked:
            return os.path.join(BUILD, output)  # has no core in it
        if not newer(made, [os.path.join(BUILD, output)]):
            argv = shlex.split(self.linked[output].replace(CORE, self.core))
            argv[argv.index('-o') + 1] = made
            run([*argv, f'-Wl,-rpath,{PLACE}'], output)
        return made

    def objects_of(self, path):
        """The objects of the core that a source goes into."""
        if path.endswith('.c'):
            return [o for o, (source, _) in self.compiled.items() if source == path]
        if self.users is None:
            self.users = self.read_deps()
        return sorted(self.users.get(path, []))

    def read_deps(self):
        users, output = {}, ''
        argv = ['ninja', '-C', BUILD, '-t', 'deps']
        for line in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines():
            if match := re.match(r'(\S+): #deps', line):
                output = match.group(1)
            elif output in self.compiled and line.strip():
                path = os.path.normpath(os.path.join('build', line.strip()))
                users.setdefault(path, set()).add(output)
        return users

    def library(self, mutant):
        """The path of a mutant as a library, made when it is not there yet."""
        changed = mutant.sources()
        made = os.path.join(PLACE, 'made', f'{mutant.name}-{self.mark(changed)}.so')
        if os.path.exists(made):
            return made
        for old in glob.glob(os.path.join(PLACE, 'made', glob.escape(mutant.name) + '-????????????????.so')):
            os.remove(old)
        over = os.path.join(PLACE, 'work', mutant.name)
        for path, text in changed.items():
            file = os.path.join(over, path)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, 'w', encoding='utf-8') as out:
                out.write(text)
        objects = [self.compile(mutant, o, over, changed) for p in changed for o in self.objects_of(p)]
        if not objects:
            raise Unfit(f'{mutant.name}: what it changes is in no object of the core')
        part = f'{made}.part'
        folder, name = os.path.split(self.core)
        link = ['cc', '-shared', '-o', part, *sorted(set(objects)), f'-L{folder}', f'-l:{name}']
        run([*link, f'-Wl,-rpath,{folder}'], mutant.name)
        os.replace(part, made)
        return made

    def mark(self, changed):
        """Tells one making of a mutant from another: by the sources it changes, and all headers."""
        return digest(self.headers, *(path + text for path, text in sorted(changed.items())))

    def compile(self, mutant, output, over, changed):
        source, command = self.compiled[output]
        made = os.path.join(over, os.path.basename(output))
        argv = [word for word in shlex.split(command) if word != 'ccache']
        argv[argv.index('-o') + 1] = made
        argv[argv.index('-c') + 1] = os.path.join(over if source in changed else ROOT, source)
        for option in ('-MQ', '-MF'):
            at = argv.index(option)
            del argv[at : at + 2]
        beside = os.path.dirname(os.path.join(ROOT, source))  # headers that are included without a folder
        argv[1:1] = ['-I' + os.path.join(over, 'src')]
        run([*argv, '-I' + beside, '-MF', '/dev/null', '-g0', '-w'], mutant.name)
        return made
