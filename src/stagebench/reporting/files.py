"""Files that appear whole or not at all, with one sentence where that fails."""

from __future__ import annotations

from pathlib import Path

from stagebench.measurement.errors import StorageError


def write(path: Path, content: bytes) -> None:
    """Write a file whole, or not at all.

    Raises:
        StorageError: the file cannot be written.

    """
    staged = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.write_bytes(content)
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None
