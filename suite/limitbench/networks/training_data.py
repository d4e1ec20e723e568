"""Labelled images for networks that are trained: handwritten digits of scikit-learn, or IDX files of a directory.

Every image is used as a vector of norm 1, x / |x|. A data set keeps a fixed selection of at most 1347 training and 2000
test images (a permutation with seed 0), so that every set costs about the same; digits, 1797 images of 8 x 8 pixels,
are split 1347 to 450. The digest of the images is part of every seed: results of different data never mix.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from limitbench.errors import InputError

DIGITS = "digits"
#: Environment variable that names a directory of IDX files, where none is given otherwise.
ENVIRONMENT = "LIMITBENCH_DATA"
#: Images that are kept.
TRAIN_IMAGES, TEST_IMAGES = 1347, 2000
#: Mean cosine of two different images of `digits`, so that theories do not need the images.
DIGITS_COSINE = 0.6883

#: MD5 of the four files, uncompressed, in the order of `_FILES`.
_KNOWN: dict[tuple[str, ...], str] = {
    (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ): "mnist",
    (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ): "fashion-mnist",
}
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
#: Type code of unsigned bytes in the magic number of an IDX file.
_BYTES = 0x08


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of norm 1 with labels 0 .. classes - 1; `digest` names the content."""

    name: str
    digest: str
    train: Float[np.ndarray, "train pixels"]
    train_labels: Int[np.ndarray, " train"]
    test: Float[np.ndarray, "test pixels"]
    test_labels: Int[np.ndarray, " test"]

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return int(self.train_labels.max()) + 1

    @functools.cached_property
    def cosine(self) -> float:
        """Mean cosine of two different images, training and test together."""
        images = np.concatenate([self.train, self.test])
        total = images.sum(axis=0)
        return float((total @ total - len(images)) / (len(images) * (len(images) - 1)))


#: Directory of IDX files in use; None where only the environment variable may name one.
_directory: ContextVar[str | None] = ContextVar("limitbench_data", default=None)


@contextmanager
def using(directory: str | Path | None, digest: str = "") -> Iterator[ImageSet | None]:
    """The data set of `directory` is known inside; nothing changes where it is None.

    Raises:
        InputError: files that cannot be read as images with labels, or whose content is not that of `digest`.
    """
    if directory is None:
        yield None
        return
    found = read_directory(os.path.abspath(directory))
    if digest and found.digest != digest:
        raise InputError("--data", str(directory), f"the images that the run began with ({digest[:8]})")
    token = _directory.set(os.path.abspath(directory))
    try:
        yield found
    finally:
        _directory.reset(token)


def in_use() -> tuple[str, str] | None:
    """Directory of IDX files in use and digest of its content, None where there is none. Raises `InputError`."""
    directory = _directory.get() or os.environ.get(ENVIRONMENT)
    return (os.path.abspath(directory), read_directory(os.path.abspath(directory)).digest) if directory else None


def check_data(name: object) -> str:
    """`name` where its images can be had; raises `InputError` that says what is missing."""
    if name == DIGITS:
        if importlib.util.find_spec("sklearn") is None:
            raise InputError("data", name, "scikit-learn to be installed: pip install 'limitbench[digits]'")
        return DIGITS
    given = _given()
    if given is not None and name == given.name:
        return given.name
    if given is None:
        raise InputError("data", name, f"{DIGITS}, or --data DIR with the files of that set")
    raise InputError("data", name, f"{DIGITS}, or {given.name} of --data; a store of another set needs its own --out")


def images(name: str) -> ImageSet:
    """The data set called `name`. Raises `InputError` as `check_data`."""
    check_data(name)
    given = None if name == DIGITS else _given()
    return given if given is not None else _digits()


def typical_cosine(name: str) -> float:
    """Mean cosine of two different images; of `digits` without loading them. Raises `InputError` as `check_data`."""
    return DIGITS_COSINE if name == DIGITS else images(name).cosine


def read_directory(directory: str) -> ImageSet:
    """The data set in `directory`, read once for files that stay as they are.

    Expects {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, each plain or with `.gz`. The set is
    called `mnist` or `fashion-mnist` where it is one of these, `idx-` and eight digits of its digest otherwise.

    Raises:
        InputError: a file that is missing, torn, of another kind, or does not fit the others.
    """
    try:
        if not os.path.isdir(directory):
            raise InputError("--data", directory, "a directory with " + ", ".join(_FILES))
        paths = tuple(_path(directory, name) for name in _FILES)
        stamps = tuple((path, os.stat(path).st_mtime_ns, os.stat(path).st_size) for path in paths)
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        accepted = f"a directory that can be read ({getattr(error, 'strerror', None) or error})"
        if isinstance(error, InputError):
            raise
        raise InputError("--data", directory, accepted) from None
    return _read(stamps)


def _given() -> ImageSet | None:
    found = in_use()
    return read_directory(found[0]) if found is not None else None


def _path(directory: str, name: str) -> str:
    plain = os.path.join(directory, name)
    found = next((path for path in (plain, f"{plain}.gz") if os.path.isfile(path)), None)
    if found is None:
        raise InputError("--data", directory, f"a directory with {name} or {name}.gz")
    return found


@functools.lru_cache(maxsize=4)
def _read(stamps: tuple[tuple[str, int, int], ...]) -> ImageSet:
    paths = [path for path, _, _ in stamps]
    contents = [_content(path) for path in paths]
    train, train_labels, test, test_labels = (
        _array(path, content, 3 if "images" in name else 1)
        for path, content, name in zip(paths, contents, _FILES, strict=True)
    )
    for path, labels, found in ((paths[1], train_labels, train), (paths[3], test_labels, test)):
        if len(labels) != len(found):
            raise InputError(f"--data: {path}", f"{len(labels)} labels", f"one for each of {len(found)} images")
    if train.shape[1:] != test.shape[1:]:
        sizes = [f"{a} x {b} pixels" for a, b in (test.shape[1:], train.shape[1:])]
        raise InputError(f"--data: {paths[2]}", sizes[0], f"{sizes[1]}, as in {paths[0]}")
    if train_labels.max() < 1:
        raise InputError(f"--data: {paths[1]}", "the label 0 alone", "labels of at least two classes")
    if test_labels.max() > train_labels.max():
        raise InputError(f"--data: {paths[3]}", f"the label {test_labels.max()}", f"labels up to {train_labels.max()}")
    for path, found in ((paths[0], train), (paths[2], test)):
        dark = np.flatnonzero(~found.reshape(len(found), -1).any(axis=1))
        if dark.size:
            raise InputError(
                f"--data: {path}", f"image {dark[0]}, all 0", "images with at least one pixel that is not 0"
            )
    name = _KNOWN.get(tuple(hashlib.md5(c, usedforsecurity=False).hexdigest() for c in contents), "")
    return _selected(name, train, train_labels, test, test_labels)


def _content(path: str) -> bytes:
    """Bytes of a file, unpacked where it is compressed."""
    try:
        raw = Path(path).read_bytes()
        return gzip.decompress(raw) if path.endswith(".gz") else raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError("--data", path, f"a whole gzip file ({error})") from None
    except OSError as error:
        raise InputError("--data", path, f"a file that can be read ({error.strerror})") from None


def _array(path: str, content: bytes, dimensions: int) -> UInt8[np.ndarray, "..."]:
    """An IDX file: 0, 0, type, dimensions; a 32-bit big-endian size for each; then the entries."""
    magic = bytes((0, 0, _BYTES, dimensions))
    if content[:4] != magic:
        raise InputError(
            f"--data: {path}", f"magic number {content[:4].hex() or 'of no bytes'}", f"{magic.hex()}, an IDX file"
        )
    header = 4 + 4 * dimensions
    sizes = [int.from_bytes(content[k : k + 4], "big") for k in range(4, header, 4)]
    entries = math.prod(sizes)
    if len(content) < header or len(content) - header != entries:
        raise InputError(
            f"--data: {path}", f"{len(content)} bytes", f"{header + entries} for {' x '.join(map(str, sizes))} entries"
        )
    if not entries:
        raise InputError(f"--data: {path}", f"{' x '.join(map(str, sizes))} entries", "at least one")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(sizes)


@functools.cache
def _digits() -> ImageSet:
    from sklearn.datasets import load_digits  # the extra `digits`; everything else works without it

    loaded = load_digits()
    order = np.random.default_rng(0).permutation(len(loaded.target))
    pixels, labels = loaded.data[order].astype(np.uint8), loaded.target[order]
    n = TRAIN_IMAGES
    return _selected(DIGITS, pixels[:n], labels[:n], pixels[n:], labels[n:])


def _selected(
    name: str,
    train: UInt8[np.ndarray, "train ..."],
    train_labels: np.ndarray,
    test: UInt8[np.ndarray, "test ..."],
    test_labels: np.ndarray,
) -> ImageSet:
    """The fixed selection, of norm 1; the digest is that of everything there is."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (train, train_labels.astype(np.uint8), test, test_labels.astype(np.uint8)):
        digest.update(repr(part.shape).encode() + np.ascontiguousarray(part).tobytes())
    chosen = []
    for pixels, labels, most in ((train, train_labels, TRAIN_IMAGES), (test, test_labels, TEST_IMAGES)):
        order = np.random.default_rng(0).permutation(len(labels))[:most]
        vectors = pixels[order].reshape(len(order), -1).astype(np.float64)
        chosen += [vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels[order].astype(np.int64)]
    return ImageSet(name or f"idx-{digest.hexdigest()[:8]}", digest.hexdigest(), *chosen)
