"""Stores that were damaged or tampered with: one line says what is wrong, nothing is written, nothing wrong is shown.

What only proves that work was done (a marker) counts as absent where it is damaged; what can be computed again is.
Every case runs the real commands in-process on a real store; nothing is stubbed.
"""

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from limitbench.cli import BAD_INPUT, COMPLETE, STOPPED, main
from limitbench.errors import InputError
from limitbench.sweep.results import open_results
from limitbench.sweep.run import status
from limitbench.testing.refusals import refusal, toy_among_the_studies
from limitbench.testing.store import assert_same_numbers, files

pytestmark = pytest.mark.timeout(60, func_only=True)

STORE, MARKERS = "results/toy.zarr", "results/toy.run"
RUN = ("run", "toy", "--executor", "serial", "--set", "width=4", "--samples", "64", "--no-report")
#: A file that is not there, and one in whose place there is a folder.
GONE, FOLDER = None, object()
Change = Callable[[bytes], object]


@pytest.fixture(autouse=True, scope="module")
def toy() -> Iterator[None]:
    with toy_among_the_studies():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the finished store of `RUN`; changes to it are undone."""
    folder = tmp_path_factory.mktemp("whole")
    assert main([*RUN, "--out", str(folder / "results")]) == COMPLETE
    return folder


@pytest.fixture
def damaged(whole: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Change], None]:
    """Changes a file of `whole`, which is the current directory, until the test ends."""
    monkeypatch.chdir(whole)
    undo: list[Callable[[], None]] = []

    def damage(name: str, change: Change) -> None:
        file = Path(name)
        content = file.read_bytes()
        undo.append(lambda: _put(file, content))
        _put(file, change(content))

    yield damage
    for step in reversed(undo):
        step()


@pytest.fixture
def copy(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the store in the current directory, to do anything with."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(whole / "results", tmp_path / "results")


def _put(file: Path, content: object) -> None:
    shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
    if content is FOLDER:
        file.mkdir()
    elif content is not GONE:
        assert isinstance(content, bytes)
        file.write_bytes(content)


@contextmanager
def unchanged() -> Iterator[None]:
    before = files(Path("results"))
    yield
    assert files(Path("results")) == before


def refuses(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which a command refuses the store, which is as it was."""
    with unchanged():
        return line_of(capsys, *arguments)


def line_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which a command refuses the store."""
    return refusal(capsys, *arguments, shorter_than=1000)


def readers_refuse(capsys: pytest.CaptureFixture[str], *, report: bool = True) -> None:
    if report:  # begins with `open_results`
        line_of(capsys, "report", "results", "-o", "page.html")
    with pytest.raises(InputError, match=r"^[^\n]+: got [^\n]+, expected [^\n]+$"):
        open_results("results")


def everything_refuses(capsys: pytest.CaptureFixture[str], *, report: bool = True) -> None:
    with unchanged():
        line_of(capsys, "status", "results")
        readers_refuse(capsys, report=report)
        line_of(capsys, *RUN)


def works(capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
    """The command does its work and says nothing on stderr."""
    code = main(arguments)
    printed = capsys.readouterr()
    assert (code, printed.err) == (COMPLETE, ""), printed


def run_again(capsys: pytest.CaptureFixture[str], whole: Path) -> None:
    """The command completes the store: it is the one of `whole` again."""
    assert main(RUN) == COMPLETE, capsys.readouterr()
    assert "error" not in capsys.readouterr().err
    assert_same_numbers(whole / STORE, STORE)
    (state,) = status("results")
    assert state.blocks_done == state.blocks_total == 2


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


#: What may happen to a file.
DAMAGES: dict[str, Change] = {
    "cut in half": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "garbage": lambda data: b"\x93NUMPY\xff\x00\x80\x1b]0;owned\x07" * 7,
    "a list": lambda data: b"[1]",
    "a number": lambda data: b"7",
    "null": lambda data: b"null",
    "an empty object": lambda data: b"{}",
    "100,000 nested lists": lambda data: nested(100_000),
    "100,000 nested objects": lambda data: b'{"attributes":' * 100_000 + b"1" + b"}" * 100_000,
    "an integer of 10,000 digits": lambda data: b"9" * 10_000,
    "a folder": lambda data: FOLDER,
    "gone": lambda data: GONE,
}
FEW = ("cut in half", "an empty object", "gone")
#: Metadata without which a store says nothing.
METADATA = (
    "samples/zarr.json",
    "laws/zarr.json",
    "run/zarr.json",
    "samples/walk/zarr.json",
    "samples/width/zarr.json",
    "laws/point_mass/zarr.json",
    "laws/quantile/zarr.json",
    "scores/verdict/zarr.json",
    "scores/theory/zarr.json",
    "run/error/zarr.json",
)


@pytest.mark.parametrize("kind", DAMAGES)
def test_root_that_is_damaged(
    kind: str, damaged: Callable[[str, Change], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(f"{STORE}/zarr.json", DAMAGES[kind])
    everything_refuses(capsys)


@pytest.mark.parametrize("name", METADATA)
@pytest.mark.parametrize("kind", FEW)
def test_metadata_that_are_damaged(
    name: str, kind: str, damaged: Callable[[str, Change], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(f"{STORE}/{name}", DAMAGES[kind])
    everything_refuses(capsys)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("zarr.json", "samples/zarr.json"),
        ("samples/walk/zarr.json", "scores/verdict/zarr.json"),
        ("samples/walk/zarr.json", "zarr.json"),
        ("run/zarr.json", "run/status/zarr.json"),
        ("scores/verdict/zarr.json", "laws/point_mass/zarr.json"),
    ],
)
def test_metadata_that_were_swapped(
    name: str, other: str, damaged: Callable[[str, Change], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(f"{STORE}/{name}", lambda _: Path(STORE, other).read_bytes())
    everything_refuses(capsys)


SLUG = "width=4,fault=none-c0b52e0c"


def at(*path: str, value: object) -> Callable[[dict[str, object]], None]:
    """Sets one field of a document."""

    def change(document: dict[str, object]) -> None:
        *outer, last = path
        for name in outer:
            document = document[name]
        document[last] = value

    return change


NAN, INF = float("nan"), float("inf")
#: Specs that no run could have written.
SPECS = {
    "another study": at("meaning", "study", value="deep-linear"),
    "an unknown study": at("meaning", "study", value="nothing"),
    "a module for a study": at("meaning", "study", value="os:system"),
    "a path for a study": at("meaning", "study", value="../../etc/passwd"),
    "no study": at("meaning", "study", value=None),
    "a later schema": at("meaning", "schema_version", value=3),
    "an older schema": at("meaning", "schema_version", value=1),
    "a text for a schema": at("meaning", "schema_version", value="2"),
    "an unknown field": at("meaning", "extra", value=1),
    "an unknown part": at("extra", value=1),
    "10^18 samples": at("samples", SLUG, value=10**18),
    "64 x 10^18 samples": at("samples", SLUG, value=64 * 10**18),
    "2^31 samples": at("samples", SLUG, value=2**31),
    "negative samples": at("samples", SLUG, value=-64),
    "no samples": at("samples", SLUG, value=0),
    "half a block": at("samples", SLUG, value=32),
    "more samples than the arrays": at("samples", SLUG, value=128),
    "a fraction of samples": at("samples", SLUG, value=64.0),
    "a text for samples": at("samples", SLUG, value="64"),
    "samples of nothing": at("samples", value={}),
    "a list of samples": at("samples", value=[]),
    "samples of a path": at("samples", value={"../../x": 64}),
    "samples of a path beside": at("samples", "../../x", value=64),
    "no grid": at("grid", value={}),
    "an empty axis": at("grid", "width", value=[]),
    "texts for widths": at("grid", "width", value=["4"]),
    "numbers and texts": at("grid", "width", value=[4, "x"]),
    "a width twice": at("grid", "width", value=[4, 4]),
    "a width twice, as a fraction": at("grid", "width", value=[4, 4.0]),
    "a width that is no number": at("grid", "width", value=[NAN]),
    "an infinite width": at("grid", "width", value=[INF]),
    "a truth value for a width": at("grid", "width", value=[True]),
    "null for a width": at("grid", "width", value=[None]),
    "a list in an axis": at("grid", "width", value=[[4]]),
    "another width": at("grid", "width", value=[5]),
    "10^9 cells": at(
        "grid",
        value={"width": [*range(1000)], "fault": [f"{i}" for i in range(1000)], "depth": [*range(1, 1001)]},
    ),
    "a path on an axis": at("grid", "fault", value=["../../x"]),
    "texts for depths": at("grid", "depth", value=["2", "4"]),
    "a negative depth": at("grid", "depth", value=[-2, 4]),
    "a fraction of a depth": at("grid", "depth", value=[2.5, 4.5]),
    "a depth of 10^18": at("grid", "depth", value=[2, 10**18]),
    "a depth of 10^40": at("grid", "depth", value=[2, 10**40]),
    "a depth twice": at("grid", "depth", value=[2, 2]),
    "another depth": at("grid", "depth", value=[2, 5]),
    "an axis twice": at("meaning", "axes", value=["width", "width", "depth"]),
    "axes in another order": at("meaning", "axes", value=["depth", "fault", "width"]),
    "no axes": at("meaning", "axes", value=[]),
    "a path for an observable": at("meaning", "observables", value=["../../x", "square"]),
    "an absolute path for an observable": at("meaning", "observables", value=["/etc/passwd", "square"]),
    "NUL in an observable": at("meaning", "observables", value=["a\0b", "square"]),
    "no observables": at("meaning", "observables", value=[]),
    "an observable twice": at("meaning", "observables", value=["walk", "walk"]),
    "another observable": at("meaning", "observables", value=["walk", "cube"]),
    "no theories": at("meaning", "theories", value=[]),
    "an escape sequence for a theory": at("meaning", "theories", value=["normal", "\x1b]0;owned\x07"]),
    "a third theory": at("meaning", "theories", value=["normal", "wide", "z"]),
    "blocks of nothing": at("meaning", "block_samples", value=0),
    "other blocks": at("meaning", "block_samples", value=1),
    "a negative seed": at("meaning", "seed", value=-1),
    "another seed": at("meaning", "seed", value=5),
    "an unknown device": at("meaning", "device", value="tpu"),
    "another device": at("meaning", "device", value="cuda"),
    "an unknown sampler": at("meaning", "sampler", value="x"),
    "a margin that is no number": at("margin", value=NAN),
    "an infinite margin": at("margin", value=INF),
    "a negative margin": at("margin", value=-1),
    "a text for a version": at("meaning", "families", value={"toy": "1"}),
}
WHOLE_SPECS = {
    "a list": "[1]",
    "a number": "5",
    "no JSON": "{",
    "nothing": "",
    "nested lists": nested(100_000).decode(),
    "half a character": '{"meaning": "\\ud800"}',
    "no text": {"meaning": {}},
    "null": None,
}


def rewritten(data: bytes, change: Callable[[dict[str, object]], None]) -> bytes:
    document = json.loads(data)
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize("case", SPECS)
def test_spec_that_no_run_wrote(
    case: str, damaged: Callable[[str, Change], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def change(document: dict[str, object]) -> None:
        document["attributes"]["spec"] = rewritten(document["attributes"]["spec"], SPECS[case]).decode()

    damaged(f"{STORE}/zarr.json", lambda data: rewritten(data, change))
    everything_refuses(capsys, report=False)


@pytest.mark.parametrize("case", WHOLE_SPECS)
def test_spec_that_is_none(
    case: str, damaged: Callable[[str, Change], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(f"{STORE}/zarr.json", lambda data: rewritten(data, at("attributes", "spec", value=WHOLE_SPECS[case])))
    everything_refuses(capsys)


def test_spec_of_another_schema_says_so(
    damaged: Callable[[str, Change], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def change(document: dict[str, object]) -> None:
        document["attributes"]["spec"] = rewritten(
            document["attributes"]["spec"], at("meaning", "schema_version", value=3)
        ).decode()

    damaged(f"{STORE}/zarr.json", lambda data: rewritten(data, change))
    assert "schema_version" in refuses(capsys, "status", "results")


HELD = ("consolidated_metadata", "metadata")
WALK = (*HELD, "samples/walk")
#: Documents of the root that no run could have written.
ROOTS = {
    "no attributes": at("attributes", value={}),
    "a list of attributes": at("attributes", value=[]),
    "another study": at("attributes", "study", value="deep-linear"),
    "a list for a study": at("attributes", "study", value=[1]),
    "another hash": at("attributes", "spec_hash", value="00"),
    "another layout": at("attributes", "layout", value="00"),
    "half a character": at("attributes", "created", value="\ud800"),
    "zarr 2": at("zarr_format", value=2),
    "an array": at("node_type", value="array"),
    "no metadata": at("consolidated_metadata", value=None),
    "a list of metadata": at("consolidated_metadata", value=[]),
    "metadata of nothing": at(*HELD, value={}),
    "an array outside": at(*HELD, "../../x", value={"node_type": "array", "codecs": [], "data_type": "int8"}),
    "an absolute array": at(*HELD, "/etc", value={"node_type": "array", "codecs": [], "data_type": "int8"}),
    "an unknown group": at(*HELD, "mine", value={"node_type": "group"}),
    "a number for an array": at(*WALK, value=7),
    "pickles": at(*WALK, "codecs", value=[{"name": "numcodecs.pickle"}]),
    "JSON of objects": at(*WALK, "codecs", value=[{"name": "numcodecs.json2"}]),
    "objects": at(*WALK, "data_type", value="object"),
    "a type with a name that runs": at(*WALK, "data_type", value={"name": "os.system", "configuration": {}}),
    "half the precision": at(*WALK, "data_type", value="float32"),
    "another byte order": at(*WALK, "codecs", value=[{"name": "bytes", "configuration": {"endian": "big"}}]),
    "10^15 samples": at(*WALK, "shape", value=[1, 1, 2, 10**15]),
    "a negative shape": at(*WALK, "shape", value=[1, 1, -2, 64]),
    "empty chunks": at(*WALK, "chunk_grid", "configuration", "chunk_shape", value=[1, 1, 0, 64]),
    "other chunks": at(*WALK, "chunk_grid", "configuration", "chunk_shape", value=[1, 1, 1, 64]),
    "other names of dimensions": at(*WALK, "dimension_names", value=["a", "b", "c", "d"]),
    "numbers times two": at(*WALK, "attributes", "scale_factor", value=2.0),
    "another fill value": at(*WALK, "attributes", "_FillValue", value="x"),
    "chunks that lie elsewhere": at(
        *WALK, "chunk_key_encoding", value={"name": "default", "configuration": {"separator": "/../"}}
    ),
    "verdicts without words": at(*HELD, "scores/verdict", "attributes", "flag_meanings", value=""),
    "seconds that are dates": at(*HELD, "run/seconds", "attributes", "units", value="seconds since 1-1-1"),
}


@pytest.mark.parametrize("case", ROOTS)
def test_root_that_no_run_wrote(
    case: str, damaged: Callable[[str, Change], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(f"{STORE}/zarr.json", lambda data: rewritten(data, ROOTS[case]))
    everything_refuses(capsys, report=False)


BLOCK, SCORES = f"{MARKERS}/done/{SLUG}.b000000.json", f"{MARKERS}/done/{SLUG}.scores.json"
#: Markers that prove nothing.
PROOFS: dict[str, Change] = {
    **{kind: DAMAGES[kind] for kind in DAMAGES},
    "the other's": lambda _: Path(SCORES).read_bytes(),
    "of no chunks": lambda data: rewritten(data, at("sizes", value={})),
    "of chunks elsewhere": lambda data: rewritten(
        data, at("sizes", value={"../../../etc/passwd": 1, "/etc/passwd": 1})
    ),
    "of chunks with NUL": lambda data: rewritten(data, at("sizes", value={"a\0b": 1})),
    "of other sizes": lambda data: rewritten(data, at("sizes", "samples/walk", value=3)),
    "of negative sizes": lambda data: rewritten(data, at("sizes", "samples/walk", value=-1)),
    "of another spec": lambda data: rewritten(data, at("spec_hash", value="00")),
    "of other depths": lambda data: rewritten(data, at("depths", value=[2, 5])),
    "of another number": lambda data: rewritten(data, at("number", value=1)),
    "of number 10^30": lambda data: rewritten(data, at("number", value=10**30)),
    "of a negative number": lambda data: rewritten(data, at("number", value=-1)),
    "of 10^30 samples": lambda data: rewritten(data, at("samples", value=10**30)),
    "of an unknown kind": lambda data: rewritten(data, at("kind", value="other")),
    "of NaN seconds": lambda data: rewritten(data, at("seconds", value=NAN)),
    "of a host that is half a character": lambda data: rewritten(data, at("host", value="\ud800")),
    "of a host that is a list": lambda data: rewritten(data, at("host", value=["a"])),
    "of another name": lambda data: rewritten(data, at("block", value="../../x")),
}


@pytest.mark.parametrize("case", PROOFS)
def test_marker_that_proves_nothing_counts_as_absent(
    case: str, damaged: Callable[[str, Change], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(BLOCK, PROOFS[case])
    with unchanged():
        works(capsys, "status", "results")
        (state,) = status("results")
    assert (state.blocks_done, state.blocks_failed, state.samples) == (1, 0, 0)


@pytest.mark.parametrize("case", ["cut in half", "of chunks elsewhere"])
def test_block_whose_marker_proves_nothing_is_drawn_again(
    case: str, copy: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _put(Path(BLOCK), PROOFS[case](Path(BLOCK).read_bytes()))
    works(capsys, "report", "results", "-o", "page.html")
    open_results("results").load()
    run_again(capsys, whole)


@pytest.mark.parametrize("kind", [*DAMAGES, "another's"])
def test_damaged_marker_of_a_failure_counts_as_absent(
    kind: str, damaged: Callable[[str, Change], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failure = {"block": "another", "error": "x", "attempts": 3}
    damaged(BLOCK, lambda _: GONE)
    failed = Path(MARKERS, "failed", f"{SLUG}.b000000.json")
    failed.parent.mkdir()
    try:
        _put(failed, json.dumps(failure).encode())
        if kind != "another's":
            _put(failed, DAMAGES[kind](failed.read_bytes()))
        works(capsys, "status", "results")
        assert status("results")[0].blocks_failed == 0
    finally:
        shutil.rmtree(failed.parent)


COORDINATES = ("samples/depth/c/0", "laws/theory/c/0", "laws/quantile/c/0", "scores/width/c/0", "run/fault/c/0")


@pytest.mark.parametrize("name", COORDINATES)
@pytest.mark.parametrize("kind", ["cut in half", "garbage", "gone"])
def test_damaged_coordinates_are_refused_by_readers(
    name: str, kind: str, damaged: Callable[[str, Change], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(f"{STORE}/{name}", DAMAGES[kind])
    works(capsys, "status", "results")
    readers_refuse(capsys)


def test_damaged_coordinates_and_claims_are_made_anew_by_the_next_run(
    copy: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, kind in zip(COORDINATES, ("cut in half", "garbage", "gone", "empty", "gone"), strict=True):
        _put(Path(STORE, name), DAMAGES[kind](Path(STORE, name).read_bytes()))
    for name in ("claim", "text", "measured"):
        _put(Path(STORE, "claims", name, "c/0"), b"garbage")
    for name in ("host", "status"):
        _put(Path(STORE, "run", name, "c/0/0/0"), b"garbage")
    readers_refuse(capsys)
    run_again(capsys, whole)
    works(capsys, "report", "results", "-o", "page.html")
    assert "mean zero" in Path("page.html").read_text()


@pytest.mark.parametrize(("name", "kind"), [("claims/zarr.json", "gone"), ("claims/text/zarr.json", "cut in half")])
def test_metadata_of_claims_are_not_needed(
    name: str, kind: str, copy: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _put(Path(STORE, name), DAMAGES[kind](Path(STORE, name).read_bytes()))
    open_results("results").load()
    run_again(capsys, whole)


CHUNKS = ("samples/walk/c/0/0/0/0", "laws/walk/c/0/0/0/0/0", "scores/verdict/c/0/0/0/0/0")


@pytest.mark.parametrize("name", CHUNKS)
def test_damaged_chunk_is_missing_in_the_status_named_by_the_report_and_drawn_again(
    name: str, copy: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _put(Path(STORE, name), DAMAGES["cut in half"](Path(STORE, name).read_bytes()))
    assert status("results")[0].blocks_done == 1
    assert name in refuses(capsys, "report", "results", "-o", "page.html")
    run_again(capsys, whole)


@pytest.mark.parametrize("name", [*CHUNKS, BLOCK.removeprefix(f"{STORE}/")])
def test_folder_in_the_place_of_an_object_stops_the_run_with_one_line(
    name: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _put(Path(name if name == BLOCK else f"{STORE}/{name}"), FOLDER)
    works(capsys, "status", "results")
    assert main(RUN) == STOPPED
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("stopped: ")
    assert "Is a directory" in lines[-1]


#: What may lie where a folder of the results should be.
PLACES: dict[str, Callable[[Path], None]] = {
    "a file": lambda place: place.write_bytes(b"mine"),
    "a pipe": os.mkfifo,
    "a link to itself": lambda place: place.symlink_to(place.name),
    "a link to nothing": lambda place: place.symlink_to("nothing"),
}


@pytest.mark.parametrize(
    ("name", "case"),
    [("results", case) for case in PLACES] + [("results/toy.zarr", case) for case in ("a file", "a pipe")],
)
def test_something_else_in_the_place_of_the_store(
    name: str, case: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Path(name)
    shutil.rmtree(place)
    PLACES[case](place)
    for arguments in (("status", "results"), ("report", "results", "-o", "page.html"), RUN):
        code = main(arguments)
        printed = capsys.readouterr()
        assert code in (BAD_INPUT, STOPPED), (arguments, printed)
        assert re.fullmatch(r"(error|stopped): [^\n]+", printed.err.splitlines()[-1]), printed.err
        assert os.path.lexists(place)
    with pytest.raises(InputError):
        open_results("results")


@pytest.mark.parametrize("case", PLACES)
@pytest.mark.parametrize("name", ["zarr.json", "samples/walk/zarr.json"])
def test_something_else_in_the_place_of_metadata(
    name: str, case: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Path(STORE, name)
    place.unlink()
    PLACES[case](place)
    everything_refuses(capsys)


def test_readers_warn_of_nothing(copy: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_results("results").load()


def test_the_helper_notices_a_changed_store_and_a_second_line(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from limitbench import commands

    def careless(directory: str, **options: object) -> None:
        (copy / "left.txt").write_text("oops")
        raise InputError("a", "b", "c")

    monkeypatch.setattr(commands, "status", careless)
    with pytest.raises(AssertionError):
        refuses(capsys, "status", "results")
