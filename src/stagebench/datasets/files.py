"""Files that appear whole or not at all."""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole and to the disk, or not at all. What is no regular file is written to as it is.

    Raises:
        OSError: the file cannot be written.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()  # a link stays one
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return
    # A name of its own: another session may write this file at the same time.
    staged = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
    try:
        with staged.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)
