"""Where results lie: a folder on a file system, or a prefix of an object store. One interface for both.

Everything of a run goes through it: arrays by zarr, markers and logs as whole objects. A write is whole or absent.
Names are relative to the root, with `/` between their parts; one that would lead out of it is refused.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from limitbench.errors import InputError, StoreError

if TYPE_CHECKING:
    from zarr.abc.store import Store

#: Schemes of object stores.
SCHEMES = ("s3", "gs", "az")

#: Times a folder that vanishes is made again.
_TRIALS = 20
#: What goes wrong with a file system rather than with a block.
_OUTSIDE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.EMFILE,
    errno.ENFILE,
    # A folder in the place of an object, an object in that of a folder, links that go in circles.
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ELOOP,
}


@dataclass(frozen=True)
class Entry:
    """One stored object: its name, bytes and time of its last change."""

    name: str
    size: int
    modified: datetime


@runtime_checkable
class Held(Protocol):
    """The right to be a store's only driver."""

    def check(self, *, ask: bool = False) -> None:
        """Raises `StoreError` where the right was lost; with `ask` the store itself is asked."""


class Storage(abc.ABC):
    """Named objects under one root. Picklable: workers open it with their own environment's credentials."""

    @property
    @abc.abstractmethod
    def root(self) -> str:
        """Path or URL of the root, as messages show it; never holds a credential."""

    @property
    def hasty(self) -> Storage:
        """The same storage with less patience where a server does not answer, for what can be done without."""
        return self

    @abc.abstractmethod
    def zarr(self, folder: str, *, read_only: bool = False) -> Store:
        """A zarr store of everything under `folder`."""

    @abc.abstractmethod
    def read(self, name: str) -> bytes:
        """Content of an object; `FileNotFoundError` where there is none."""

    @abc.abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write an object whole or not at all; an existing one is replaced."""

    @abc.abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write an object where there is none yet; False where there is one, of two writers exactly one succeeds."""

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Remove an object where it exists."""

    @abc.abstractmethod
    def remove_all(self, folder: str) -> None:
        """Remove every object under `folder`."""

    @abc.abstractmethod
    def entries(self, folder: str) -> Iterator[Entry]:
        """Every object under `folder`, at any depth."""

    @abc.abstractmethod
    def folders(self) -> list[str]:
        """Names of the folders directly under the root, sorted; empty where the root does not exist."""

    @abc.abstractmethod
    def sizes(self, folder: str) -> Callable[[str], int | None]:
        """Finds the bytes of objects under `folder` by name, None where there is none. For many questions in a row."""

    @abc.abstractmethod
    def check_writable(self) -> None:
        """Raises `InputError` where no object can be made; leaves nothing behind."""

    @abc.abstractmethod
    def exclusive(self, study: str) -> AbstractContextManager[Held]:
        """Holds the right to drive the study's store inside; `InputError` where another driver has it."""

    @abc.abstractmethod
    def failure(self, error: BaseException) -> str | None:
        """Why the storage failed, where `error` says that it did; None for every other error."""

    def read_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """Contents by name in the order of `names`, None where there is no such object."""
        for name in names:
            try:
                yield name, self.read(name)
            except FileNotFoundError:
                yield name, None

    def write_many(self, objects: Mapping[str, bytes]) -> None:
        """Write objects in any order."""
        for name, data in objects.items():
            self.write(name, data)

    def sweep(self, folder: str) -> int:
        """Remove what killed writers left behind under `folder`; the number of objects removed."""
        return 0

    def exists(self, name: str) -> bool:
        """Whether there is an object of this name."""
        try:
            self.read(name)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turns failures of the storage into `StoreError`; other errors pass unchanged."""
        try:
            yield
        except Exception as error:
            reason = self.failure(error)
            if reason is None:
                raise
            raise StoreError(
                f"{self.root} cannot be read or written ({reason}); finished blocks are kept, the same command resumes"
            ) from None


def check_name(name: str) -> str:
    """`name` itself; `InputError` where it is absolute or leads out of the root."""
    if not name.strip("/.") or name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise InputError("name in a store", name, "a relative name without '..'")
    return name


@dataclass(frozen=True)
class LocalStorage(Storage):
    """A folder. Writes go to a file beside and are renamed; the driver's lock is the operating system's."""

    folder: Path

    @property
    def root(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def path(self, name: str) -> Path:
        """Path of an object or folder."""
        return self.folder / check_name(name)

    def zarr(self, folder: str, *, read_only: bool = False) -> Store:
        """zarr's own store of files."""
        from zarr.storage import LocalStore

        return LocalStore(self.path(folder), read_only=read_only)

    def read(self, name: str) -> bytes:
        """Content of a regular file; of anything else there is none, and reading a pipe would never end."""
        path = self.path(name)
        if not path.is_file():
            raise FileNotFoundError(name)
        return path.read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """Temp + fsync + rename."""
        with self._beside(name, data) as partial:
            partial.replace(self.path(name))

    def create(self, name: str, data: bytes) -> bool:
        """Temp + link, which fails where the name is taken; rename on file systems without links.

        Not synced, as the chunks that markers stand for are not: what a loss of power takes is found missing.
        """
        with self._beside(name, data, durable=False) as partial:
            try:
                os.link(partial, self.path(name))
            except FileExistsError:
                return False
            except OSError as error:
                if self.failure(error) not in (None, os.strerror(errno.EPERM)):
                    raise
                if self.path(name).exists():
                    return False
                partial.replace(self.path(name))
        return True

    @contextmanager
    def _beside(self, name: str, data: bytes, durable: bool = True) -> Iterator[Path]:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        try:
            with partial.open("wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Unlink."""
        self.path(name).unlink(missing_ok=True)

    def remove_all(self, folder: str) -> None:
        """Remove the folder too; of one that is a link, the link: what lies elsewhere is not ours to remove."""
        path = self.path(folder)
        with contextlib.suppress(FileNotFoundError):
            if path.is_symlink():
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)

    def entries(self, folder: str) -> Iterator[Entry]:
        """Walks the folder; files that vanish meanwhile are left out."""
        for parent, _, files in os.walk(self.path(folder)):
            for file in files:
                path = os.path.join(parent, file)
                with contextlib.suppress(FileNotFoundError):
                    found = os.stat(path)
                    name = path[len(self.root.rstrip(os.sep)) + 1 :]
                    yield Entry(name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def folders(self) -> list[str]:
        """Folders in the folder."""
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir()) if self.folder.is_dir() else []

    def sizes(self, folder: str) -> Callable[[str], int | None]:
        """One look at the file for each question."""

        def size(name: str) -> int | None:
            try:
                return os.stat(os.path.join(self.folder, check_name(name))).st_size
            except (OSError, InputError):  # InputError: a name that a damaged marker made up
                return None

        return size

    def check_writable(self) -> None:
        """Makes a file and removes it, with the folders that it needed."""
        missing: list[Path] = []
        probe = self.folder / f".limitbench-probe-{uuid.uuid4().hex}"
        try:
            missing = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
            for trial in range(_TRIALS):
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    probe.touch()
                    break
                except FileNotFoundError:  # another driver that looked too removed the folder that it had made
                    if trial == _TRIALS - 1:
                        raise
            probe.unlink()
        except (OSError, ValueError) as error:  # ValueError: a NUL character
            reason = getattr(error, "strerror", None) or error
            raise InputError("out", self.root, f"a directory that can be written ({reason})") from None
        finally:
            for folder in missing:
                with contextlib.suppress(OSError):  # another driver may be using it already
                    folder.rmdir()

    def exclusive(self, study: str) -> AbstractContextManager[Held]:
        """A lock on a file."""
        from limitbench.sweep.lock import locked

        return locked(self.folder, study)

    def failure(self, error: BaseException) -> str | None:
        """What the operating system says, where the file system is at fault."""
        return os.strerror(error.errno) if isinstance(error, OSError) and error.errno in _OUTSIDE else None

    def sweep(self, folder: str) -> int:
        """Files named `*.partial`."""
        stale = list(self.path(folder).rglob("*.partial")) if self.path(folder).is_dir() else []
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)


def is_url(out: str | Path) -> bool:
    """Whether `out` names an object store rather than a folder."""
    return isinstance(out, str) and "://" in out


def open_storage(out: str | Path) -> Storage:
    """The storage at a path or URL; nothing is made.

    Raises:
        InputError: a URL of another scheme, without a bucket, or obstore is not installed.
    """
    if not is_url(out):
        return LocalStorage(Path(os.path.abspath(out)))
    from limitbench.sweep.object_storage import ObjectStorage

    return ObjectStorage.at(str(out))
