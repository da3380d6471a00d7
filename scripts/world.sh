#!/bin/sh
# Runs a command in a world of its own, of which nothing is left afterwards, however it ends.
#
#   scripts/world.sh [--check] COMMAND [ARGUMENT...]
#
# The world has its own network, processes and mounts (and users, where one is not root), none of them with a
# name: the kernel takes all of it back when its first process dies. /run in it is an empty tmpfs, where
# temporary files belong. TERN_WORLD=1 tells the command that it is inside.
#
#     this shell ── kill -9 ──▶ unshare dies (setpriv --pdeathsig) ──▶ process 1 of the world dies
#                                (unshare --kill-child) ──▶ the kernel ends every process in it,
#                                then its network with the devices, then its mounts with the files
#
# --check only says, by its exit status, whether such a world can be made here.
set -eu

check=false
if [ "${1-}" = --check ]; then
    check=true
    shift
fi

# Root needs no user namespace; some containers deny the one and allow the other.
world_options() {
    common='--net --pid --mount --ipc --fork --kill-child --mount-proc'
    if [ "$(id -u)" -eq 0 ] && unshare $common true 2>/dev/null; then
        echo "$common"
    elif unshare --user --map-root-user $common true 2>/dev/null; then
        echo "--user --map-root-user $common"
    else
        return 1
    fi
}

if ! options=$(world_options); then
    $check || echo "world: this system lets neither root nor users make network namespaces" >&2
    exit 3
fi
! $check || exit 0

# What is run inside, as process 1: it must outlive its children and end them all by ending.
inside='
    mount -t tmpfs -o mode=755 tmpfs /run || exit 3
    ip link set lo up
    TERN_WORLD=1 TMPDIR=/run XDG_RUNTIME_DIR=/run
    export TERN_WORLD TMPDIR XDG_RUNTIME_DIR
    "$@"
    exit $?
'

# The guard dies with us; when we are dead before it could ask for that, it sees another parent.
guard='[ "$PPID" -eq "$1" ] || exit 1; shift; exec unshare "$@"'

exec 3<&0
# shellcheck disable=SC2086
setpriv --pdeathsig KILL sh -c "$guard" guard $$ $options sh -c "$inside" world "$@" <&3 3<&- &
world=$!
exec 3<&-

end() {
    trap '' INT TERM HUP
    kill -KILL "$world" 2>/dev/null || :
    wait "$world" 2>/dev/null || :
    exit "$1"
}
trap 'end 130' INT
trap 'end 143' TERM
trap 'end 129' HUP

status=0
wait "$world" || status=$?
exit "$status"
