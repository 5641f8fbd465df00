"""Sockets by which loader processes talk. The system keeps their paths short."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PATH_BYTES = 103 if sys.platform == "darwin" else 107
"""Longest path of a Unix socket."""
NAME_BYTES = len("/torch-shm-dir-012345/manager.sock")
"""What torch adds to the temporary folder; Python adds less: `/pymp-01234567/listener-01234567`."""


def fit_into(folder: Path | str) -> bool:
    """Say whether sockets can be made in a temporary folder. Where they cannot, torch waits for ever."""
    return len(os.fsencode(folder)) + NAME_BYTES <= PATH_BYTES
