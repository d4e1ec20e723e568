#!/usr/bin/env bash
# Shows that the gate catches a slowed sampler: clones this repository, commits a change after which every layer of the
# two-input sampler is computed twice, and holds the gate against it. Ends with 0 where the gate ended with 1.
# Usage: benchmarks/show_gate.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(realpath --no-symlinks "${1:-.venv/bin/python}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git clone --quiet . "$work/clone"
cd "$work/clone"
cat >>suite/limitbench/networks/shaped_pair.py <<'PY'


_layer = wide_layer


def wide_layer(normals, scratch, *state):
    _layer(normals.clone(), scratch.clone(), *state)
    return _layer(normals, scratch, *state)
PY
git -c user.name=gate -c user.email=gate@localhost commit --quiet --all --message "Slow the two-input sampler down"

code=0
only="^samplers\.(Networks|Gen|Careful).*\('(shaped-relu-t.*|forward)', 1024(\)|, 'torch')"
"$python" -m benchmarks.gate HEAD~1 HEAD --bench "$only" || code=$?
echo "the gate ended with $code, expected 1"
[ "$code" = 1 ]
