"""Temporary folders that are gone in the end, also after a session that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

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
    try:
        lock = _locked(where)
        folder = _folder_of(Path(lock.name))
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise StorageError(f"no folder can be made in {where}: {error.strerror}") from None
    with lock:
        try:
            yield folder
        finally:
            _remove(Path(lock.name))


def _locked(where: Path) -> IO[bytes]:
    """Make a lock file and hold it; one that another session took for a leftover is gone by then."""
    while True:
        lock = (where / f"stagebench-{secrets.token_hex(8)}.lock").open("xb")
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock.fileno()).st_nlink:
            return lock
        lock.close()


def _remove_leftovers(where: Path) -> None:
    """Remove the folders whose session lives no more: the kernel has released their locks."""
    for path in where.glob("stagebench-*.lock"):
        if _LOCK.fullmatch(path.name):
            with contextlib.suppress(OSError), path.open("r+b") as lock:  # held, gone, or another user's
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)


def _remove(lock: Path) -> None:
    shutil.rmtree(_folder_of(lock), ignore_errors=True)
    lock.unlink(missing_ok=True)  # last: until then, the next session finishes the work


def _folder_of(lock: Path) -> Path:
    return lock.with_suffix("")
