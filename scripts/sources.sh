#!/bin/sh
# The .c files of some folders, sorted, one a line, as paths from the root of the project.
#
#   scripts/sources.sh FOLDER...
#
# Meson has no globs; with this list nobody edits a build file to add a source file. Ninja does not notice
# that the list has changed: `./dev build` does, and configures again then.
set -eu
cd "$(dirname "$0")/.."
for folder in "$@"; do
    if [ -d "$folder" ]; then
        find "$folder" -name '*.c' -type f
    fi
done | LC_ALL=C sort
