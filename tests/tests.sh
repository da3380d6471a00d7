#!/bin/sh
# What each .c file under tests/ is, one a line: "test SUITE FILE" for what becomes an executable, "helper
# FILE" for what is compiled into the test-support library. Meson has no globs and asks this script. In
# matrix/ a file with a main is an executable whatever its name; elsewhere the name decides. The rest of fuzz/
# and linux/ is listed by meson.build itself, and the scripts of interop/ compile their own programs.
set -eu
cd "$(dirname "$0")/.."
scripts/sources.sh tests | while read -r file; do
    folder=${file#tests/}
    case $folder in
    */*) folder=${folder%%/*} ;;
    *) folder=top ;;
    esac
    case $folder/${file##*/} in
    fuzz/* | interop/* | linux/*) ;;
    */test_*) echo "test $folder $file" ;;
    matrix/*)
        if grep -Eq '^(int )?main\(' "$file"; then
            echo "test $folder $file"
        else
            echo "helper $file"
        fi
        ;;
    *) echo "helper $file" ;;
    esac
done
