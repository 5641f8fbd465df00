"""What went wrong in a worker process, in one sentence where the cause is known."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from stagebench.datasets.names import shown

FULL = 2**20
"""Bytes: with less left, a disk counts as full."""
_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|cannot allocate memory|out of memory|OOM when allocating|bad_alloc"
    r"|failed to map segment|unable to allocate",
    re.IGNORECASE,
)
_NOT_MAPPED = re.compile(r"(/[^:]*): failed to map segment")
_LOADER_KILLED = re.compile(r"DataLoader worker \(pid\(?s?\)? [\d, ]+\) .*")


def explain(error: Exception) -> str:
    """Return one sentence on what the machine lacked, or the traceback where the cause is not known."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno and error.errno != errno.ENOSPC:
        where = f": {shown(os.fsdecode(error.filename))}" if error.filename else ""
        return f"{error.strerror}{where}"
    if loader := _LOADER_KILLED.search(text):
        return f"a loader process of --workers died: {loader[0]}"
    if (code := _NOT_MAPPED.search(text)) and _noexec(file := Path(code[1]).resolve()):
        return (
            f"code cannot be loaded from {shown(file)}: its file system is mounted noexec; "
            "TMPDIR takes a folder elsewhere"
        )
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text):
        return f"the memory ran out ({type(error).__name__}: {text[:200] or 'no more is known'})"
    folder = Path(tempfile.gettempdir()).resolve()
    if getattr(error, "errno", None) == errno.ENOSPC or shutil.disk_usage(folder).free < FULL:
        said = f"({type(error).__name__}: {text[:200]})"
        return f"no space is left on the disk of {folder}, where worker processes write {said}"
    details = "".join(traceback.format_exception(error))
    return f"the pipeline raised an error: {text or type(error).__name__}\n{details}"


def _noexec(file: Path) -> bool:
    """Say whether no code can be loaded from a file that may be gone by now."""
    if sys.platform != "linux":
        return False
    there = next(path for path in (file, *file.parents) if path.exists())
    return bool(os.statvfs(there).f_flag & os.ST_NOEXEC)
