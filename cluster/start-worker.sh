#!/usr/bin/env bash
# A node that computes, by hand: joins the head of start-head.sh.
#   start-worker.sh HEAD_ADDRESS ADDRESS [RAY START OPTIONS]      ADDRESS: of this machine, as the other nodes reach it
# Ports, to be open between the nodes only: 6380 to 6384, 10002 to 10999. Ctrl-C ends it; a sweep goes on without it.
set -euo pipefail
usage='usage: start-worker.sh HEAD_ADDRESS ADDRESS [RAY START OPTIONS]'
head=${1:?$usage}
address=${2:?$usage}
shift 2
token=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
if [ -z "${RAY_AUTH_TOKEN:-}" ] && [ ! -s "$token" ]; then
    echo "error: token: got none, expected the head's in RAY_AUTH_TOKEN or $token" >&2
    exit 2
fi
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 OMP_NUM_THREADS=1
exec ray start --block --address="$head:6379" --node-ip-address="$address" \
    --node-manager-port=6380 --object-manager-port=6381 --runtime-env-agent-port=6382 \
    --dashboard-agent-grpc-port=6383 --dashboard-agent-listen-port=6384 \
    --min-worker-port=10002 --max-worker-port=10999 "$@"
