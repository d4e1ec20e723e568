"""Results in an object store: `s3://bucket/prefix`, and `gs://` or `az://` where obstore finds its way (untested).

Requests are repeated until the patience is over, whatever goes wrong on the way: answers lost, torn or refused for the
moment. A conditional write whose answer was lost is recognised by its content.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from limitbench.errors import InputError, StoreError
from limitbench.sweep.object_address import check_url, place_from_environment
from limitbench.sweep.object_failure import in_words, is_final, is_outage
from limitbench.sweep.storage import Entry, Held, Storage, check_name

if TYPE_CHECKING:
    from zarr.abc.store import Store

T = TypeVar("T")
#: What tells one state of an object from the next: its ETag, on some servers a generation.
Version = dict[str, Any]

#: Seconds for which a request is repeated before the run stops.
PATIENCE = 90.0
#: The same for the first request of a process that opens a store, and for the last one.
FIRST_PATIENCE = 10.0
#: Requests under way at a time when many objects are read or written.
CONCURRENCY = 32
#: Objects named in one listing or bulk request.
PAGE = 1000
_INSTALL = "obstore: pip install 'limitbench[s3]'"


@dataclass(frozen=True)
class ObjectStorage(Storage):
    """Objects under a URL. Made by `at`.

    Neither the object nor its pickle holds a credential. Every process takes its own from where the libraries of the
    provider look in the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, a web identity
    (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`), a container's credentials, else the role of the instance; files
    such as `~/.aws/credentials` are not read. Workers of a Ray that the run starts inherit the driver's environment;
    nodes of a cluster need their own. Where the store is comes from the driver alone.

    Arguments:
        url: `s3://bucket/prefix`, without a slash at the end.
        settings: endpoint, region and style of addresses, as obstore names them.
        allow_http: whether requests may go without TLS.
        patience: seconds for which a failing request is repeated.
    """

    url: str
    settings: tuple[tuple[str, str], ...] = ()
    allow_http: bool = False
    patience: float = PATIENCE

    @classmethod
    def at(cls, url: str) -> ObjectStorage:
        """The storage at `url`, which has to answer one request; where it is reached comes from the environment.

        For S3: `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, `AWS_REGION` or `AWS_DEFAULT_REGION`,
        `AWS_VIRTUAL_HOSTED_STYLE_REQUEST`. An endpoint without TLS needs `AWS_ALLOW_HTTP=true`, on this machine's
        loopback nothing.

        Raises:
            InputError: no such scheme, no bucket, a URL with credentials, obstore is missing, or the bucket does not
                exist or denies access.
            StoreError: there is no answer within about `FIRST_PATIENCE` seconds.
        """
        checked = check_url(url)
        try:
            import obstore  # noqa: F401
        except ImportError:
            raise InputError("out", checked, _INSTALL) from None
        storage = cls(checked, *place_from_environment(checked), PATIENCE)
        with storage._refusing(f"an object store that can be reached from {socket.gethostname()}"):
            next(iter(storage.hasty._list("")), None)
        return storage

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.url, self.settings, self.allow_http, self.patience)

    @property
    def root(self) -> str:
        """The URL."""
        return self.url

    @cached_property
    def hasty(self) -> ObjectStorage:
        """The same storage with less patience, for the first and last requests of a run."""
        return replace(self, patience=min(self.patience, FIRST_PATIENCE))

    @cached_property
    def store(self) -> Any:
        """obstore's store of everything under the URL.

        Raises:
            StoreError: obstore is not installed here.
        """
        try:
            from obstore.store import from_url
        except ImportError:
            raise StoreError(f"{socket.gethostname()} cannot reach {self.url} without {_INSTALL}") from None
        pause = timedelta(seconds=min(5.0, self.patience / 4))
        backoff = {"init_backoff": timedelta(seconds=0.1), "max_backoff": pause, "base": 2}
        retries = {"max_retries": 50, "retry_timeout": timedelta(seconds=self.patience), "backoff": backoff}
        config: Any = dict(self.settings) or None
        client: Any = {"connect_timeout": "5s", "timeout": "60s", "allow_http": self.allow_http}
        scheme, _, place = self.url.partition("://")
        quoted = f"{scheme}://{quote(place)}"  # obstore takes a percent sign for an escape
        return from_url(quoted, config=config, client_options=client, retry_config=cast(Any, retries))

    def pauses(self) -> Iterator[float]:
        """Seconds between one attempt and the next; an attempt that took half of the patience is the last one."""
        end = time.monotonic() + self.patience / 2
        pauses = (min(0.1 * 2**number, 5.0) for number in itertools.count())
        return itertools.takewhile(lambda pause: time.monotonic() + pause < end, pauses)

    def persistently(self, request: Callable[[], T]) -> T:
        """`request`, which has to bear repetition, again where obstore gives up although the server may be well."""
        from obstore.exceptions import GenericError

        pauses = self.pauses()
        while True:
            try:
                return request()
            except GenericError as error:
                pause = None if is_final(error) else next(pauses, None)
                if pause is None:
                    raise
                time.sleep(pause)

    def zarr(self, folder: str, *, read_only: bool = False) -> Store:
        """zarr's own store over obstore."""
        from limitbench.sweep.object_zarr import PersistentStore

        return PersistentStore(replace(self, url=f"{self.url}/{_name(folder)}"), read_only=read_only)

    def read(self, name: str) -> bytes:
        """One request."""
        return self.find(name)[0]

    def find(self, name: str) -> tuple[bytes, Version]:
        """Content of an object and its version; `FileNotFoundError` where there is none."""

        def request() -> tuple[bytes, Version]:
            found = self.store.get(_name(name))
            return bytes(found.bytes()), _version(found.meta)

        return self.persistently(request)

    def write(self, name: str, data: bytes) -> None:
        """One request, which is whole or absent."""
        self.persistently(lambda: self.store.put(_name(name), data, use_multipart=False))

    def create(self, name: str, data: bytes) -> bool:
        """A conditional write. Where the object is there already and holds `data`, that counts as success."""
        return self.put_if(name, data) is not None

    def put_if(self, name: str, data: bytes, version: Version | None = None) -> Version | None:
        """Write an object only where it still has this `version` (None: where there is none).

        Returns:
            Its version from now on, None where another writer was first. An answer that was lost is made good by a
            look at the object: contents that must tell writers apart have to be unique.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def request() -> Version | None:
            try:
                return _version(self.store.put(_name(name), data, mode=version or "create", use_multipart=False))
            except (AlreadyExistsError, PreconditionError, FileNotFoundError):
                try:
                    present, found = self.find(name)
                except FileNotFoundError:
                    return None
                return found if present == data else None

        return self.persistently(request)

    def remove(self, name: str) -> None:
        """One request."""
        self._delete([_name(name)])

    def remove_all(self, folder: str) -> None:
        """A thousand objects a request."""
        for batch in _batches(self.entries(folder)):
            self._delete([_name(entry.name) for entry in batch])

    def _delete(self, names: list[str]) -> None:
        with contextlib.suppress(FileNotFoundError):  # some servers say so where there is nothing to delete
            self.persistently(lambda: self.store.delete(names))

    def entries(self, folder: str) -> Iterator[Entry]:
        """A listing; it goes on behind the last name where it was cut off."""
        return self._list(_name(folder) if folder else "")

    def _list(self, folder: str) -> Iterator[Entry]:
        from obstore.exceptions import GenericError

        last: str | None = None
        pages: Iterator[list[Any]] | None = None

        def page() -> list[Any] | None:
            nonlocal pages
            pages = pages or iter(self.store.list(folder or None, offset=last, chunk_size=PAGE))
            try:
                return next(pages, None)
            except GenericError:
                pages = None
                raise

        while (found := self.persistently(page)) is not None:
            for meta in found:
                yield Entry(meta["path"], meta["size"], meta["last_modified"])
                last = meta["path"]

    def folders(self) -> list[str]:
        """One listing of the root."""
        found = self.persistently(lambda: self.store.list_with_delimiter())
        return sorted(str(name).rstrip("/") for name in found["common_prefixes"])

    def children(self, folder: str) -> list[str]:
        """Names directly under `folder`, of objects and of folders."""
        place = _name(folder) if folder else ""
        found = self.persistently(lambda: self.store.list_with_delimiter(place or None))
        names = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
        return [str(name).rstrip("/").rpartition("/")[2] for name in names]

    def sizes(self, folder: str) -> Callable[[str], int | None]:
        """One listing of the folder, kept in memory."""
        return {entry.name: entry.size for entry in self.entries(folder)}.get

    def exists(self, name: str) -> bool:
        """One request, without the content."""
        try:
            self.persistently(lambda: self.store.head(_name(name)))
        except FileNotFoundError:
            return False
        return True

    def read_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """`CONCURRENCY` at a time."""

        def read(name: str) -> tuple[str, bytes | None]:
            try:
                return name, self.read(name)
            except FileNotFoundError:
                return name, None

        with ThreadPoolExecutor(CONCURRENCY) as pool:
            for batch in _batches(names):
                yield from pool.map(read, batch)

    def write_many(self, objects: Mapping[str, bytes]) -> None:
        """`CONCURRENCY` at a time."""
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            list(pool.map(self.write, objects.keys(), objects.values()))

    def check_writable(self) -> None:
        """Makes an object and removes it; conditional writes have to be honoured, the lease stands on them."""
        probe, hasty = f".limitbench-probe-{uuid.uuid4().hex}", self.hasty
        with self._refusing("a place where objects can be made and removed"):
            try:
                version = hasty.put_if(probe, b"first")
                second = hasty.put_if(probe, b"second")
                third = hasty.put_if(probe, b"third", version) if version else None
                fourth = hasty.put_if(probe, b"fourth", version) if version else None
            finally:
                hasty.remove(probe)
        if version is None or second is not None or third is None or fourth is not None:
            raise InputError("out", self.url, "an object store that honours If-None-Match and If-Match in writes")

    @contextlib.contextmanager
    def _refusing(self, accepted: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            reason = self.failure(error)
            if reason is None:
                raise
            if is_outage(reason):
                raise StoreError(f"{self.url} is out of reach from {socket.gethostname()} ({reason})") from None
            raise InputError("out", self.url, f"{accepted} ({reason})") from None

    def exclusive(self, study: str) -> AbstractContextManager[Held]:
        """A lease: an object that its holder renews."""
        from limitbench.sweep.lease import leased

        return leased(self, study)

    def failure(self, error: BaseException) -> str | None:
        """What the server said or that it said nothing, in words of ours: its answers repeat the caller's key."""
        return in_words(error)


def _version(meta: Mapping[str, Any]) -> Version:
    return {key: meta[key] for key in ("e_tag", "version") if meta[key] is not None}


def _name(name: str) -> str:
    """A checked name without the dots and double slashes that paths of files allow."""
    return "/".join(PurePosixPath(check_name(name)).parts)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    source = iter(items)
    while batch := list(itertools.islice(source, PAGE)):
        yield batch
