"""The files of cluster/ are what Ray, KubeRay, Docker and bash accept, keep the rules of safety, and hold no secret."""

import copy
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "cluster"
SHELL = sorted([*CLUSTER.glob("*.sh"), *(ROOT / ".ci").iterdir(), *(ROOT / "tests/cluster/slurm").iterdir()])
CLOUDS = ("aws.yaml", "gcp.yaml")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", (CLUSTER / "README.md").read_text(), re.MULTILINE | re.DOTALL)
VERSIONS = dict(
    line.split(";")[0].strip().split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line
)


@cache
def _text(name):
    """The file as JSON, which has no shared parts."""
    return json.dumps(yaml.safe_load((CLUSTER / name).read_text()))


def _yaml(name):
    return json.loads(_text(name))


def _check(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_shell_files_parse_and_shellcheck_finds_nothing(path):
    _check("bash", "-n", path)
    _check(Path(sys.executable).parent / "shellcheck", path)
    assert os.access(path, os.X_OK)


def test_every_shell_block_of_the_readme_parses():
    assert len(BLOCKS) >= 15
    for block in BLOCKS:
        _check("bash", "-n", input=block)


def test_every_file_that_the_readme_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", (CLUSTER / "README.md").read_text())
    assert {"aws.yaml", "gcp.yaml", "kuberay.yaml", "Dockerfile", "slurm.sh"} <= set(links)
    assert [link for link in links if not (CLUSTER / link).exists()] == []


def test_no_file_holds_a_secret():
    secret = re.compile(
        r"AKIA[0-9A-Z]{16}|-----BEGIN|\b[0-9a-f]{40,}\b|(password|secret_access_key|auth_token)['\"]?\s*[:=]\s*['\"]?\w{8,}",
        re.IGNORECASE,
    )
    files = [path for path in CLUSTER.iterdir() if path.is_file()]
    assert secret.search("RAY_AUTH_TOKEN=0123456789abcdef")  # the search does find one
    assert [path.name for path in files if secret.search(path.read_text())] == []


@pytest.mark.parametrize("script", [("start-head.sh", "10.0.0.1"), ("start-worker.sh", "10.0.0.1", "10.0.0.2")])
def test_a_node_does_not_start_without_a_token(script, tmp_path):
    name, *addresses = script
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run([CLUSTER / name, *addresses], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: token: got none, expected ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["start-head.sh", "start-worker.sh"])
def test_a_node_started_by_hand_gives_every_port_and_keeps_the_token_on(name):
    text = (CLUSTER / name).read_text()
    given = set(re.findall(r"--([a-z-]+)-port=", text))
    ports = {
        "node-manager",
        "object-manager",
        "runtime-env-agent",
        "dashboard-agent-listen",
        "min-worker",
        "max-worker",
    }
    assert ports <= given
    assert "RAY_AUTH_MODE=token" in text
    if name == "start-head.sh":
        assert "--dashboard-host=127.0.0.1" in text
        assert "--num-cpus=0" in text


def test_the_local_cluster_refuses_a_port_in_use_and_has_nothing_to_stop(tmp_path):
    def call(*words):
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        command = [sys.executable, CLUSTER / "local.py", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused = call("start", "--port", str(port))
    assert refused.returncode == 2
    assert refused.stderr == f"error: port: got {port}, which another process listens on; expected a free port\n"
    assert call("start", "--nodes", "0").returncode == 2
    stopped = call("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "no cluster is running\n")


# Ray's cluster files.


def _prepared(config):
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


@pytest.mark.parametrize("name", CLOUDS)
def test_ray_accepts_the_cluster_file_and_refuses_it_broken(name):
    good = _yaml(name)
    prepared = _prepared(good)
    assert prepared["available_node_types"]["head"]["max_workers"] == 0
    for path, value in (
        (("max_wokers",), 3),
        (("max_workers",), "many"),
        (("provider", "region"), 2),
        (("auth", "password"), "x"),
        (("setup_commands", 0), 3),
        (("available_node_types", "cpu", "min_workers"), "none"),
        (("available_node_types", "cpu", "resources", "CPU"), -1),
        (("available_node_types", "gpu", "spot"), True),
    ):
        bad = copy.deepcopy(good)
        place = bad
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        with pytest.raises(jsonschema.ValidationError):
            _prepared(bad)


@pytest.mark.parametrize("name", CLOUDS)
def test_the_cloud_head_is_on_demand_without_compute_and_the_workers_are_spot(name):
    config = _yaml(name)
    types = config["available_node_types"]
    assert config["head_node_type"] == "head"
    assert types["head"]["resources"] == {"CPU": 0, "GPU": 0}
    spot = {kind: "spot" in json.dumps(node["node_config"]).lower() for kind, node in types.items()}
    assert spot == {"head": False, "cpu": True, "gpu": True}
    assert types["gpu"]["resources"]["GPU"] == 1
    assert all(
        0 == types[kind]["min_workers"] < types[kind]["max_workers"] <= config["max_workers"] for kind in ("cpu", "gpu")
    )
    assert config["idle_timeout_minutes"] <= 10
    assert config["provider"]["cache_stopped_nodes"] is False


@pytest.mark.parametrize("name", CLOUDS)
def test_cloud_nodes_get_wheel_constraints_and_token_before_ray_starts(name):
    config = _yaml(name)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert {"dist", "constraints.txt"} <= set(config["file_mounts"].values())
    install = next(command for command in config["setup_commands"] if "limitbench-*.whl" in command)
    assert "--constraint ~/limitbench/constraints.txt" in install
    starts = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    assert not any("pip" in command for command in starts)
    assert all("RAY_AUTH_MODE=token" in command for command in starts if "ray start" in command)
    (head,) = (command for command in starts if "--head" in command)
    assert {"--num-cpus=0", "--dashboard-host=127.0.0.1"} <= set(head.split())
    for command in (*config["setup_commands"], *config["head_setup_commands"], *starts):
        _check("bash", "-n", input=command)


# Kubernetes.

RAY_JOB = jsonschema.Draft7Validator(json.loads((ROOT / "tests/cluster/rayjob-schema.json").read_text()))


def _put(manifest, path, value):
    place = manifest
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value


HEAD = ("spec", "rayClusterSpec", "headGroupSpec")
POD = (*HEAD, "template", "spec")


def test_kuberay_accepts_the_manifest():
    RAY_JOB.validate(_yaml("kuberay.yaml"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "backofLimit"), 3),
        (("spec", "backoffLimit"), "three"),
        (("spec", "shutdownAfterJobFinishes"), "yes"),
        (("spec", "ttlSecondsAfterFinished"), 1.5),
        (("spec", "entrypoint"), ["limitbench", "run"]),
        (("spec", "rayClusterSpec", "authOptions", "mode"), "none"),
        (("spec", "rayClusterSpec", "authOptions", "token"), "x"),
        (("spec", "rayClusterSpec", "rayVersion"), 2.6),
        ((*HEAD, "rayStartParams", "num-cpus"), 0),
        ((*HEAD, "template"), None),
        ((*POD, "containers", 0, "name"), None),
        ((*POD, "containers", 0, "envform"), []),
        ((*POD, "containers", 0, "securityContext", "capabilities", "drop"), "ALL"),
        ((*POD, "securityContext", "runAsNonRoot"), "true"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "replicas"), "8"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "groupName"), None),
    ],
)
def test_kuberay_refuses_the_manifest_broken(path, value):
    manifest = _yaml("kuberay.yaml")
    _put(manifest, path, value)
    with pytest.raises(jsonschema.ValidationError):
        RAY_JOB.validate(manifest)


def test_the_ray_job_retries_ends_and_keeps_the_token_on():
    spec = _yaml("kuberay.yaml")["spec"]
    assert spec["shutdownAfterJobFinishes"]
    assert spec["backoffLimit"] >= 1
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["activeDeadlineSeconds"] > 3600
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == VERSIONS["ray"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    assert {"--address", "auto", "--out"} <= set(shlex.split(spec["entrypoint"]))


def test_every_pod_runs_one_image_without_root_and_with_limits_and_takes_secrets_by_reference():
    spec = _yaml("kuberay.yaml")["spec"]
    cluster = spec["rayClusterSpec"]
    templates = [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    pods = [template["spec"] for template in (*templates, spec["submitterPodTemplate"])]
    containers = [container for pod in pods for container in pod["containers"]]
    assert len(containers) == len(pods) == 4
    user = re.search(r"^USER (\d+):(\d+)$", (CLUSTER / "Dockerfile").read_text(), re.MULTILINE)
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        assert str(pod["securityContext"]["runAsUser"]) == user[1] != "0"
    for container in containers:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert {"cpu", "memory"} <= set(container["resources"]["limits"]) & set(container["resources"]["requests"])
        assert not any("TOKEN" in one["name"] or "SECRET" in one["name"] for one in container.get("env", ()))
    assert {container["image"] for container in containers} == {f"REGISTRY/limitbench:{_version()}"}
    assert all(c["envFrom"] == [{"secretRef": {"name": "limitbench-s3"}}] for c in containers[:3])


def _version():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


# The image.


def _instructions():
    text = re.sub(r"\\\n\s*", "", (CLUSTER / "Dockerfile").read_text())
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return [tuple(line.split(maxsplit=1)) for line in lines]


def test_the_dockerfile_is_pinned_and_ends_without_root_and_without_an_entrypoint():
    steps = _instructions()
    known = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER"}
    assert {word for word, _ in steps} == known
    bases = [rest.split()[0] for word, rest in steps if word == "FROM"]
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base) for base in bases)
    assert len(set(bases)) == 1  # the virtual environment of the one is used in the other
    assert [rest for word, rest in steps if word == "USER"] == ["10001:10001"]
    assert max(i for i, (word, _) in enumerate(steps) if word == "RUN") < [w for w, _ in steps].index("USER")


def test_the_dockerfile_copies_what_is_there_and_installs_under_the_constraints():
    steps = _instructions()
    ignored = (CLUSTER / "Dockerfile.dockerignore").read_text().split()
    for source in (
        word for kind, rest in steps if kind == "COPY" and "--from" not in rest for word in rest.split()[:-1]
    ):
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored
    runs = [rest for word, rest in steps if word == "RUN"]
    for run in runs:
        _check("bash", "-n", input=run)
    (install,) = (part for run in runs for part in run.split("&&") if "pip install" in part)
    assert "--constraint constraints.txt" in install
    extras = set(re.search(r"\[([a-z0-9,]+)\]", install)[1].split(","))
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras <= set(declared)
