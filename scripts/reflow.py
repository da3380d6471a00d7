#!/usr/bin/env python3
"""Breaks lines that are too long, and touches no other: comments and docstrings are wrapped anew by
paragraph, code goes through clang-format line by line.

    scripts/reflow.py FILE...
"""
import re
import subprocess
import sys
import textwrap

from csource import TOKEN

COLUMNS = 110
COMMENT = re.compile(r'^(\s*(?:#|\*|/\*\*?|//)\s?)(\s*)(\S.*)$')
# of a list or a table: `- x`, `1. x`, `A5  x`, `A10 x`
ITEM = re.compile(r'^([-*]|\d+\.|[A-Z]\d+)\s+|^\S{1,4}\s{2,}')
TRAILING = re.compile(r'^(\s*[^\s/#].*?\S\s*)/\*\s+(.*)$')
TRAILING_COLUMN = 60  # a comment behind code that begins further right goes above the code


def wrapped(text, first, following):
    keep = {'break_long_words': False, 'break_on_hyphens': False}
    text = text.replace(' */', '\u00a0*/')  # the end of a comment goes with its last word
    lines = textwrap.wrap(text, COLUMNS, initial_indent=first, subsequent_indent=following, **keep)
    return [line.replace('\u00a0', ' ') for line in lines]


def comment_paragraph(lines, at):
    """(the lines of the paragraph that starts at a line, wrapped; the line behind it)."""
    match = COMMENT.match(lines[at])
    first = match.group(1) + match.group(2)
    following = first
    if match.group(1).strip().startswith('/*'):
        following = re.match(r'\s*', lines[at]).group() + ' * '
    item = ITEM.match(match.group(3))
    if item:
        following += ' ' * len(item.group())
    words, behind = match.group(3), at + 1
    while behind < len(lines) and not words.rstrip().endswith('*/'):
        more = COMMENT.match(lines[behind])
        if not more or more.group(1) + more.group(2) != following or ITEM.match(more.group(3)):
            break
        words += ' ' + more.group(3)
        behind += 1
    return wrapped(words, first, following), behind


def inside_comment(text):
    """The numbers of the lines that begin inside a block comment: there, and only there, `*` opens a comment
    line."""
    inside = set()
    for match in TOKEN.finditer(text):
        first = text.count('\n', 0, match.start())
        if match.group().startswith('/*'):
            inside.update(range(first + 1, first + match.group().count('\n') + 1))
    return inside


def reflow_comments(lines, c_source):
    done, at = [], 0
    inside = inside_comment('\n'.join(lines)) if c_source else set()
    while at < len(lines):
        line = lines[at]
        is_comment = at in inside or re.match(r'\s*/[*/]' if c_source else r'\s*#', line)
        if len(line) > COLUMNS and is_comment and COMMENT.match(line):
            paragraph, at = comment_paragraph(lines, at)
            done += paragraph
        else:
            done.append(line)
            at += 1
    return done


def trailing_comment(lines, at):
    """(`code; /* why */` wrapped at the comment's column, or with the comment above; the line behind)."""
    code, words = TRAILING.match(lines[at]).groups()
    behind = at + 1
    while not words.endswith('*/') and behind < len(lines):
        words += ' ' + lines[behind].strip().lstrip('* ')
        behind += 1
    if len(code) <= TRAILING_COLUMN:
        return wrapped('/* ' + words, code, ' ' * (len(code) + 3)), behind
    indent = re.match(r'\s*', code).group()
    return wrapped('/* ' + words, indent, indent + ' * ') + [code.rstrip()], behind


def reflow_trailing(lines):
    done, at = [], 0
    inside = inside_comment('\n'.join(lines))
    while at < len(lines):
        line = lines[at]
        match = TRAILING.match(line)
        if (
            len(line) > COLUMNS
            and match
            and at not in inside
            and not line.endswith('\\')
            and '*/' not in match[2][:-2]
        ):
            some, at = trailing_comment(lines, at)
            done += some
        else:
            done.append(line)
            at += 1
    return done


def reflow(path):
    with open(path, encoding='utf-8') as file:
        before = file.read()
    lines = reflow_comments(before.split('\n'), path.endswith(('.c', '.h', '.def')))
    if path.endswith(('.c', '.h')):
        lines = reflow_trailing(lines)
    text = '\n'.join(lines)
    if text != before:
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
    long = [n for n, line in enumerate(lines, 1) if len(line) > COLUMNS]
    if long and path.endswith(('.c', '.h')):
        subprocess.run(['clang-format', '-i', *(f'--lines={n}:{n}' for n in long), path], check=True)
    return text != before or bool(long)


def main():
    for path in sys.argv[1:]:
        if reflow(path):
            print(path)


if __name__ == '__main__':
    main()
