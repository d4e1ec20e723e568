#!/usr/bin/env bash
# The head of a Ray cluster, by hand: no compute on it, dashboard and jobs on the loopback interface alone.
#   start-head.sh ADDRESS [RAY START OPTIONS]      ADDRESS: of this machine, as the other nodes reach it
# Ports, to be open between the nodes only: 6379 to 6384, 10002 to 10999. Ctrl-C ends it, and the cluster with it.
set -euo pipefail
address=${1:?usage: start-head.sh ADDRESS [RAY START OPTIONS]}
shift
token=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
if [ -z "${RAY_AUTH_TOKEN:-}" ] && [ ! -s "$token" ]; then
    echo "error: token: got none, expected one in RAY_AUTH_TOKEN or $token (make it by: ray get-auth-token --generate)" >&2
    exit 2
fi
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 OMP_NUM_THREADS=1
exec ray start --head --block --node-ip-address="$address" --num-cpus=0 --num-gpus=0 --port=6379 \
    --node-manager-port=6380 --object-manager-port=6381 --runtime-env-agent-port=6382 \
    --dashboard-agent-grpc-port=6383 --dashboard-agent-listen-port=6384 \
    --min-worker-port=10002 --max-worker-port=10999 --ray-client-server-port=10001 \
    --dashboard-host=127.0.0.1 --dashboard-port=8265 "$@"
