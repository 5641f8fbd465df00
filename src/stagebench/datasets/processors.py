"""How many processors this process may use. It stands here because every layer imports from this folder."""

from __future__ import annotations

import os


def usable_threads() -> int:
    """Count the processors that this process may use, which can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
