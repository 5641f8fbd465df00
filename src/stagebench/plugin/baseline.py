"""The saved run that `--benchmark-compare` means, also where another Python has saved it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pytest_benchmark.utils import get_machine_id


def baseline(wanted: str | Literal[True], folder: Path) -> str | Literal[True]:
    """Return what pytest-benchmark finds the run by.

    It looks in the folder of this machine and Python alone, so that the baseline is gone after an upgrade of
    Python. Where it would find nothing, and another folder holds such a run, the newest of them is named.

    Args:
        wanted: value of `--benchmark-compare`: a number, the start of a name, a path, or True for the last.
        folder: where runs are saved.

    """
    start = "[0-9][0-9][0-9][0-9]_" if wanted is True else wanted.rstrip("*")
    is_path = "/" in start or os.path.isfile(start)  # noqa: PTH113  # `Path` raises: a name too long
    if is_path or any((folder / get_machine_id()).glob(f"{start}*.json")):
        return wanted
    found = sorted(folder.glob(f"*/{start}*.json"), key=lambda path: path.stat().st_mtime)
    return f"{found[-1].parent.name}/{found[-1].stem}" if found else wanted
