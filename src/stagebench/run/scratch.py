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
from stagebench.frameworks import sockets
from stagebench.machine.errors import StorageError

_LOCK = re.compile(r"stagebench-[0-9a-f]{16}\.lock")
"""Stands beside its folder, `stagebench-...`, and is locked as long as the session lives."""
SHORT = ("/tmp", "/var/tmp")  # noqa: S108  # what is made there has a random name
"""Where a folder goes by a short name, if its own is too long."""


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for the files of worker processes, and remove it, and those that killed sessions left.

    Its path leaves room for a numbered folder in it, and for sockets in that one.

    Raises:
        StorageError: it cannot be made.

    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_folder_in(Path(tempfile.gettempdir())))
        yield folder if sockets.fit_into(folder / "9999") else _by_short_name(folder, stack)


def _by_short_name(folder: Path, stack: contextlib.ExitStack) -> Path:
    """Return a short path to a folder, by a link; its own where no link can be made."""
    for place in SHORT:
        with contextlib.suppress(OSError, StorageError):
            link = stack.enter_context(_folder_in(Path(place))) / "t"
            link.symlink_to(folder)
            return link
    return folder


@contextlib.contextmanager
def _folder_in(where: Path) -> Iterator[Path]:
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
