# Every target sets up .venv by itself: a fresh clone needs Python >= 3.11, make and git.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OUT ?= results
NODES ?= 3
CPUS ?= 1
BASE ?= origin/main
MACHINE ?= $(shell uname -n)
ASV := $(BIN)/asv --config benchmarks/asv.conf.json

# Workers are processes; more threads in each only get in each other's way.
export OMP_NUM_THREADS ?= 1
export RAY_USAGE_STATS_ENABLED ?= 0

.PHONY: help run test test-cluster chaos lint bench bench-gate bench-publish peers reports cluster-local cluster-local-stop wheel wheel-check clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 28

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: PYTHON: found no Python, expected 3.11 or later; try make PYTHON=/path/to/python3"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: $(READY)  ## quick preset of every study on local Ray; report in $(OUT)/report.html
	$(BIN)/limitbench run --all --preset quick --out $(OUT)

# Tests that start Ray run by themselves: two clusters at once would fight for the cores.
test: $(READY)  ## all tests of one machine
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not ray and not cluster and not chaos"
	$(BIN)/python -m pytest -m "ray and not cluster and not chaos"

test-cluster: $(READY)  ## tests of several nodes and hosts, object stores, full disks, long histories
	$(BIN)/python -m pytest -m "cluster and not chaos"

chaos: $(READY)  ## dozens of kills in one sweep, memory that runs out, time limits of jobs: ten minutes and more
	$(BIN)/python -m pytest -m chaos

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## check the benchmarks and run each once in this environment
	$(ASV) machine --machine $(MACHINE) --yes
	$(ASV) check --python=same
	$(ASV) run --python=same --machine $(MACHINE) --quick --show-stderr --set-commit-hash=$$(git rev-parse HEAD)

bench-gate: $(READY)  ## benchmarks of HEAD against BASE=origin/main: fails where one is slower; BENCH=regex for some
	$(BIN)/python -m benchmarks.gate $(BASE) HEAD $(if $(BENCH),--bench '$(BENCH)')

bench-publish: $(READY)  ## the history of all results as a page in benchmarks/.asv/html
	$(ASV) publish

peers: $(READY)  ## limitbench against dense torch, neural-tangents, diffrax and torchsde; table and figure of README.md
	$(BIN)/python -m benchmarks.peers all

cluster-local: $(READY)  ## a Ray cluster of NODES=3 nodes with CPUS=1 each on this machine, until Ctrl-C
	@exec $(BIN)/python cluster/local.py start --nodes $(NODES) --cpus $(CPUS)

cluster-local-stop: $(READY)  ## end it, from another terminal
	@$(BIN)/python cluster/local.py stop

wheel: $(READY)  ## build the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist

wheel-check: wheel  ## install it alone elsewhere, run a sweep and a report there
	PYTHON=$(PYTHON) .ci/wheel-check dist/*.whl

reports: $(READY)  ## the standard runs of all studies (resumed, or taken as they are) as pages in reports/
	$(BIN)/limitbench run --all --preset standard --out $(OUT)/standard --no-report
	$(BIN)/limitbench report $(OUT)/standard --site reports

clean:  ## remove everything that the other targets made
	rm -rf $(VENV) .axe dist build results benchmarks/.asv .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find suite tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
