"""What GitHub shows beside a job."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""Environment variable in which GitHub names the file whose Markdown it shows beside a job."""


def append_to_step_summary(text: str, warn: Callable[[str], object]) -> Path | None:
    """Append Markdown to GitHub's step summary, where there is one; returns its path.

    Nobody has asked for it: where it cannot be written, that is a warning, and None is returned.
    """
    name = os.environ.get(STEP_SUMMARY)
    if not name:
        return None
    try:
        with Path(name).open("a", encoding="utf-8") as summary:
            summary.write(text)
    except OSError as error:
        warn(f"warning: {name} (${STEP_SUMMARY}) cannot be written: {error.strerror}")
        return None
    return Path(name)
