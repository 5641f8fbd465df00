"""Files that appear whole or not at all."""

import errno
import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO


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
    if own := _own_output(path):
        own.flush()  # what was said before stays before it
        with os.fdopen(os.dup(own.fileno()), "wb") as file:  # opened anew, a file would be cut at its start
            file.write(content)
        return True
    if _is_stream(path):
        path.write_bytes(content)
        return True
    target = path.resolve()  # a link stays one
    staged = _staged(target)
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


def try_to_write(path: Path) -> None:
    """Try what `write_whole` will do with a path, and leave nothing behind.

    Raises:
        OSError: the file could not be written.

    """
    if _is_stream(path):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return
    target = path.resolve()
    there = next(folder for folder in target.parents if folder.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{str(there)!r} is not a folder")
    staged = there / _staged(target).name
    staged.touch(exist_ok=False)
    staged.unlink()


def _staged(target: Path) -> Path:
    """Return a name beside a file for its content: another session may write the file at the same time."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")


def _is_stream(path: Path) -> bool:
    """Say whether a path is there and is no regular file: a pipe, or a device.

    It is not resolved for that: `/dev/stdout` and `/dev/fd/63` of a pipe resolve to a name of no file.
    """
    return path.exists() and not path.is_file()


def _own_output(path: Path) -> TextIO | None:
    """Return the stream of this process that a path stands for, as `/dev/stdout` does, wherever it leads."""
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError):  # nothing is there, or it is closed
            if stream and os.path.samestat(path.stat(), os.fstat(stream.fileno())):
                return stream
    return None
