"""Runs `tern ss --watch` in a terminal (a pty) and looks at what it shows, as a person would.

    watch.py CHECK TERN: exits 0 when the check holds.

A screen is what the last complete drawing has put there; each drawing begins with ESC [ H."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time


class Terminal:
    def __init__(self, tern, *args, columns=120, rows=24):
        self.master, slave = pty.openpty()
        self.columns, self.rows = columns, rows
        self.size()
        self.before = termios.tcgetattr(slave)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(slave, fd)
            os.execv(tern, [tern, 'ss', '--watch=0.2', *args])
        self.slave, self.output = slave, ''

    def size(self):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', self.rows, self.columns, 0, 0))

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.size()

    def read(self, seconds):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                self.output += os.read(self.master, 65536).decode()

    def screen(self):
        """The lines of the last whole drawing, without colours."""
        drawings = self.output.split('\033[H')
        whole = drawings[-1] if drawings[-1].endswith('\033[0m') else drawings[-2]
        text = re.sub(r'\033\[[0-9;?]*[a-zA-Z]', '', whole)
        return [line.rstrip('\r') for line in text.split('\n')]

    def until(self, holds, what):
        for _ in range(50):
            self.read(0.2)
            if self.output.count('\033[H') > 1 and holds(self.screen()):
                return
        sys.exit(f'{what}; the screen is:\n' + '\n'.join(self.screen()))

    def keys(self, text):
        os.write(self.master, text.encode())

    def restored(self):
        """The process has ended, the terminal is as it was."""
        for _ in range(50):
            self.read(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
        else:
            sys.exit('it does not end')
        self.read(0.1)
        if status != 0:
            sys.exit(f'status {status}')
        if not self.output.endswith('\033[?7h\033[?25h\033[?1049l'):
            sys.exit(f'the screen is not given back: {self.output[-40:]!r}')
        if termios.tcgetattr(self.slave) != self.before:
            sys.exit('the terminal is left in another mode')


def fits(terminal):
    def holds(screen):
        return len(screen) <= terminal.rows and all(len(line) <= terminal.columns for line in screen)

    return holds


def has(*texts):
    return lambda screen: all(any(text in line for line in screen) for text in texts)


def sizes(tern):
    t = Terminal(tern)
    t.until(has('serve, process', 'listens at *:80', 'State', 'Local', 'ESTABLISHED'), 'no table')
    for columns, rows in ((60, 12), (40, 5), (200, 50), (20, 3), (120, 24)):
        t.resize(columns, rows)
        t.until(fits(t), f'not within {columns} x {rows}')
    t.until(lambda s: has('Local')(s) and len(s) > 15, 'not large again')
    t.resize(60, 20)
    t.until(lambda s: has('Remote')(s) and not has('Local')(s), 'Local is still there on 60 columns')
    t.keys('q')
    t.restored()


def keys(tern):
    t = Terminal(tern)
    t.until(has('sort: problems', 'filter: all', 'healthy'), 'no foot')
    t.until(has('blocked'), 'the problem is not shown')
    screen = t.screen()
    rows = [line for line in screen if line.startswith('ESTABLISHED')]
    if 'blocked' not in rows[0]:
        sys.exit('the problem is not the first row:\n' + '\n'.join(rows))
    t.keys('f')
    t.until(lambda s: has('filter: problems')(s) and not has('healthy')(s), 'the filter does not filter')
    t.keys('r')
    t.until(has('receive window is shut'), 'no reason')
    t.keys('rfffs')
    t.until(has('sort: rate', 'filter: all'), 'not sorted by rate')
    t.keys('\033[B\033[B\033[B')
    t.until(has('from 4 of'), 'arrows do not scroll')
    t.keys(' ')
    t.until(has('paused'), 'not paused')
    count = t.output.count('\033[H')
    t.read(1)
    if t.output.count('\033[H') != count:
        sys.exit('it goes on while paused')
    t.keys(' q')
    t.restored()


def signals(tern):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        t = Terminal(tern)
        t.until(has('State'), 'no table')
        os.kill(t.pid, number)
        t.restored()


def stop_and_go(tern):
    t = Terminal(tern)
    t.until(has('State'), 'no table')
    os.kill(t.pid, signal.SIGTSTP)
    os.waitpid(t.pid, os.WUNTRACED)
    t.read(0.2)
    if not t.output.endswith('\033[?1049l') or termios.tcgetattr(t.slave) != t.before:
        sys.exit('stopped without giving the terminal back')
    os.kill(t.pid, signal.SIGCONT)
    t.output = ''
    t.until(has('State'), 'it does not come back')
    t.keys('q')
    t.restored()


def nobody(tern):
    t = Terminal(tern, '--pid', '1')
    t.until(has('no tern process is running'), 'does not say that nobody is there')
    t.keys('q')
    t.restored()


{f.__name__: f for f in (sizes, keys, signals, stop_and_go, nobody)}[sys.argv[1]](sys.argv[2])
