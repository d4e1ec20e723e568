"""YAML files and options that cannot be accepted, as people and programs that write garbage hand them in.

One line, exit code 2, nothing written, whatever the bytes are; what Hypothesis makes up is accepted or refused alike.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limitbench.cli import BAD_INPUT, COMPLETE, main
from limitbench.config import MOST_YAML, OPTION_NAMES, run_options
from limitbench.errors import InputError, one_line
from limitbench.testing.refusals import refusal

pytestmark = pytest.mark.timeout(60, func_only=True)

RUN = ("run", "deep-linear", "--executor", "serial", "--set", "width=16", "--set", "aspect=1", "--samples", "1")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that the command prints as it refuses; the current directory is as it was."""
    before = sorted(os.listdir())
    line = refusal(capsys, *arguments, shorter_than=1500)
    assert sorted(os.listdir()) == before
    return line


def laughs() -> str:
    """Nine lists of nine lists of ...: 3.5 x 10^8 words in 300 bytes."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for inner, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{inner}'] * 9)}]")
    return "\n".join(lines) + "\n"


#: Files, and a word of the line.
FILES: dict[str, tuple[str | bytes, str]] = {
    "Python object": ("studies: !!python/object:os.system [ls]\n", "tag"),
    "Python call": ("!!python/object/apply:os.system ['touch owned']\n", "tag"),
    "Python call below": ("studies: [!!python/object/apply:os.mkdir [owned]]\n", "tag"),
    "Python name": ("studies: !!python/name:os.system\n", "tag"),
    "Python module": ("studies: !!python/module:os\n", "tag"),
    "Python tuple": ("studies: !!python/tuple [a]\n", "tag"),
    "unknown tag": ("studies: !mine x\n", "tag"),
    "bytes": ("studies: !!binary aGFsbG8=\n", "studies"),
    "set": ("studies: deep-linear\nset: !!set {a, b}\n", "axis names"),
    "ordered map": ("studies: !!omap [a: 1]\n", "studies"),
    "date": ("out: 2024-01-01\n", "directory"),
    "date as key": ("2024-01-01: 3\n", "2024-01-01"),
    "billion laughs": (laughs(), "key"),
    "billion laughs as studies": (laughs().replace("i:", "studies:"), "key"),
    "billion laughs on an axis": (f"studies: deep-linear\nset:\n{'  '.join(('', *laughs().splitlines(True)))}", "set"),
    "list that holds itself": ("studies: &a [*a]\n", "names of studies"),
    "axis that holds itself": ("studies: deep-linear\nset: {width: &a [*a]}\n", "axis names"),
    "mapping that holds itself": ("&a {set: *a}\n", "axis names"),
    "undefined alias": ("studies: *a\n", "undefined alias"),
    "merged values": ("<<: {studies: deep-linear}\nsamples: 0\n", "samples: got 0"),
    "merged number": ("<<: 3\n", "merging"),
    "60 nested lists": (f"studies: {'[' * 60}{']' * 60}\n", "names of studies"),
    "800 nested lists": (f"studies: {'[' * 800}{']' * 800}\n", ""),
    "150 nested mappings": (f"set: {'{a: ' * 150}1{'}' * 150}\n", "set a"),
    "repeated key in other quotes": ("set:\n  width: 16\n  'width': 32\n", "twice"),
    "40 digits": (f"studies: deep-linear\nset: {{width: {'9' * 40}}}\n", "width"),
    "infinite samples": ("studies: deep-linear\nsamples: .inf\n", "samples: got inf"),
    "margin that is no number": ("studies: deep-linear\nmargin: .nan\n", "margin: got nan"),
    "width that is no number": ("studies: deep-linear\nset: {width: .nan}\n", "width: got nan"),
    "infinite width": ("studies: deep-linear\nset: {width: [.inf, -.inf]}\n", "width: got inf"),
    "1e400": ("studies: deep-linear\nset: {width: 1e400}\n", "width: got '1e400'"),
    "width of 1e300": ("studies: deep-linear\nset: {width: 1.0e+300}\n", "width: got 1e+300"),
    "sexagesimal": ("studies: deep-linear\nset: {width: 1:30}\n", "not decimal"),
    "byte order mark": ("\ufeffstudies: deep-linear\nsamples: 0\n", "samples: got 0"),
    "Latin-1": ("out: café\n".encode("latin-1"), "utf-8"),
    "UTF-16": ("studies: deep-linear\n".encode("utf-16"), "utf-8"),
    "NUL": ("studies: deep\0linear\n", "#x0000"),
    "escape": ("studies: deep\x1b[31mlinear\n", "#x001b"),
    "tab": ("set:\n\twidth: 16\n", "line 2"),
    "empty": ("", "mapping of options"),
    "comment": ("# nothing\n", "mapping of options"),
    "a word": ("deep-linear\n", "mapping of options"),
    "a number": ("5\n", "mapping of options"),
    "two documents": ("studies: deep-linear\n---\nstudies: shaped-relu\n", "another document"),
    "open quote": ("studies: 'x\n", "line"),
    "two colons": ("studies: a: b\n", "line 1"),
    "other YAML version": ("%YAML 9.9\n---\nstudies: x\n", "version"),
    "line separator": ("studies: a\u2028b\n", "line"),
    "null as key": ("~: 3\n", "key"),
    "number as key": ("7: 3\n", "'7'"),
    "list as key": ("? [1, 2]\n: 3\n", "unhashable"),
    "mapping as key": ("? {a: 1}\n: 3\n", "unhashable"),
    "number as axis": ("studies: deep-linear\nset: {1: 2}\n", "set 1"),
    "null as axis": ("studies: deep-linear\nset: {~: 2}\n", "set None"),
    "list in an axis": ("studies: deep-linear\nset: {width: [[16]]}\n", "set width"),
    "half a character as key": ('"\\ud800": 1\n', "'\\ud800'"),
    "half a character as study": ('studies: "\\ud800"\n', "'\\ud800'"),
    "half a character as axis": ('studies: deep-linear\nset: {"\\ud800": 1}\n', "axis"),
    "escape sequence as study": ('studies: "\\e]0;owned\\a"\n', "\\x1b]0;owned\\x07"),
    "escape sequence as key": ('"\\e]0;owned\\a": 1\n', "\\x1b]0;owned\\x07"),
    "escape sequence as axis": ('studies: deep-linear\nset: {"\\e]0;owned": [[1]]}\n', "\\x1b]0;owned"),
    "name of 50,000 letters": (f"studies: {'x' * 50_000}\n", "..."),
    "axis of 50,000 letters": (f"studies: deep-linear\nset:\n  ? {'x' * 50_000}\n  : [[1]]\n", "..."),
    "all and a number": ("all: true\nstudies: 5\n", "'5'"),
    "all and numbers": ("all: true\nstudies: [5, 6]\n", "'5 6'"),
    "all and a mapping": ("all: true\nstudies: {a: 1}\n", "no names of studies"),
    "the field's other name": ("every: true\n", "'every'"),
    "the grid's other name": ("grid: {}\n", "'grid'"),
    "a file in the file": ("config: f.yaml\n", "'config'"),
}


@pytest.mark.parametrize("case", FILES)
def test_file_that_is_refused(case: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, word = FILES[case]
    Path("f.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert word in refused(capsys, "run", "--executor", "serial", "--config", "f.yaml")


#: A value of every type, and the options that accept it.
VALUES = {
    "list": "[1]",
    "list of texts": "[a]",
    "mapping": "{a: b}",
    "NaN": ".nan",
    "bytes": "!!binary aGFsbG8=",
    "date": "2024-01-01",
    "text": "perhaps",
    "negative number": "-1",
    "huge number": "9" * 39,
}
ACCEPTED = {
    ("studies", "list of texts"),  # refused as the name of a study
    ("studies", "text"),
    ("theory", "list of texts"),
    ("theory", "text"),
    ("set", "mapping"),  # refused as the name of an axis
    ("out", "bytes"),
    ("address", "bytes"),
    ("out", "text"),
    ("data", "text"),
    ("address", "text"),
    ("core-hour-price", "huge number"),
    ("margin", "huge number"),
    ("tolerance", "huge number"),
    ("block-seconds", "huge number"),
    ("block-memory", "huge number"),
    ("workers", "huge number"),
}


@pytest.mark.parametrize("name", OPTION_NAMES)
def test_every_option_refuses_values_of_other_types(name: str, workplace: Path) -> None:
    for kind, value in VALUES.items():
        Path("f.yaml").write_text(f"{name}: {value}\n")
        if (name, kind) in ACCEPTED:
            run_options({}, Path("f.yaml"))
            continue
        with pytest.raises(InputError, match=rf"^{name}( a)?: got "):
            run_options({}, Path("f.yaml"))


#: Things that are not regular files.
PLACES: dict[str, Callable[[Path], None]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "link to itself": lambda place: place.symlink_to(place.name),
    "link to nothing": lambda place: place.symlink_to("nothing"),
    "link to a device": lambda place: place.symlink_to("/dev/zero"),
    "link to a terminal": lambda place: place.symlink_to("/dev/tty"),
    "link to a folder": lambda place: place.symlink_to("/proc"),
    "more than anybody writes": lambda place: place.write_text("a: 1\n" * 2_000_000),
    "a byte too many": lambda place: place.write_text("#" * (MOST_YAML + 1)),
}


@pytest.mark.parametrize("case", PLACES)
def test_place_that_is_no_file(case: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    PLACES[case](Path("f.yaml"))
    assert "--config: got 'f.yaml'" in refused(capsys, *RUN, "--config", "f.yaml")


def test_link_to_a_file_is_read(workplace: Path) -> None:
    Path("mine.yaml").write_text("seed: 3\n")
    Path("f.yaml").symlink_to("mine.yaml")
    assert run_options({}, Path("f.yaml")).seed == 3


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OPTIONS = st.dictionaries(st.sampled_from(OPTION_NAMES) | st.text(max_size=5), VALUE, max_size=4)


def _accepted_or_refused(folder: Path, content: bytes) -> None:
    file = folder / "f.yaml"
    file.write_bytes(content)
    line = "a: got b, expected c"
    try:
        run_options({}, file)
    except InputError as error:
        line = str(error)
    assert line.isprintable()
    assert re.fullmatch(r".+: got .+, expected .+", line)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(options=OPTIONS)
def test_made_up_options_are_accepted_or_refused_in_one_line(options: dict, tmp_path_factory) -> None:
    folder = tmp_path_factory.getbasetemp()
    _accepted_or_refused(folder, yaml.safe_dump(options, allow_unicode=False).encode())


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=60) | st.text("{}[]:,&*!|>'\"%@#-? \n\tab01~", max_size=40).map(str.encode))
def test_made_up_bytes_are_accepted_or_refused_in_one_line(content: bytes, tmp_path_factory) -> None:
    _accepted_or_refused(tmp_path_factory.getbasetemp(), content)


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=50))
def test_a_message_is_one_printable_line(text: str) -> None:
    assert one_line(text).isprintable()
    assert str(InputError(text, text, text)).isprintable()


def test_a_message_shows_any_value_at_once() -> None:
    value: object = "x"
    for _ in range(30):
        value = [value] * 9  # 9^30 words
    for shown in (value, 10**5000, "x" * 10**6, list(range(10**6)), {"a": value}):
        assert len(str(InputError("a", shown, "b"))) < 600


#: Options that cannot be accepted: arguments, and words of the line.
LINES = {
    "seconds zero": (("--block-seconds", "0"), ("--block-seconds: got '0'", "positive number of seconds")),
    "seconds negative": (("--block-seconds", "-1"), ("--block-seconds: got '-1'", "seconds")),
    "seconds NaN": (("--block-seconds", "nan"), ("--block-seconds: got 'nan'", "seconds")),
    "seconds infinite": (("--block-seconds", "inf"), ("--block-seconds: got 'inf'", "seconds")),
    "seconds with a unit": (("--block-seconds", "6h"), ("--block-seconds: got '6h'", "seconds")),
    "no seconds": (("--block-seconds",), ("--block-seconds: got nothing",)),
    "memory zero": (("--block-memory", "0"), ("--block-memory: got '0'", "GiB")),
    "memory negative": (("--block-memory", "-2"), ("--block-memory: got '-2'", "GiB")),
    "memory NaN": (("--block-memory", "nan"), ("--block-memory: got 'nan'", "GiB")),
    "memory with a unit": (("--block-memory", "2GB"), ("--block-memory: got '2GB'", "GiB")),
    "price negative": (("--dry-run", "--core-hour-price", "-1"), ("--core-hour-price: got '-1'", "0 or more")),
    "price NaN": (("--dry-run", "--core-hour-price", "nan"), ("--core-hour-price: got 'nan'",)),
    "price in dollars": (("--dry-run", "--core-hour-price", "$1"), ("--core-hour-price: got '$1'",)),
    "price with an escape": (("--core-hour-price", "\x1b]0;x\x07"), ("--core-hour-price: got '\\x1b]0;x\\x07'",)),
    "value for a switch": (("--dry-run=yes",), ("dry-run",)),
    "value for another switch": (("--retry-failed=1",), ("retry-failed",)),
    "retry with samples": (("--retry-failed",), ("--set: got", "--retry-failed")),
    "price alone": (("--core-hour-price", "1"), ("--core-hour-price: got 1.0", "--dry-run")),
    "one slash": (("--out", "s3:/a"), ("--out: got 's3:/a'", "s3://BUCKET/PREFIX")),
    "limit without Ray": (("--block-seconds", "5"), ("--block-seconds: got 5", "--executor serial")),
    "unknown scheme": (("--out", "ftp://bucket/x"), ("out: got 'ftp://bucket/x'", "s3://")),
    "web address": (("--out", "https://bucket/x"), ("out: got 'https://bucket/x'", "s3://")),
    "no scheme": (("--out", "://bucket"), ("out: got '://bucket'", "s3://")),
    "scheme alone": (("--out", "s3://"), ("out: got 's3://'", "s3://BUCKET/PREFIX")),
    "no bucket": (("--out", "s3:///x"), ("out: got 's3:///x'", "bucket")),
    "bucket of one letter": (("--out", "s3://a"), ("out: got 's3://a'", "bucket")),
    "bucket with a blank": (("--out", "s3://my bucket/x"), ("out", "bucket")),
    "way out": (("--out", "s3://bucket/../x"), ("out: got 's3://bucket/../x'", "'..'")),
    "empty part": (("--out", "s3://bucket/a//b"), ("out", "empty parts")),
    "NUL in a URL": (("--out", "s3://bucket/a\0b"), ("--out", "directory")),
    "escape in a URL": (("--out", "s3://bucket/\x1b]0;x"), ("out: got 's3://bucket/\\x1b]0;x'",)),
    "query": (("--out", "s3://bucket/x?y=1"), ("out: got 's3://bucket/x'", "queries")),
    "fragment": (("--out", "s3://bucket/x#y"), ("out", "queries")),
}


@pytest.mark.parametrize("case", LINES)
def test_option_that_is_refused(case: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, words = LINES[case]
    line = refused(capsys, *RUN, *arguments)
    assert all(word in line for word in words), line


@pytest.mark.parametrize("command", [RUN, (*RUN, "--dry-run"), ("status",), ("report",)])
def test_credentials_in_a_url_are_refused_and_not_repeated(
    command: tuple[str, ...], workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "s3://AKIAKEY:hunter2secret@bucket/x"
    arguments = (*command, "--out", url) if command[0] == "run" else (*command, url)
    line = refused(capsys, *arguments)
    assert "without credentials" in line
    assert "hunter2" not in line
    assert "AKIAKEY" not in line


@pytest.mark.parametrize("arguments", [(*RUN, "--out"), ("status",), ("report",)])
def test_object_store_without_obstore(
    arguments: tuple[str, ...], workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    assert "pip install 'limitbench[s3]'" in refused(capsys, *arguments, "s3://bucket/x")


def test_retry_where_there_is_no_store(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, "run", "deep-linear", "--executor", "serial", "--retry-failed")


@pytest.mark.parametrize("option", ["samples 1", "preset quick", "sampler exact", "seed 0", "margin 0.05"])
def test_retry_takes_nothing_that_the_store_holds(
    option: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, "run", "deep-linear", "--retry-failed", *f"--{option}".split())
    assert f"--{option.split()[0]}: got" in line


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_file_is_no_place_for_results(
    out: str, more: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert main([*RUN, "--out", str(tmp_path / out), *more]) == BAD_INPUT
    assert "expected a directory (Not a directory)" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("RAY_AUTH_MODE", "bogus"), ("RAY_AUTH_TOKEN_PATH", "/nonexistent")])
def test_a_token_of_ray_that_is_not_there(name: str, value: str, tmp_path: Path) -> None:
    environment = {key: text for key, text in os.environ.items() if key not in ("RAY_AUTH_TOKEN", "RAY_ADDRESS")}
    environment |= {"RAY_AUTH_MODE": "token", name: value}
    line = "import sys; from limitbench.cli import main; sys.exit(main())"
    words = ["run", "deep-linear", "--workers", "1", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", line, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == BAD_INPUT
    assert re.fullmatch(rf"error: {name}: got '{value}', expected .*\n", done.stderr)


def test_a_dry_run_writes_nothing(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "--dry-run", "--out", "new/place"]) == COMPLETE
    assert os.listdir() == []
