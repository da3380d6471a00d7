#!/bin/bash
# The streams of streams.sh through a bad path: 1 ms delay, 2% loss, 5% reordered by 3 to 10, 1% duplicated,
# both ways. Less data here; scripts/prove/interop_impair.sh does it with 1 GiB.
# timeout: 240
LIMIT=${LIMIT:-230}
. "$(dirname "$0")/lib.bash"
build_helper stream
device 0
BYTES=${BYTES:-33554432}
IMPAIR=(--impair 'delay=1ms,loss=2%,reorder=5%,gap=3-10,dup=1%,seed=1')

. "$(dirname "$0")/both_ways.bash"
both_ways "${EACH:-60}"
finish
