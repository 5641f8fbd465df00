"""Processes that end with the one that has started them, also where that one is killed."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys


def kill_with_parent() -> None:
    """Let the system kill this process when the thread that has started it ends. Linux only."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def end_with_parent(parent: int, worker: int) -> None:
    """End this loader process with the process `parent`, and at once where that has ended already.

    Torch's own watchdog notes the parent when it starts. Where that is killed before, the loader process
    takes the system's first process for its parent, and waits for ever. A fork server, which Python 3.14
    uses, ends its processes itself.
    """
    kill_with_parent()
    if multiprocessing.get_start_method() == "fork" and os.getppid() != parent:
        os._exit(1)
