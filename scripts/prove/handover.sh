#!/bin/bash
# tests/interop/handover.sh with 1,000 downloads of 10 MiB and three handovers while they run. The last
# line but two gives the figures.
cd "$(dirname "$0")/../.." || exit 1
[ "${TERN_PROVE_SECONDS:-3600}" -ge 300 ] || exec tests/interop/handover.sh # less time: its usual size
exec env DOWNLOADS=1000 SIZE=10485760 \
    RATE="${RATE:-170000}" GAP="${GAP:-4}" LIMIT=900 tests/interop/handover.sh
