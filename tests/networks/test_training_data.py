"""IDX files are read with every check; data sets are named by their content, split the same way everywhere."""

import gzip
import os

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.networks import training_data
from limitbench.networks.training_data import (
    DIGITS,
    ImageSet,
    check_data,
    images,
    read_directory,
    typical_cosine,
    using,
)

FILES = {
    "train-images-idx3-ubyte": (3, (120, 4, 5)),
    "train-labels-idx1-ubyte": (1, (120,)),
    "t10k-images-idx3-ubyte": (3, (50, 4, 5)),
    "t10k-labels-idx1-ubyte": (1, (50,)),
}


def idx(dimensions, sizes, entries):
    header = bytes((0, 0, 8, dimensions)) + b"".join(int(n).to_bytes(4, "big") for n in sizes)
    return header + np.asarray(entries, dtype=np.uint8).tobytes()


def write_files(folder, *, compressed=False, seed=0):
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (dimensions, sizes) in FILES.items():
        entries = random.integers(1, 256, sizes) if dimensions == 3 else np.arange(sizes[0]) % 3
        content = idx(dimensions, sizes, entries)
        (folder / (f"{name}.gz" if compressed else name)).write_bytes(gzip.compress(content) if compressed else content)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_files(tmp_path / "images")


def test_files_are_read_as_unit_vectors_with_labels(folder):
    found = read_directory(str(folder))
    assert found.train.shape == (120, 20)
    assert found.test.shape == (50, 20)
    assert found.classes == 3
    np.testing.assert_allclose(np.linalg.norm(found.train, axis=1), 1.0)
    raw = np.frombuffer((folder / "train-images-idx3-ubyte").read_bytes()[16:], np.uint8).reshape(120, 20)
    labels = np.arange(120) % 3
    for vector, label in zip(found.train, found.train_labels, strict=True):
        (match,) = np.flatnonzero(np.isclose(raw @ vector, np.linalg.norm(raw, axis=1)))
        assert labels[match] == label


def test_a_set_is_named_by_its_content_and_plain_and_compressed_files_are_one(folder, tmp_path):
    plain = read_directory(str(folder))
    packed = read_directory(str(write_files(tmp_path / "packed", compressed=True)))
    other = read_directory(str(write_files(tmp_path / "other", seed=1)))
    assert plain.name == packed.name == f"idx-{plain.digest[:8]}"
    assert other.digest != plain.digest
    assert other.name != plain.name


def test_known_sets_are_called_by_their_names(folder, monkeypatch):
    import hashlib

    sums = tuple(hashlib.md5((folder / name).read_bytes()).hexdigest() for name in FILES)
    monkeypatch.setitem(training_data._KNOWN, sums, "mnist")
    assert read_directory(str(folder)).name == "mnist"
    assert all(len(part) == 32 for key in training_data._KNOWN for part in key)


def test_large_sets_are_cut_to_a_fixed_selection(folder, monkeypatch):
    monkeypatch.setattr(training_data, "TRAIN_IMAGES", 100)
    monkeypatch.setattr(training_data, "TEST_IMAGES", 30)
    found = read_directory(str(folder))
    assert (len(found.train), len(found.train_labels), len(found.test)) == (100, 100, 30)
    training_data._read.cache_clear()


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def _longer(path):
    path.write_bytes(path.read_bytes() + b"x")


def _rewrite(dimensions, sizes, entries):
    return lambda path: path.write_bytes(idx(dimensions, sizes, entries))


#: What is done to a file, and the words of the line beside the file's name.
BROKEN = {
    "truncated": ("train-images-idx3-ubyte", _cut, ("2415 bytes", "2416 for 120 x 4 x 5 entries")),
    "too long": ("t10k-labels-idx1-ubyte", _longer, ("59 bytes", "58 for 50 entries")),
    "empty": ("t10k-images-idx3-ubyte", lambda path: path.write_bytes(b""), ("magic number of no bytes", "00000803")),
    "header only": ("t10k-images-idx3-ubyte", lambda p: p.write_bytes(p.read_bytes()[:9]), ("9 bytes",)),
    "magic": ("train-labels-idx1-ubyte", _rewrite(3, (1, 1, 1), [0]), ("magic number 00000803", "00000801")),
    "another format": ("train-images-idx3-ubyte", lambda p: p.write_bytes(b"\x89PNG\r\n"), ("89504e47", "IDX file")),
    "no entries": ("train-images-idx3-ubyte", _rewrite(3, (0, 4, 5), []), ("0 x 4 x 5 entries", "at least one")),
    "labels for other images": ("train-labels-idx1-ubyte", _rewrite(1, (7,), [0] * 7), ("7 labels", "120 images")),
    "other sizes": ("t10k-images-idx3-ubyte", _rewrite(3, (50, 5, 4), [1] * 1000), ("5 x 4 pixels", "4 x 5 pixels")),
    "one class": ("train-labels-idx1-ubyte", _rewrite(1, (120,), [0] * 120), ("the label 0 alone", "two classes")),
    "unknown class": ("t10k-labels-idx1-ubyte", _rewrite(1, (50,), [9] * 50), ("the label 9", "labels up to 2")),
    "a dark image": ("t10k-images-idx3-ubyte", _rewrite(3, (50, 4, 5), [0] * 1000), ("image 0, all 0", "not 0")),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_cannot_be_used_is_named(case, folder):
    name, damage, words = BROKEN[case]
    damage(folder / name)
    with pytest.raises(InputError) as raised:
        read_directory(str(folder))
    assert all(word in str(raised.value) for word in (name, *words)), raised.value
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name, folder):
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"--data: got .*a directory with {name} or {name}\.gz"):
        read_directory(str(folder))


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-9], lambda raw: b"no gzip at all", lambda raw: raw[:40] + raw[50:]]
)
def test_a_broken_gzip_file_is_named(damage, tmp_path):
    folder = write_files(tmp_path / "packed", compressed=True)
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte\.gz.*a whole gzip file"):
        read_directory(str(folder))


@pytest.mark.parametrize("directory", ["missing", "images/train-images-idx3-ubyte", "a\0b", "x" * 300])
def test_what_is_no_directory_is_refused(directory, folder):
    with pytest.raises(InputError, match=r"--data: got .*expected a directory"):
        read_directory(os.path.join(folder.parent, directory))


def test_a_set_is_known_only_where_its_directory_is_in_use(folder, monkeypatch):
    monkeypatch.delenv(training_data.ENVIRONMENT, raising=False)
    name = read_directory(str(folder)).name
    with pytest.raises(InputError, match="--data DIR"):
        check_data(name)
    with using(folder) as found:
        assert isinstance(found, ImageSet)
        assert images(name).digest == found.digest
        assert typical_cosine(name) == found.cosine
        assert check_data(DIGITS) == DIGITS
        with pytest.raises(InputError, match=f"digits, or {name} of --data"):
            check_data("mnist")
    with pytest.raises(InputError, match="data"):
        images(name)
    monkeypatch.setenv(training_data.ENVIRONMENT, str(folder))
    assert images(name).digest == found.digest


def test_files_that_changed_are_refused(folder):
    digest = read_directory(str(folder)).digest
    with using(folder, digest):
        pass
    write_files(folder, seed=2)
    with pytest.raises(InputError, match=f"the images that the run began with .{digest[:8]}"), using(folder, digest):
        pass


def test_no_directory_changes_nothing():
    with using(None) as found:
        assert found is None


def test_digits_are_split_as_documented_and_their_cosine_is_the_constant():
    found = images(DIGITS)
    assert (len(found.train), len(found.test), found.classes) == (1347, 450, 10)
    assert found.cosine == pytest.approx(training_data.DIGITS_COSINE, abs=2e-4)
    every = np.concatenate([found.train, found.test])
    gram = every @ every.T
    off_diagonal = (gram.sum() - np.trace(gram)) / (len(every) * (len(every) - 1))
    assert found.cosine == pytest.approx(off_diagonal, rel=1e-10)


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(training_data.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"data: got 'digits', .*pip install 'limitbench\[digits\]'"):
        check_data(DIGITS)
