"""Nothing that is read is run, nothing that is secret is written, and nothing is reached that was not meant to be.

Stores, YAML files and error texts come from elsewhere: their words are shown as words, their paths stay where they are.
"""

import dataclasses
import json
import os
import pickletools
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

import limitbench
from limitbench import config
from limitbench.cli import BAD_INPUT, COMPLETE, QUARANTINED, main
from limitbench.errors import InputError
from limitbench.report.html import render
from limitbench.report.shell import script
from limitbench.studies.base import Claim
from limitbench.sweep.results import open_results
from limitbench.sweep.run import run
from limitbench.sweep.storage import LocalStorage
from limitbench.testing.refusals import toy_among_the_studies
from limitbench.testing.toy import STUDY

pytestmark = pytest.mark.timeout(120, func_only=True)

RUN = ("run", "toy", "--executor", "serial", "--set", "width=4", "--samples", "64")


@pytest.fixture(autouse=True, scope="module")
def toy() -> Iterator[None]:
    with toy_among_the_studies():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of `RUN`; not to be changed."""
    folder = tmp_path_factory.mktemp("whole") / "results"
    assert main([*RUN, "--out", str(folder)]) == COMPLETE
    return folder


@pytest.fixture
def results(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the results of `RUN` in the current directory."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(whole, tmp_path / "results")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- code


def is_pickle(data: bytes) -> bool:
    """Whether `data` is a whole pickle of any protocol."""
    try:
        operations = [operation.name for operation, _, _ in pickletools.genops(data)]
    except Exception:
        return False
    return operations[-1:] == ["STOP"] and len(operations) > 1


def test_no_object_of_a_store_is_a_pickle_or_asks_for_one(whole: Path) -> None:
    found = contents(whole)
    assert len(found) > 100
    assert [name for name, data in found.items() if is_pickle(data)] == []
    documents = [data for name, data in found.items() if name.endswith(".json")]
    assert not any(re.search(rb"pickle|json2|\"object\"|\|O", data) for data in documents)


def test_the_check_knows_a_pickle() -> None:
    import pickle

    assert all(is_pickle(pickle.dumps({"a": [1]}, protocol)) for protocol in range(6))
    assert not is_pickle(b'{"a": 1}')


#: What runs code that it reads.
RUNS = re.compile(
    r"pickle\.loads?\(|\beval\(|\bexec\(|os\.system\(|shell=True|allow_pickle=True|torch\.load\(|unsafe_load|"
    r"full_load|yaml\.(Full|Unsafe)?Loader|yaml\.load\((?!.*_Loader\))|\|\s*safe\b(?<!svg\|safe)(?<!spec\|safe)"
)


def test_no_source_runs_what_it_reads() -> None:
    package = Path(limitbench.__file__).parent
    sources = [path for ending in ("py", "html") for path in package.rglob(f"*.{ending}")]
    assert len(sources) > 100
    used = [path for path in sources if "testing" not in path.parts]  # tests of pickles are no use of them
    found = [f"{path.name}: {line.strip()}" for path in used for line in _lines(path) if RUNS.search(line)]
    assert found == []
    assert issubclass(config._Loader, yaml.SafeLoader)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    "line",
    ["x = pickle.load(f)", "yaml.load(text, yaml.Loader)", "yaml.unsafe_load(t)", "eval(text)", "{{ name|safe }}"],
)
def test_the_search_finds_it(line: str) -> None:
    assert RUNS.search(line)


@pytest.mark.parametrize(
    "name", ["evil", "evil:STUDY", "evil.STUDY", "./evil.py", "../results", "limitbench.testing.toy"]
)
def test_a_study_is_never_imported_by_the_name_that_a_store_gives(
    name: str, results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("evil.py").write_text("open('owned', 'w').close()\n")
    monkeypatch.syspath_prepend(".")
    root = results / "toy.zarr" / "zarr.json"
    document = json.loads(root.read_text())
    document["attributes"]["study"] = name
    spec = json.loads(document["attributes"]["spec"])
    spec["meaning"]["study"] = name
    document["attributes"]["spec"] = json.dumps(spec)
    root.write_text(json.dumps(document))
    for arguments in (("status", "results"), ("report", "results"), RUN, ("run", name), ("show", name)):
        assert main(arguments) == BAD_INPUT
    assert not Path("owned").exists()
    assert "evil" not in sys.modules


# -- words

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}{% raw %}[red]x[/red]\x1b]0;owned\x07\x1b[2J"
#: Elements of a page, and attributes that fetch or run something.
NAMES = """
html head meta link title style body header main nav article section figure figcaption details summary
a p h1 h2 h3 h4 ul li table caption thead tbody tr th td div span code pre b i br dl dt dd
fieldset legend input label svg g path line rect text tspan circle use defs clippath desc
button sup cite math mrow mi mo mn msub msup msubsup mfrac mtext mspace mstyle msqrt mover munder munderover
"""
ELEMENTS = set(NAMES.split())


class Page(HTMLParser):
    """Elements, attributes that fetch or run something, and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.fetched: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        for name, value in attrs:
            if name.startswith("on") or (name.endswith(("href", "src")) and (value or "")[:1] not in ("#", "d")):
                self.fetched.append(f"{name}={value}")

    def handle_data(self, data: str) -> None:
        self.text += data


def is_harmless(page: Page) -> bool:
    return page.elements <= ELEMENTS and not page.fetched


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with hostile words wherever words come from outside: axis values, claims, failures, hosts, versions."""
    out = tmp_path_factory.mktemp("hostile") / "results"
    axes = tuple(
        dataclasses.replace(axis, choices=(), default=(HOSTILE,)) if axis.name == "fault" else axis
        for axis in STUDY.axes
    )
    claims = [Claim(HOSTILE, HOSTILE, 0.0, 0.0, 0.1, "holds", command=HOSTILE)]
    study = dataclasses.replace(STUDY, axes=axes, claims=lambda tree: claims)
    grid = {"width": [4, 8], "fault": [HOSTILE, "[/red]"]}
    run(study, grid, samples=64, out=out)
    done = sorted((out / "toy.run" / "done").glob("*.b*.json"))
    for marker in done:
        content = json.loads(marker.read_text())
        content |= {"host": HOSTILE, "device": HOSTILE}
        content["versions"][HOSTILE] = HOSTILE
        marker.write_text(json.dumps(content))
    failed = out / "toy.run" / "failed" / done[0].name
    failed.parent.mkdir()
    failed.write_text(json.dumps({"block": done[0].stem, "error": HOSTILE, "attempts": 3}))
    done[0].unlink()
    root = out / "toy.zarr" / "zarr.json"
    document = json.loads(root.read_text())
    document["attributes"] |= {"finalised": False, HOSTILE: HOSTILE}
    root.write_text(json.dumps(document))
    return out


def test_the_report_shows_hostile_words_as_words(hostile: Path, tmp_path: Path) -> None:
    study = dataclasses.replace(STUDY, title=HOSTILE, question=HOSTILE, reference=HOSTILE)
    written = Path(render(hostile, tmp_path / "page.html", studies=[study])).read_text(encoding="utf-8")
    own = f"<script>{script()}</script>"
    assert written.count(own) == 1, "the page's own, which its policy allows by its hash"
    page = Page(written.replace(own, ""))
    assert is_harmless(page), (page.elements - ELEMENTS, page.fetched)
    assert page.text.count("<script>alert(1)</script>") > 10
    assert "{{7*7}}" in page.text
    assert "[red]x[/red]" in page.text


def test_the_parser_notices_a_script_and_what_is_fetched() -> None:
    assert is_harmless(Page("<p><a href='#x'>x</a>"))
    for page in (HOSTILE, "<p onclick=x>", "<a href='https://x'>", "<svg><use xlink:href='x.svg#y'>", "<iframe>"):
        assert not is_harmless(Page(page))


@pytest.mark.parametrize("width", ["80", "200"])
def test_the_terminal_shows_hostile_words_as_words(
    width: str, hostile: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert main(["status", str(hostile)]) == COMPLETE
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert "\x07" not in printed.out + printed.err
    assert "[red]" in re.sub(r"\s", "", printed.out)


def test_claims_and_notes_on_the_terminal_are_words(
    hostile: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from limitbench import commands
    from limitbench.sweep.progress import Terminal

    monkeypatch.setenv("COLUMNS", "200")
    tree = open_results(hostile)
    commands._print(*commands._claims("toy", tree))
    with Terminal() as terminal:
        terminal.fail("x", HOSTILE)
        terminal.note(HOSTILE)
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert printed.err.count("[red]x[/red]") == 2
    assert "[red]x[/red]" in re.sub(r"\s", "", printed.out)


# -- paths


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "/etc/passwd", "a\0b", ""])
def test_no_name_leads_out_of_the_storage(name: str, tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "results")
    (tmp_path / "x").write_text("mine")
    for touch in (storage.read, storage.remove, storage.remove_all, storage.exists, lambda n: storage.write(n, b"y")):
        with pytest.raises(InputError, match="relative name"):
            touch(name)
    with pytest.raises(InputError, match="relative name"):
        list(storage.entries(name))
    assert (tmp_path / "x").read_text() == "mine"


def elsewhere(tmp_path: Path) -> Path:
    """A folder of the user's own, outside the results."""
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    for name in ("thesis.tex", "c.partial", f"c.{'0' * 32}.partial", "deep/a.json"):
        (folder / name).write_text("years of work")
    return folder


@pytest.mark.parametrize("link", ["toy.zarr", "toy.run", "toy.run/done", "toy.zarr/samples", "toy.zarr/samples/walk"])
def test_nothing_is_removed_where_a_link_leads(link: str, results: Path, tmp_path: Path) -> None:
    mine = elsewhere(tmp_path)
    before = contents(mine)
    shutil.rmtree(results / link)
    (results / link).symlink_to(mine)
    (results / "toy.zarr").is_symlink() or (results / "toy.zarr" / "zarr.json").unlink()  # laid out anew
    storage = LocalStorage(results)
    storage.remove_all("toy.zarr")
    storage.remove_all("toy.run")
    assert contents(mine) == before
    assert storage.folders() == []


def test_a_run_over_links_that_lead_out_removes_nothing_there(results: Path, tmp_path: Path) -> None:
    mine = elsewhere(tmp_path)
    before = {name: data for name, data in contents(mine).items() if not name.endswith(".partial")}
    shutil.rmtree(results / "toy.run" / "done")
    (results / "toy.run" / "done").symlink_to(mine)
    assert main([*RUN, "--set", "depth=2,4,8"]) == COMPLETE  # removes all markers first
    assert before.items() <= contents(mine).items()


def test_results_may_lie_behind_a_link(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, tmp_path / "scratch")
    Path("results").symlink_to("scratch")
    assert main(["status", "results"]) == COMPLETE
    assert main([*RUN, "--samples", "128", "--no-report"]) == COMPLETE
    assert Path("results").is_symlink()
    assert open_results("scratch")["run"]["n_samples"].values.min() == 128


# -- secrets

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAQ7EXAMPLE1234567",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEBYaDExampleSessionToken",
    "MY_PASSWORD": "correct-horse-battery-staple",
}


def holders(folders: list[Path], secrets: dict[str, str]) -> list[str]:
    """Files that hold a secret, and names of files that do."""
    needles = [value.encode() for value in secrets.values()]
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            if any(needle in os.fsencode(path.name) for needle in needles):
                found.append(str(path))
            if path.is_file() and any(needle in path.read_bytes() for needle in needles):
                found.append(str(path))
    return found


def test_no_secret_of_the_environment_is_stored_or_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {**SECRETS, "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}.items():
        monkeypatch.setenv(name, value)
    grid = ("--set", "width=4", "--set", "fault=none,raise", "--samples", "64")
    assert main(["run", "toy", "--executor", "serial", *grid]) == QUARANTINED
    assert main(["status", "results"]) == COMPLETE
    printed = capfd.readouterr()
    secrets = {**SECRETS, "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    assert not any(value in printed.out + printed.err for value in secrets.values())
    assert (tmp_path / "results" / "report.html").exists()
    assert holders([tmp_path], secrets) == []


def test_the_search_finds_a_secret(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"key={SECRETS['MY_PASSWORD']}")
    (tmp_path / SECRETS["AWS_ACCESS_KEY_ID"]).touch()
    assert len(holders([tmp_path], SECRETS)) == 2


# -- Ray

DRIVER = """
    import json, sys, time
    from pathlib import Path
    from limitbench.sweep.ray_session import ray_session
    from limitbench.sweep.run import run
    from limitbench.testing.toy import STUDY

    with ray_session(workers=1):
        import ray

        run(STUDY, {"width": [4]}, samples=64, out=sys.argv[1], executor="ray", workers=1)
        node = ray.get_runtime_context()
        told = {"address": node.gcs_address, "session": ray._private.worker._global_node.get_session_dir_path()}
        print(json.dumps(told), flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], dict[str, str], Path]]:
    """A run in a process of its own that started Ray as `limitbench run` does, with nothing said about Ray."""
    folder = tmp_path_factory.mktemp("ray")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | SECRETS
    environment |= {"HOME": str(folder), "RAY_TMPDIR": f"/tmp/lb{os.getpid()}"}
    driver = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(DRIVER), str(folder / "results")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / "stderr").open("w"),
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        assert driver.stdout is not None
        told = json.loads(next(line for line in driver.stdout if line.startswith("{")))
        yield driver, told, folder
    finally:
        driver.communicate("", timeout=60)
        shutil.rmtree(f"/tmp/lb{os.getpid()}", ignore_errors=True)


RAY = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def listening(session: int) -> dict[str, list[str]]:
    """Addresses at which the processes of a session listen, by process name, from /proc."""
    sockets: dict[str, str] = {}
    for table, width in (("tcp", 8), ("tcp6", 32)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                sockets[fields[9]] = fields[1].partition(":")[0] if width else ""
    found: dict[str, list[str]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) != session:
                continue
            links = [os.readlink(link) for link in (process / "fd").iterdir()]
            name = (process / "comm").read_text().strip()
        except (OSError, ProcessLookupError):
            continue
        for link in links:
            inode = link.removeprefix("socket:[").removesuffix("]")
            if inode in sockets:
                found.setdefault(name, []).append(sockets[inode])
    return found


#: 127.0.0.1, ::1 and ::ffff:127.0.0.1 as /proc writes them.
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


class TestRay:
    pytestmark = RAY

    def test_a_local_ray_listens_on_loopback_alone(self, session) -> None:
        driver, _, _ = session
        found = listening(os.getsid(driver.pid))
        assert {"gcs_server", "raylet"} <= found.keys()
        assert {name: where for name, where in found.items() if set(where) - LOOPBACK} == {}

    def test_no_secret_is_in_the_logs_of_ray_or_in_what_the_driver_said(self, session) -> None:
        _, told, folder = session
        assert (Path(told["session"]) / "logs").exists()
        assert holders([Path(told["session"]) / "logs", folder], SECRETS) == []

    @pytest.mark.parametrize("token", ["right", "wrong", "none"])
    def test_only_a_client_with_the_token_is_let_in(self, token: str, session) -> None:
        _, told, folder = session
        code = f"from ray._raylet import GcsClient; GcsClient(address={told['address']!r}); print('joined')"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"HOME": str(folder)}
        environment |= {"RAY_AUTH_MODE": "disabled"} if token == "none" else {"RAY_AUTH_MODE": "token"}
        environment |= {"RAY_AUTH_TOKEN": "0123456789abcdef" * 4} if token == "wrong" else {}
        client = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert ("joined" in client.stdout) == (token == "right"), client
        assert ("InvalidAuthToken" in client.stderr) == (token != "right")

    def test_only_the_user_may_read_the_token_that_ray_made(self, session) -> None:
        _, _, folder = session
        assert (folder / ".ray" / "auth_token").stat().st_mode & 0o077 == 0
