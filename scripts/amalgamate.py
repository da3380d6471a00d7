#!/usr/bin/env python3
"""Joins the core into one pair of files, tern.c and tern.h, for programs without a build system.

    scripts/amalgamate.py DIRECTORY        writes DIRECTORY/tern.c and DIRECTORY/tern.h

tern.h is the public headers one behind the other (all but those of host.h, for Linux). tern.c includes it
and holds every internal header and every source file once, in an order in which each finds what it needs.
What was visible between files becomes TERN_PRIVATE (static), so that the object file defines tern_ names
only. Names that two files use for different things of their own are told apart by the file's: `find` in
demux.c becomes `demux__find`."""
import collections
import os
import re
import sys

from csource import ROOT, TOKEN, Source, core_headers, read, walk

ROOMS = ['src/base', 'src/wire', 'src/ip', 'src/tcp', 'src/stack', 'src/sock']
OUTSIDE = {'memcpy', 'memmove', 'memset', 'memcmp'}  # declared, never defined: from a C library
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"].*\n', re.M)
NAME = re.compile(r'[A-Za-z_]\w*')
PRIVATE = '''
/* What one part of the core offers another stays in this file. */
#ifndef TERN_PRIVATE
#define TERN_PRIVATE static __attribute__((unused))
#endif
'''


def target(source_path, name):
    """The file of the project that an include names; None for the compiler's own headers."""
    for folder in (os.path.dirname(source_path), 'src', 'include'):
        path = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(ROOT, path)):
            return path
    return None


def in_order(paths):
    """Headers so that each stands behind those that it includes."""
    done = []

    def visit(path):
        if path in done:
            return
        for _, name in INCLUDE.findall(read(path)):
            wanted = target(path, name)
            if wanted in paths:
                visit(wanted)
        done.append(path)

    for path in paths:
        visit(path)
    return done


def without_includes(path, text):
    """Headers of the project are there already; .def lists are put where they are used; others stay."""

    def replace(match):
        wanted = target(path, match.group(2))
        if wanted is None:
            return match.group()
        return read(wanted) if wanted.endswith('.def') else ''

    return INCLUDE.sub(replace, text)


def banner(path):
    return f'\n/* {"=" * (100 - len(path))} {path} */\n\n'


# --- names ------------------------------------------------------------------------------------------


def enum_constants(code):
    for body in re.findall(r'\benum\b\s*\w*\s*\{([^}]*)\}', code):
        yield from (NAME.match(part.strip()).group() for part in body.split(',') if NAME.match(part.strip()))


def declared(statement):
    """The name that a file-scope declaration gives: of the function, or of the object."""
    plain = re.sub(r'__attribute__\s*\(\(.*?\)\)', '', statement, flags=re.S)
    names = NAME.findall(re.split(r'[=({\[]', plain, maxsplit=1)[0])
    return names[-1] if names else None


def tags(source):
    """Names of struct, union and enum, with the word before them: they are a name space of their own."""
    return {f'{kind} {tag}' for kind, tag in re.findall(r'\b(struct|union|enum)\s+(\w+)\s*\{', source.bare)}


def own_names(source):
    """What a .c file names for itself alone."""
    names = {f.name for f in source.functions if is_static(source, f.start)}
    names |= {declared(text) for _, text in source.statements if text.startswith('static')}
    names |= tags(source)
    macros = set(re.findall(r'^[ \t]*#[ \t]*define[ \t]+(\w+)', source.code, re.M))
    # what it takes back itself is nobody else's, and .def lists go by that name
    names |= macros - set(re.findall(r'^[ \t]*#[ \t]*undef[ \t]+(\w+)', source.code, re.M))
    names |= set(enum_constants(source.bare))
    names |= {NAME.findall(text)[-1] for _, text in source.statements if text.startswith('typedef')}
    return names - {None}


def is_static(source, offset):
    return source.bare[offset:].startswith('static')


def header_names(sources):
    """What the headers declare for everybody."""
    names = set()
    for source in sources:
        names |= {f.name for f in source.functions} | tags(source)
        names |= {declared(text) for _, text in source.statements if '(' in text}
        names |= set(re.findall(r'^[ \t]*#[ \t]*define[ \t]+(\w+)', source.code, re.M))
        names |= set(enum_constants(source.bare))
    return names


def macros_of(source):
    return re.findall(r'^[ \t]*#[ \t]*define[ \t]+(\w+)', source.code, re.M)


def rename(text, new):
    """Replace identifiers, but no members (behind a dot or an arrow), comments and strings."""

    def word(match):
        before = text[: match.start()].rstrip()
        kind = re.search(r'\b(struct|union|enum)$', before[-8:])
        if kind:
            tagged = f'{kind.group()} {match.group()}'
            return new.get(tagged, tagged).split()[-1]
        if before.endswith('->') or (before.endswith('.') and not before.endswith('...')):
            return match.group()
        return new.get(match.group(), match.group())

    skipped = [m.span() for m in TOKEN.finditer(text)]
    words = {name.split()[-1] for name in new}
    parts, at = [], 0
    for match in NAME.finditer(text):
        while skipped and skipped[0][1] <= match.start():
            skipped.pop(0)
        if match.group() in words and not (skipped and skipped[0][0] <= match.start()):
            parts += [text[at : match.start()], word(match)]
            at = match.end()
    return ''.join(parts) + text[at:]


def clashes(sources, headers):
    """{path: {name: new name}} for the names that mean something else in another file."""
    count = collections.Counter(name for source in sources for name in own_names(source))
    stems = collections.Counter(os.path.basename(source.path) for source in sources)
    taken = header_names(headers)
    found = {}
    for source in sources:
        room, name = source.path.split('/')[-2:]
        prefix = name[:-2] if stems[name] == 1 else f'{room}_{name[:-2]}'
        found[source.path] = {
            own: re.sub(r'(\w+)$', rf'{prefix}__\1', own)
            for own in own_names(source)
            if count[own] > 1 or own in taken
        }
    return found


# --- what was visible between files ------------------------------------------------------------------


NO_PROTOTYPE = re.compile(r'static|typedef|extern|_Static_assert|struct \w+ \{')


def make_private(source):
    """The text with TERN_PRIVATE before what one file offers another: prototypes in headers, definitions in
    .c files."""
    text_of = source.text
    places = [f.start for f in source.functions if not is_static(source, f.start) and is_private(f.name)]
    if source.path.endswith('.h'):
        for offset, text in source.statements:
            if '(' in text and not NO_PROTOTYPE.match(text) and is_private(declared(text)):
                places.append(offset)
    for offset in sorted(places, reverse=True):
        text_of = text_of[:offset] + 'TERN_PRIVATE ' + text_of[offset:]
    return text_of


def is_private(name):
    return name is not None and not name.startswith('tern_') and name not in OUTSIDE


def extern_objects(headers):
    """Objects that are visible between files; they get a tern_ name."""
    for source in headers:
        for _, text in source.statements:
            if text.startswith('extern') and '(' not in text:
                yield declared(text)


# --- the two files ------------------------------------------------------------------------------------


def head(what):
    version = re.search(r"version: '([^']+)'", read('meson.build')).group(1)
    licence = ''.join(f' * {line}'.rstrip() + '\n' for line in read('LICENSE').strip().split('\n'))
    return (
        f'/* {what} of tern {version}, a TCP/IP stack that a program carries with it. Made from the sources\n'
        f' * by scripts/amalgamate.py: change those. docs/EMBED.md says how to use it.\n *\n{licence} */\n'
    )


def header_file():
    parts = [head('tern.h'), '#ifndef TERN_H\n#define TERN_H\n']
    for path in in_order(core_headers()):
        parts += [banner(path), without_includes(path, read(path))]
    return ''.join(parts) + '\n#endif\n'


def source_file():
    headers = [Source(path) for path in in_order(walk(['src'], ['.h']))]
    rooms = [[Source(path) for path in walk([room], ['.c'])] for room in ROOMS]
    sources = [source for room in rooms for source in room]
    new_names = clashes(sources, headers)
    parts = [head('tern.c'), '#include "tern.h"\n', PRIVATE]
    parts += [f'#define {name} tern_private_{name}\n' for name in sorted(set(extern_objects(headers)))]
    for header in headers:
        parts += [banner(header.path), without_includes(header.path, make_private(header))]
    for source in sources:
        text = rename(make_private(source), new_names[source.path])
        parts += [banner(source.path), without_includes(source.path, text), '\n']
        parts += [f'#undef {new_names[source.path].get(name, name)}\n' for name in macros_of(source)]
    return ''.join(parts)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith('-'):
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, text in (('tern.h', header_file()), ('tern.c', source_file())):
        with open(os.path.join(sys.argv[1], name), 'w', encoding='utf-8') as file:
            file.write(re.sub(r'\n{4,}', '\n\n\n', text))


if __name__ == '__main__':
    main()
