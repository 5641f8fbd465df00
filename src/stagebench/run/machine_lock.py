"""One session at a time measures on a machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

from stagebench.machine.files import lock


def machine_lock(folder: Path, waiting: Callable[[], object]) -> IO[bytes]:
    """Hold the lock in `folder` that all sessions of this user share, until it is closed or the process ends.

    Calls `waiting` once if another session holds it.

    Raises:
        StorageError: the lock cannot be made.

    """
    return lock(folder / "measuring.lock", waiting)
