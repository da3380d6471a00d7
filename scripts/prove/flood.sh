#!/bin/bash
# tests/interop/flood.sh at full size: 100,000 spoofed SYNs a second for 10 s, 1,000 honest connects.
cd "$(dirname "$0")/../.." || exit 1
[ "${TERN_PROVE_SECONDS:-3600}" -ge 300 ] || exec tests/interop/flood.sh # less time: its usual size
exec env RATE=100000 SECONDS_LONG=10 CONNECTS=1000 PATIENCE=140 LIMIT=400 tests/interop/flood.sh
