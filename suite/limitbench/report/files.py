"""Writing a page: whole at once, so that a reader never sees half of it."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

from limitbench.errors import InputError, StoreError
from limitbench.sweep.storage import is_url, open_storage


def write_page(output: str | Path, text: str, field: str = "output") -> str | Path:
    """Write `text` to a file or URL and return its place.

    Raises `InputError` that names `field` where it cannot be written, `StoreError` where the disk is full.
    """
    if is_url(output):
        folder, _, name = str(output).rpartition("/")
        storage = open_storage(folder)
        with storage.guarded():
            storage.write(name, text.encode())
        return output
    output = Path(output)
    part = output.with_name(output.name + ".partial")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(output)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(f"{output} cannot be written ({error.strerror})") from None
        raise InputError(field, str(output), f"a file that can be written ({error.strerror})") from None
    return output
