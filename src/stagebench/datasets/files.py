"""Files that appear whole or not at all."""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes, new: bool = False) -> bool:
    """Write a file whole and to the disk, or not at all. What is no regular file is written to as it is.

    Args:
        path: the file; its folder is made if missing.
        content: all that it is to hold.
        new: leave a file alone that has this name already.

    Returns:
        Whether it was written: False where it was to be `new`, and is not.

    Raises:
        OSError: the file cannot be written.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()  # a link stays one
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return True
    # A name of its own: another session may write this file at the same time.
    staged = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
    try:
        with staged.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if new:
            try:
                target.touch(exist_ok=False)  # of two that try one takes the name, on any file system
            except FileExistsError:
                return False
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)
    return True
