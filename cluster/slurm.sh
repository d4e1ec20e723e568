#!/usr/bin/env bash
#SBATCH --job-name=limitbench
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --output=limitbench-%j.log
#SBATCH --open-mode=append
#SBATCH --no-kill
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#
# One sweep on Slurm: Ray's head on the first node, a Ray node on each, `limitbench run` with the arguments given here.
#   sbatch --nodes=8 cluster/slurm.sh deep-linear --set width=16 --out /shared/results
# Every node sees the same environment (active when you call sbatch) and the same --out. 120 s before the time limit the
# run is stopped with its finished blocks stored, and the job queues again; so does one whose nodes were taken away.
# HEAD_ADDRESS: address of the first node that the others reach, where it has several networks.
set -euo pipefail
umask 077
set -m # children get a process group and an interruptible SIGINT of their own

seconds_to_start=300
nodes=${SLURM_JOB_NUM_NODES:?not set: call this script by sbatch}
job=${SLURM_JOB_ID:?not set: call this script by sbatch}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
directory=/tmp/limitbench-$job

# A token for this job alone. It is in the environment of its processes, never in a file or an argument.
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0
export OMP_NUM_THREADS=1 RAY_TMPDIR=$directory
unset RAY_ADDRESS

# Two free neighbours, looked for from a place that depends on the job, as others may share the node.
read -r host port client_port < <(python - "$job" "${HEAD_ADDRESS:-}" <<'PYTHON'
import socket, sys
import ray.util

def free(port):
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0

host = sys.argv[2] or ray.util.get_node_ip_address()
start = 10_000 + int(sys.argv[1]) * 2 % 20_000
print(host, *next((p, p + 1) for p in range(start, start + 2_000, 2) if free(p) and free(p + 1)))
PYTHON
)
address=$host:$port

steps=()
# shellcheck disable=SC2329  # the trap calls it
stop_ray() {
    trap - EXIT
    kill -TERM "${steps[@]}" 2>/dev/null || true
    wait "${steps[@]}" 2>/dev/null || true
    srun --overlap --nodes="$nodes" --ntasks="$nodes" rm -rf "$directory" || true
}
trap stop_ray EXIT

mkdir -p "$directory"
ports=(--min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0)
srun --overlap --nodes=1 --ntasks=1 --nodelist="$first" \
    ray start --head --block --num-cpus=0 --num-gpus=0 --node-ip-address="$host" --port="$port" \
    --ray-client-server-port="$client_port" --include-dashboard=false "${ports[@]}" >"$directory/head.log" 2>&1 &
steps+=($!)
for _ in $(seq "$seconds_to_start"); do
    python -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)' "$host" "$port" 2>/dev/null && break
    kill -0 "${steps[0]}" 2>/dev/null || { cat "$directory/head.log" >&2; exit 3; }
    sleep 1
done
# A node that does not get through at once, because many start together or it is busy, tries again.
# shellcheck disable=SC2016  # for the nodes' shell
srun --overlap --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
    --kill-on-bad-exit=0 bash -c 'for pause in 5 15 0; do "$@" && break; sleep "$pause"; done' start \
    ray start --block --address="$address" --num-cpus="${SLURM_CPUS_PER_TASK:-1}" "${ports[@]}" \
    >"$directory/workers.log" 2>&1 &
steps+=($!)

python - "$address" "$nodes" "$seconds_to_start" <<'PYTHON' || { cat "$directory"/*.log >&2; exit 3; }
import sys, time
import ray

address, wanted, deadline = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
ray.init(address, logging_level="ERROR", log_to_driver=False)
while (up := sum(node["Alive"] for node in ray.nodes()) - 1) < wanted and time.monotonic() < deadline:
    time.sleep(0.5)
print(f"{up} of {wanted} nodes at {address}", flush=True)  # with fewer it goes on: late ones still join
sys.exit(up < 1)
PYTHON

limitbench run "$@" --address "$address" &
run=$!
again=
trap 'kill -INT "$run" 2>/dev/null || true' TERM INT
trap 'again=yes; kill -INT "$run" 2>/dev/null || true' USR1
code=0
wait "$run" || code=$?
while kill -0 "$run" 2>/dev/null; do # a signal ends `wait` before the run has ended
    code=0
    wait "$run" || code=$?
done
if [ -n "$again" ]; then
    echo "time limit: finished blocks are stored, the job queues again to do the others"
    scontrol requeue "$job"
fi
exit "$code"
