#!/bin/sh
# The core compiles with the compiler's own headers alone (no C library), for this machine and for one of 32
# bits, without a warning. TAP on standard output.
set -u
cd "$(dirname "$0")/../.." || exit 1
n=0
own=$(cc -print-file-name=include)
for bits in 64 32; do
    if ! echo 'int a;' | cc -m$bits -x c -fsyntax-only - 2>/dev/null; then
        n=$((n + 1))
        echo "ok $n - -m$bits # SKIP the compiler has no such target"
        continue
    fi
    for file in $(scripts/sources.sh src); do
        n=$((n + 1))
        if said=$(cc -m$bits -std=c17 -Wall -Wextra -Wpedantic -Werror -ffreestanding -nostdinc \
            -isystem "$own" -Iinclude -Isrc -fsyntax-only "$file" 2>&1); then
            echo "ok $n - $file, $bits bits"
        else
            echo "not ok $n - $file, $bits bits"
            echo "$said" | sed 's/^/# /'
        fi
    done
done
echo "1..$n"
