#!/usr/bin/env bash
# Installs, builds, measures everybody in every scenario, and prints tables (root, Debian; about 40 minutes).
#
#   RUNS=20 PEER_RUNS=3 LOSS_RUNS=200 RTT=50 ./run.sh
#
# The plots are written to docs/. What was measured is kept in target/run/results.jsonl; figures.py alone reads it again.
set -euo pipefail
cd "$(dirname "$0")"
trap ./down.sh EXIT
./setup.sh
rm -f target/run/results.jsonl
rtt=${RTT:-50}
wrong=0
for scenario in S1 S2 S3 S4 S5 S6 S7 S8 S9; do
    ./up.sh "$scenario" "$rtt"
    for client in default eager; do
        python3 measure.py "$scenario" "$client" --rtt "$rtt" --runs "${RUNS:-20}" || wrong=1
    done
    for client in sipe sofia baresip; do
        [[ $scenario == S9 ]] || python3 measure.py "$scenario" "$client" --rtt "$rtt" --runs "${PEER_RUNS:-3}" --limit 330
    done
done
./up.sh S1 "$rtt"
python3 measure.py S1 again --rtt "$rtt" --runs "${RUNS:-20}" || wrong=1
for client in default eager; do
    # Both meet the same chances.
    ./up.sh S1 "$rtt" 2 7
    python3 measure.py S1 "$client" --rtt "$rtt" --loss 2 --runs "${LOSS_RUNS:-200}" || wrong=1
done
python3 figures.py
exit $wrong
