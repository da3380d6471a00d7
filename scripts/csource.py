"""Reads C sources as text, well enough to find functions, file-scope declarations and comments.

No preprocessor runs and nothing is compiled: the style of the project (K&R, one declaration a statement)
is simple enough for a scanner of comments, strings and braces. Used by tidy.py and rfc_index.py."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED = {'build', '.git', '__pycache__'}


def walk(folders, endings):
    """Paths from the root, sorted, of the files under `folders` that end with one of `endings`."""
    found = []
    for folder in folders:
        top = os.path.join(ROOT, folder)
        if os.path.isfile(top):
            found.append(folder)
        for where, below, names in os.walk(top):
            below[:] = [b for b in below if b not in SKIPPED and not b.startswith('build-')]
            found += [
                os.path.relpath(os.path.join(where, n), ROOT) for n in names if n.endswith(tuple(endings))
            ]
    return sorted(set(found))


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        return file.read()


def core_headers():
    """The public headers of the core: all but host.h, which is for Linux, and those that include it."""
    paths, host = walk(['include/tern'], ['.h']), {'host.h'}
    while True:
        needs = re.compile(r'#include ["<](tern/)?(' + '|'.join(map(re.escape, sorted(host))) + r')[">]')
        more = {os.path.basename(path) for path in paths if needs.search(read(path))}
        if more <= host:
            return [p for p in paths if os.path.basename(p) not in host]
        host |= more


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text):
    """The text with everything but line breaks replaced by spaces."""
    return re.sub(r'[^\n]', ' ', text)


class Function:
    def __init__(self, name, first, last, start, end):
        self.name = name
        self.first = first  # line of the signature
        self.last = last  # line of the closing brace
        self.start = start  # offsets in the text: signature, behind the closing brace
        self.end = end

    @property
    def lines(self):
        return self.last - self.first + 1


class Source:
    """One file: `text` as it is; `code` without comments and with empty strings; `bare` also without
    preprocessor lines. All three have the same length, so that offsets and line numbers agree."""

    def __init__(self, path):
        self.path = path
        self.text = read(path)
        self.lines = self.text.split('\n')
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.code = TOKEN.sub(self._empty, self.text)
        self.bare = re.sub(
            r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', lambda m: blank(m.group()), self.code, flags=re.M
        )
        self.functions, self.statements = self._scan()

    @staticmethod
    def _empty(match):
        token = match.group()
        return blank(token) if token.startswith('/') else token[0] + ' ' * (len(token) - 2) + token[-1]

    def line_of(self, offset):
        low, high = 0, len(self.starts) - 1
        while low + 1 < high:
            middle = (low + high) // 2
            if self.starts[middle] <= offset:
                low = middle
            else:
                high = middle
        return low + 1

    def _scan(self):
        """Splits the file scope into functions and other statements (offset, text without initialisers)."""
        functions, statements = [], []
        depth, start, opened, parts = 0, 0, 0, []
        text = self.bare
        for match in re.finditer(r'[{};]', text):
            at, sign = match.start(), match.group()
            if sign == '{':
                if depth == 0:
                    parts.append(text[start:at])
                    head = ''.join(parts)
                    if re.search(r'extern\s+"\s*"?\s*$', head):  # extern "C" { ... } is no scope of its own
                        start, parts = at + 1, []
                        continue
                    opened = at
                depth += 1
            elif sign == '}':
                if depth == 0:  # the end of extern "C"
                    start, parts = at + 1, []
                    continue
                depth -= 1
                if depth == 0:
                    head = ''.join(parts)
                    name = self._function_name(head)
                    if name:
                        begin = opened - len(head) + (len(head) - len(head.lstrip()))
                        functions.append(Function(name, self.line_of(begin), self.line_of(at), begin, at + 1))
                        parts = []
                    else:
                        parts.append('{}')
                    start = at + 1
            elif depth == 0:
                parts.append(text[start:at])
                statement = ''.join(parts)
                if statement.strip():
                    first = start - (len(statement) - len(parts[-1])) if len(parts) == 1 else None
                    begin = self._first_word(parts, start, at)
                    statements.append(
                        (
                            begin if first is None else first + len(statement) - len(statement.lstrip()),
                            statement.strip(),
                        )
                    )
                start, parts = at + 1, []
        return functions, statements

    def _first_word(self, parts, start, at):
        """Where a statement that holds braces begins: searched backwards for its first part."""
        first = parts[0]
        where = self.bare.rfind(first, 0, at) if first.strip() else start
        return where + len(first) - len(first.lstrip())

    @staticmethod
    def _function_name(head):
        """The name, when `head` { is a function definition; None for struct, enum, union and initialisers."""
        head = re.sub(r'__attribute__\s*\(\(.*?\)\)', ' ', head, flags=re.S).rstrip()
        if not head.endswith(')') or '=' in head:
            return None
        depth = 0
        for at in range(len(head) - 1, -1, -1):
            depth += {')': 1, '(': -1}.get(head[at], 0)
            if depth == 0:
                name = re.search(r'([A-Za-z_]\w*)\s*$', head[:at])
                return name.group(1) if name else None
        return None

    def function_at(self, line):
        """The function that holds a line, or that follows the comment which holds it."""
        for function in self.functions:
            if function.first <= line <= function.last:
                return function
        for function in self.functions:
            if function.first > line:
                between = '\n'.join(self.code.split('\n')[line - 1 : function.first - 1])
                return function if not between.strip() else None
        return None
