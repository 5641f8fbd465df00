"""Temporary folders that are gone in the end, also after a session that was killed."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stagebench.datasets.locks import locked, try_lock
from stagebench.machine.errors import StorageError

_LOCK = re.compile(r"stagebench-[0-9a-f]{16}\.lock")
"""Stands beside its folder, `stagebench-...`, and is locked as long as the session lives."""


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for the files of worker processes, and remove it, and those that killed sessions left.

    Raises:
        StorageError: it cannot be made.

    """
    where = Path(tempfile.gettempdir())
    _remove_leftovers(where)
    path = where / f"stagebench-{secrets.token_hex(8)}.lock"
    folder = _folder_of(path)
    try:
        lock = locked(path)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise StorageError(f"no folder can be made in {where}: {error.strerror}") from None
    with lock:
        try:
            yield folder
        finally:
            _remove(path)


def _remove_leftovers(where: Path) -> None:
    """Remove the folders whose session lives no more: the kernel has released their locks."""
    for path in where.glob("stagebench-*.lock"):
        if _LOCK.fullmatch(path.name):
            with contextlib.suppress(OSError), path.open("r+b") as lock:  # gone, or another user's
                if try_lock(lock):
                    _remove(path)


def _remove(lock: Path) -> None:
    shutil.rmtree(_folder_of(lock), ignore_errors=True)
    lock.unlink(missing_ok=True)  # last: until then, the next session finishes the work


def _folder_of(lock: Path) -> Path:
    return lock.with_suffix("")
