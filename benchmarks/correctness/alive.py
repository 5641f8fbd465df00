"""Whether a process still does anything."""

from __future__ import annotations

import psutil


def is_alive(process: psutil.Process) -> bool:
    """Say so of one that neither has ended nor waits for its parent to notice that."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
