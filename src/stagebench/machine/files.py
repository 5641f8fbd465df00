"""Files and locks of a session, with one sentence where the disk does not allow them.

How they are written and held is in `datasets`, which needs it too, and imports nothing from here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

from stagebench.datasets.files import write_whole
from stagebench.datasets.locks import locked
from stagebench.machine.errors import StorageError


def write(path: Path, content: bytes, new: bool = False) -> bool:
    """Write a file as `write_whole` does.

    Raises:
        StorageError: the file cannot be written.

    """
    try:
        return write_whole(path, content, new)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def lock(path: Path, waiting: Callable[[], object] = lambda: None) -> IO[bytes]:
    """Hold a file's lock as `locked` does.

    Raises:
        StorageError: the lock cannot be made.

    """
    try:
        return locked(path, waiting)
    except OSError as error:
        raise StorageError(f"the lock {path} cannot be made: {error.strerror}") from None
