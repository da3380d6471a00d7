"""The faults of tests/mutants: read, and put into a source. Used by mutate.py.

A mutant is a file NAME.patch: a head, an empty line, a unified diff.

    What: one line that says what is wrong
    Shows: what it proves to be tested: ids of requirements, edges of the state diagram, timers
    Killed-by: SUITE/TEST [CASE], ...

Line numbers of the diff mean nothing here. A hunk stands where its old lines are found: they must occur once
in the file, or once in the function that the hunk's head names; if need be without the lines around them.
So a mutant survives changes around it, and one whose own lines have changed is noticed."""
import glob
import os
import re

from csource import ROOT

FOLDER = os.path.join(ROOT, 'tests', 'mutants')
HEADS = ['What', 'Shows', 'Killed-by']


class Unfit(Exception):
    """A patch that cannot be read or applied; the text names it and says why."""


class Hunk:
    def __init__(self, heading):
        self.heading = heading
        self.old, self.new = [], []

    def around(self):
        """How many lines before and behind what changes are the same in both."""
        before = common(self.old, self.new)
        return before, common(self.old[before:][::-1], self.new[before:][::-1])

    def bare(self, before, behind):
        """The same with fewer lines around."""
        less = Hunk(self.heading)
        less.old = self.old[before : len(self.old) - behind]
        less.new = self.new[before : len(self.new) - behind]
        return less


class Mutant:
    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path).removesuffix('.patch')
        with open(path, encoding='utf-8') as file:
            self.text = file.read()
        head, blank, diff = self.text.partition('\n\n')
        self.heads = dict(re.findall(r'^([A-Z][\w-]*): +(.*\S)', head, re.M))
        for key in HEADS:
            if key not in self.heads:
                raise Unfit(f'{self.name}: no line "{key}: ..." in its head')
        if not blank:
            raise Unfit(f'{self.name}: no empty line between head and diff')
        self.what = self.heads['What']
        self.shows = [word for word in re.split(r'\s*,\s*', self.heads['Shows']) if word]
        self.killers = list(self.read_killers())
        self.diff = diff
        self.hunks = self.read_diff(diff)

    def read_killers(self):
        """(test, case) of each test that must fail; case '': any of it."""
        for word in re.split(r'\s*,\s*', self.heads['Killed-by']):
            test, _, case = word.partition(' ')
            yield test.replace('/test_', '/'), case

    def read_diff(self, diff):
        """{file: hunks}"""
        found, hunks = {}, None
        for line in diff.splitlines():
            if line.startswith('+++ '):
                hunks = found.setdefault(line[4:].split('\t')[0].removeprefix('b/'), [])
            elif line.startswith(('--- ', 'diff ', 'index ', '\\')):
                continue
            elif match := re.match(r'@@ [^@]*@@ ?(.*)', line):
                if hunks is None:
                    raise Unfit(f'{self.name}: a hunk before the name of its file')
                hunks.append(Hunk(match.group(1)))
            elif hunks:
                if line[:1] in (' ', '-', ''):
                    hunks[-1].old.append(line[1:])
                if line[:1] in (' ', '+', ''):
                    hunks[-1].new.append(line[1:])
        if not found or not all(found.values()):
            raise Unfit(f'{self.name}: there is no diff in it')
        if not all(path.startswith('src/') for path in found):
            raise Unfit(f'{self.name}: only sources below src/ are changed')
        return found

    def applied(self, path, text):
        """The text of one file with the fault in it."""
        lines = text.split('\n')
        for hunk in self.hunks[path]:
            at, hunk = self.place_of(hunk, lines, path)
            lines[at : at + len(hunk.old)] = hunk.new
        return '\n'.join(lines)

    def place_of(self, hunk, lines, path):
        """Where it stands, with as many of the lines around as are still there."""
        before, behind = hunk.around()
        for less in (hunk, hunk.bare(before, 0), hunk.bare(0, behind), hunk.bare(before, behind)):
            found = places(less, lines)
            if len(found) == 1:
                return found[0], less
        n = len(places(hunk, lines))
        why = f'stand in {path} {n} times' if n > 1 else f'are not in {path}'
        raise Unfit(f'{self.name}: does not apply: these lines {why}:\n' + excerpt(hunk.old))

    def sources(self):
        """{file: text} with the fault in them."""
        changed = {}
        for path in self.hunks:
            try:
                with open(os.path.join(ROOT, path), encoding='utf-8') as file:
                    changed[path] = self.applied(path, file.read())
            except FileNotFoundError as gone:
                raise Unfit(f'{self.name}: there is no file {path}') from gone
        return changed


def common(a, b):
    """Lines at the beginning that are equal."""
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


def places(hunk, lines):
    size = len(hunk.old)
    if not any(line.strip() for line in hunk.old):
        return []
    found = [n for n in range(len(lines) - size + 1) if lines[n : n + size] == hunk.old]
    if len(found) > 1 and hunk.heading:
        found = [n for n in found if function_at(lines, n) == name_in(hunk.heading)]
    return found


def name_in(heading):
    """The name of the function (or macro, or struct) that a line at the margin begins."""
    match = re.search(r'(\w+)\(', heading) or re.search(r'(\w+)\W*$', heading)
    return match.group(1) if match else heading


def function_at(lines, n):
    for line in reversed(lines[: n + 1]):
        if re.match(r'[A-Za-z_#]', line):
            return name_in(line)
    return ''


def excerpt(lines):
    return '\n'.join('    ' + line for line in lines)


def names():
    paths = glob.glob(os.path.join(FOLDER, '*.patch'))
    return sorted(os.path.basename(path).removesuffix('.patch') for path in paths)


def load(name):
    return Mutant(os.path.join(FOLDER, name + '.patch'))
