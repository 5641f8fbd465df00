"""The check of a folder's files: of each once, until it changes, over all sessions of a user."""

import hashlib
import json
import os
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from stagebench.datasets import image_file, jpeg_structure
from stagebench.datasets.cache import cache_name
from stagebench.datasets.files import write_whole
from stagebench.datasets.image_file import checked_image
from stagebench.datasets.manifest import Image, to_columns
from stagebench.datasets.parallel import Progress, chunks, processes_for, run_tasks

_FILES_PER_PROCESS = 3000  # checking one of 64x64 takes about 0.15 ms, starting a process 0.3 s
_FILES_PER_TASK = 100
_COLUMNS = ("path", "label", "bytes", "sha256", "modified_ns", "picture_size")
_AT_REST_NS = 2 * 10**9
"""For how long a file must not have changed to be known: within a tick of its clock it could change again."""


def check(
    root: Path, files: Sequence[tuple[str, int]], cache_folder: Path, progress: Progress
) -> list[Image | str]:
    """Return the image of each file (path under the root, label), or what is wrong with it in a sentence.

    Sound images are written down in the cache folder, if that can be written. A file whose size and
    modification time are as they were is not read again.
    """
    record = cache_folder / f"{cache_name('folder', root=str(root), checker=_checker())}.checked"
    known = {path: image for path, image in _read(record).items() if _is_as_it_was(root.as_posix(), image)}
    unknown = [file for file in files if file[0] not in known]
    start = time.time_ns()
    found = iter(
        run_tasks(
            partial(_check, root),
            chunks(unknown, _FILES_PER_TASK),
            processes=processes_for(len(unknown), _FILES_PER_PROCESS),
            what="checking images",
            total=len(unknown),
            progress=progress,
        )
    )
    checked = [_labelled(known[path], label) if path in known else next(found) for path, label in files]
    if unknown:
        with suppress(OSError):
            _write(record, [image for image in checked if isinstance(image, Image)], start - _AT_REST_NS)
    return checked


def _check(root: Path, files: Sequence[tuple[str, int]]) -> list[Image | str]:
    return [checked_image(root, path, label) for path, label in files]


def _labelled(image: Image, label: int) -> Image:
    """Return an image with the label that its class has now."""
    return image if image.label == label else replace(image, label=label)


def _checker() -> str:
    """Return a name of the check as it is in this version: what another one has accepted is not known."""
    sources = (Path(module.__file__ or "").read_bytes() for module in (image_file, jpeg_structure))
    return hashlib.sha256(b"".join(sources)).hexdigest()


def _is_as_it_was(root: str, image: Image) -> bool:
    file = f"{root}/{image.path}"
    try:
        found = os.stat(file)  # noqa: PTH116, a Path takes twice as long
    except (OSError, ValueError):  # it is gone, or the record is damaged
        return False
    unchanged = (found.st_size, found.st_mtime_ns) == (image.bytes, image.modified_ns)
    return unchanged and stat.S_ISREG(found.st_mode) and os.access(file, os.R_OK)


def _read(record: Path) -> dict[str, Image]:
    """Return what a record says, nothing if there is none that can be read."""
    try:
        columns = json.loads(record.read_bytes())
        rows = zip(*(columns[column] for column in _COLUMNS), strict=True)
        return {
            path: Image(path, label, count, sha256, modified_ns, (int(height), int(width)))
            for path, label, count, sha256, modified_ns, (height, width) in rows
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _write(record: Path, images: Sequence[Image], before_ns: int) -> None:
    """Write down those images whose files had not changed since a time."""
    settled = [image for image in images if image.modified_ns is not None and image.modified_ns < before_ns]
    columns = json.dumps(to_columns(settled, _COLUMNS), separators=(",", ":"))
    write_whole(record, columns.encode("ascii"))
