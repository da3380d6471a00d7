#!/bin/bash
# tests/interop/impair.sh with 1 GiB each way: 1 ms delay, 2% loss, 5% reordered by 3 to 10, 1% duplicated.
# Each within 10 minutes.
cd "$(dirname "$0")/../.." || exit 1
[ "${TERN_PROVE_SECONDS:-3600}" -ge 300 ] || exec tests/interop/impair.sh # less time: its usual size
exec env BYTES=1073741824 EACH=600 LIMIT=2500 tests/interop/impair.sh
