"""What `simulated` can do wrong, by the name that a script gives it. The tests of the suite are run on it."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stagebench.datasets.manifest import Manifest

BABBLE_BYTES = 50 * 2**20


def _kill(manifest: Manifest) -> None:
    sys.stderr.write("simulated: about to be killed\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def _segfault(manifest: Manifest) -> None:
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


def _stop(manifest: Manifest) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise(manifest: Manifest) -> None:
    raise RuntimeError("simulated failure")


def _hang(manifest: Manifest) -> None:
    while True:
        time.sleep(1)


def _eat_memory(manifest: Manifest) -> None:
    eaten = [b"x" * 2**26 for _ in range(64)]  # 4 GiB: for tests that allow less
    del eaten


def _babble(manifest: Manifest) -> None:
    sys.stdout.write("babble\n" * (BABBLE_BYTES // 7))


def _lose_file(manifest: Manifest) -> None:
    path = Path(manifest.paths("train")[0])
    path.unlink()
    path.read_bytes()


def _change_file(manifest: Manifest) -> None:
    path = Path(manifest.paths("train")[0])
    path.write_bytes(path.read_bytes()[::-1])


FAULTS: dict[str, Callable[[Manifest], None]] = {
    "kill": _kill,
    "segfault": _segfault,
    "stop": _stop,
    "raise": _raise,
    "hang": _hang,
    "eat_memory": _eat_memory,
    "babble": _babble,
    "lose_file": _lose_file,
    "change_file": _change_file,
}
"""Others are faults of a stage's result: its method in `Pipeline` shows them."""
