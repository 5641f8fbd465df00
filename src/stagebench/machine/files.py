"""Files that appear whole or not at all, with one sentence where that fails.

How they are written is in `datasets`, which needs it too, and imports nothing from here.
"""

from __future__ import annotations

from pathlib import Path

from stagebench.datasets.files import write_whole
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
