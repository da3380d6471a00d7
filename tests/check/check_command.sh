#!/bin/sh
# The command `tern check` as a user meets it: exit status, closing line, JSON, folders, bad files. What
# scripts mean is in tests/unit/test_check_*.c.
set -u
cd "$(dirname "$0")/../.."
tern=$PWD/build/tern
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
count=0 bad=0

# judge NAME: the last command's status says whether the case holds.
judge() {
    status=$?
    count=$((count + 1))
    if [ $status -eq 0 ]; then
        echo "ok $count - $1"
    else
        bad=$((bad + 1))
        echo "not ok $count - $1"
        sed 's/^/# /' "$dir/out" "$dir/err"
    fi
}
# check STATUS ARGUMENT...: runs tern check; holds when it exits with that status.
check() {
    want=$1
    shift
    "$tern" check "$@" >"$dir/out" 2>"$dir/err"
    [ $? -eq "$want" ]
}

mkdir -p "$dir/all/deep" "$dir/empty"
echo '0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3' >"$dir/all/good.pkt"
printf '// a word\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 close(3) = 7\n' >"$dir/all/deep/wrong.pkt"
echo '0 < udp (10)' >"$dir/all/skipped.pkt"
printf '0 close(3) = 0\n\n+0  close 3\n' >"$dir/all/torn.pkt"
echo 'no script' >"$dir/all/notes.txt"
good=$dir/all/good.pkt

check 0 "$good" && [ "$(tail -1 "$dir/out")" = '1 passed, 0 failed, 0 skipped' ] &&
    grep -q "^ok   $good$" "$dir/out"
judge 'a script that passes: exit 0 and the closing line'
check 0 --quiet "$good" "$dir/all/skipped.pkt" &&
    [ "$(cat "$dir/out")" = "SKIP $dir/all/skipped.pkt:1: udp packets
1 passed, 0 failed, 1 skipped" ]
judge 'a skip is told even with --quiet, and is no failure'
check 1 "$dir/all/skipped.pkt" && [ "$(tail -1 "$dir/out")" = '0 passed, 0 failed, 1 skipped' ]
judge 'only skips: nothing was shown, exit 1'
check 1 "$dir/all/deep/wrong.pkt" && grep -q '^FAIL .*wrong.pkt:3: close gives another result$' "$dir/out" &&
    grep -q '^    script    +0 close(3) = 7$' "$dir/out" && grep -q '^    expected  7$' "$dir/out" &&
    grep -q '^    got       0$' "$dir/out"
judge 'a failure: file, line, script line, expected and got'
check 1 "$dir/all/torn.pkt" && grep -q "torn.pkt:3:11: '(' is missing" "$dir/out" &&
    [ "$(tail -1 "$dir/out")" = '0 passed, 1 failed, 0 skipped' ]
judge 'no script: file, line and column, and a failure'
check 1 "$dir/all" && [ "$(tail -1 "$dir/out")" = '1 passed, 2 failed, 1 skipped' ] &&
    [ "$(grep -c pkt "$dir/out")" -eq 4 ] && [ "$(grep -c notes "$dir/out")" -eq 0 ]
judge 'a folder: every script below it, whatever becomes of the others'
check 1 --json "$dir/all" && [ ! -s "$dir/err" ] && python3 - "$dir/out" <<'END'
import json
import sys

lines = [json.loads(line) for line in open(sys.argv[1], encoding='utf-8')]
by = {line['script'].rsplit('/', 1)[1]: line for line in lines[:-1]}
assert by['good.pkt']['verdict'] == 'passed' and by['good.pkt']['events'] == 1
assert by['wrong.pkt']['verdict'] == 'failed' and by['wrong.pkt']['line'] == 3
assert by['wrong.pkt']['expected'] == '7' and by['wrong.pkt']['got'] == '0'
assert by['skipped.pkt']['verdict'] == 'skipped' and by['skipped.pkt']['message'] == 'udp packets'
assert by['torn.pkt']['verdict'] == 'no script' and by['torn.pkt']['column'] == 11
assert {k: lines[-1][k] for k in ('passed', 'failed', 'skipped')} == {'passed': 1, 'failed': 2, 'skipped': 1}
END
judge '--json: an object a script and one for all'
check 0 --ladder tests/conversations/basics/server.pkt && grep -q 'ESTABLISHED ●' "$dir/out"
judge '--ladder draws what passed, too'
check 0 tests/conversations/basics && ! grep -q '●' "$dir/out" && ! grep -q '\[3' "$dir/out"
judge 'without it nothing is drawn, and nothing coloured'
check 0 --color=always "$good" && grep -q '\[32mok' "$dir/out"
judge '--color=always'
check 0 --mtu=600 --tern=no_sack=1 "$good" && check 1 --mtu=100 "$good" &&
    grep -q 'tern refuses a link with an MTU of 100 bytes' "$dir/out"
judge 'options for all scripts'
check 2 "$dir/none.pkt" && grep -q "cannot read $dir/none.pkt: No such file" "$dir/err" &&
    [ "$(wc -l <"$dir/err")" -eq 1 ]
judge 'a file that is not there: exit 2, one line'
check 2 "$dir/empty" && grep -q 'no script is there' "$dir/err"
judge 'a folder without scripts: exit 2'
check 2 && grep -q 'which script' "$dir/err"
judge 'no file: exit 2'
check 2 --color=blue "$good" && grep -q "not 'blue'" "$dir/err"
judge 'a bad colour: exit 2'
check 2 --nonsense && grep -q "unknown option '--nonsense'; see .tern check --help" "$dir/err"
judge 'an unknown option: exit 2'
check 0 --help && grep -q '^usage: tern check' "$dir/out" &&
    ! awk 'length > 110 { bad = 1 } END { exit !bad }' "$dir/out"
judge '--help: within 110 columns'
echo "$count cases, $bad failed"
[ $bad -eq 0 ]
