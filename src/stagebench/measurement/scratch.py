"""Temporary folders that are gone in the end, also after a session that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stagebench.measurement.errors import StorageError

_PREFIX = "stagebench-"
_LOCK = ".lock"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for the files of worker processes, and remove it, and those that killed sessions left.

    Raises:
        StorageError: it cannot be made.

    """
    where = Path(tempfile.gettempdir())
    _remove_leftovers(where)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = (folder / f"{_LOCK}.new").open("x")
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / f"{_LOCK}.new").rename(folder / _LOCK)  # nobody removes a folder before it is locked
    except OSError as error:
        raise StorageError(f"no folder can be made in {where}: {error.strerror}") from None
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(where: Path) -> None:
    """Remove the folders whose session lives no more: the kernel has released their locks."""
    for lock in where.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError), lock.open("r+") as file:  # held, gone, or another user's
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
