"""Files that appear whole or not at all, with one sentence where that fails."""

from __future__ import annotations

import os
from pathlib import Path

from stagebench.machine.errors import StorageError


def write(path: Path, content: bytes) -> None:
    """Write a file whole and to the disk, or not at all. What is no regular file is written to as it is.

    Raises:
        StorageError: the file cannot be written.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path.resolve()  # a link stays one
        if target.exists() and not target.is_file():
            target.write_bytes(content)
            return
        staged = target.with_name(f".{target.name}.new")
        try:
            with staged.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None
