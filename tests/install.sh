#!/bin/sh
# What somebody does who has installed tern: every public header alone, then the examples, found through
# pkg-config and linked both ways. TAP on standard output.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
n=0
verdict() { # verdict STATUS NAME
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

DESTDIR=$root meson install -C build --no-rebuild >"$root/log" 2>&1
verdict $? "meson install" || cat "$root/log"
PKG_CONFIG_SYSROOT_DIR=$root
PKG_CONFIG_PATH=$(dirname "$(find "$root" -name libtern.pc)")
LD_LIBRARY_PATH=$(dirname "$(find "$root" -name libtern.so)")
export PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_PATH LD_LIBRARY_PATH
flags=$(pkg-config --cflags libtern)

for header in include/tern/*.h; do
    name=tern/${header##*/}
    # shellcheck disable=SC2086
    printf '#include <%s>\nint main(void) { return 0; }\n' "$name" |
        cc -std=c17 -Wall -Wextra -Wpedantic -Werror $flags -x c - -o "$root/a.out"
    verdict $? "<$name> stands alone"
done

for example in examples/*.c; do
    [ -e "$example" ] || continue
    # shellcheck disable=SC2046,SC2086
    cc -std=c17 -D_GNU_SOURCE $flags "$example" -o "$root/shared" $(pkg-config --libs libtern) &&
        cc -std=c17 -D_GNU_SOURCE $flags "$example" -o "$root/static" \
            "$LD_LIBRARY_PATH/libtern.a" $(pkg-config --libs jansson) -pthread
    verdict $? "$example, linked with the shared and with the static library"
done
echo "1..$n"
