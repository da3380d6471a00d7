"""The tests by their names, run with a mutant or without. Used by mutate.py."""
import ctypes
import glob
import json
import os
import re
import resource
import signal
import subprocess
import threading
import time

from csource import ROOT
from mutant_build import BUILD
from mutants import Unfit

CPU_SECONDS = 60  # of a sound test
PATIENCE = 10  # a mutant may take so many times as long, and these seconds more
SECONDS = 240  # on a busy machine
MEMORY = 4 << 30
SCRIPTS = os.path.join(ROOT, 'tests', 'conversations')
LAST = {'conv/fail', 'conv/budget', 'conv/waiting', 'conv/attack'}  # the slow ones, asked when no other knows
ENVIRONMENT = {'CMOCKA_MESSAGE_OUTPUT': 'TAP', 'TERN_SOURCE_ROOT': ROOT}
PR_SET_PDEATHSIG = 1


class Result:
    def __init__(self, code, output):
        self.code = code
        self.failed = code != 0
        self.cases = re.findall(r'^not ok \d+ - (\w+)', output, re.M)
        self.cases += re.findall(r'^FAIL tests/conversations/(\S+)\.pkt', output, re.M)

    def why(self):
        if self.code == -signal.SIGXCPU or self.code == -signal.SIGKILL:
            return 'it does not end'
        if self.code < 0 and not self.cases:
            return f'ended by {signal.Signals(-self.code).name}'
        return ' '.join(self.cases) or f'exit code {self.code}'


def bounded(cpu_seconds):
    """In the child: it ends with us, and when it goes on for ever."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def start(argv, library, cpu_seconds):
    env = dict(os.environ, **ENVIRONMENT)
    if library:
        env['LD_PRELOAD'] = library
    return subprocess.Popen(
        argv,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: bounded(cpu_seconds),
    )


class Tests:
    def __init__(self, shop):
        self.shop = shop
        self.compiled = self.read_compiled()
        self.sound = {}
        self.guard = threading.Lock()
        self.linking = threading.Lock()

    @staticmethod
    def read_compiled():
        """{suite/name: command} of what meson has built."""
        found = {}
        with open(os.path.join(BUILD, 'meson-info', 'intro-tests.json'), encoding='utf-8') as file:
            for test in json.load(file):
                suite = test['suite'][0].split(':')[-1]
                found[f'{suite}/{test["name"].removeprefix(suite + "-")}'] = test['cmd']
        return found

    def folders(self):
        """The folders of scripts: each is a test, too."""
        paths = glob.glob(os.path.join(SCRIPTS, '**', '*.pkt'), recursive=True)
        return sorted({'check/' + os.path.relpath(os.path.dirname(path), SCRIPTS) for path in paths})

    def names(self):
        """All of them, cheap ones first."""
        suites = ['conv', 'matrix', 'pitfalls', 'sim', 'fuzz', 'unit']
        cheap = [n for s in suites for n in sorted(self.compiled) if n.split('/')[0] == s and n not in LAST]
        return [*self.folders(), *cheap, *sorted(LAST & set(self.compiled))]

    def command(self, name):
        suite, _, rest = name.partition('/')
        if suite == 'check':
            path = os.path.join(SCRIPTS, rest)
            path = path if os.path.isdir(path) else path + '.pkt'
            return [self.executable('tern'), 'check', '--quiet', path]
        if name not in self.compiled:
            raise Unfit(f'no test is called {name}')
        program, *words = self.compiled[name]
        return [self.executable(os.path.relpath(program, BUILD)), *words]

    def executable(self, output):
        with self.linking:
            return self.shop.executable(output)

    def run(self, name, library='', cpu_seconds=0):
        """One test, with a mutant (a library) or without; that is done once."""
        with self.guard:
            if name not in self.sound:
                began = time.monotonic()
                result = self.play(self.command(name), '', CPU_SECONDS)
                self.sound[name] = result, int(PATIENCE * (1 + time.monotonic() - began))
            sound, patience = self.sound[name]
        return self.play(self.command(name), library, cpu_seconds or patience) if library else sound

    @staticmethod
    def finds(argv, library, cpu_seconds, sign):
        """Whether a search finds something: it fails, or says so in a line like `sign` before its end."""
        process = start(argv, library, cpu_seconds)
        try:
            for line in process.stdout:
                if re.search(sign, line.decode(errors='replace')):
                    return True
            return process.wait() != 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            process.stdout.close()

    @staticmethod
    def play(argv, library, cpu_seconds):
        process = start(argv, library, cpu_seconds)
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
        return Result(process.returncode, output.decode(errors='replace'))
