"""The suite itself as the correctness tests run it: `pytest benchmarks`, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import scipy.special  # noqa: F401  # after a session in this process, pytester forgets what it has imported,
import vl_convert  # noqa: F401  # and there are modules that cannot be imported twice

from stagebench.datasets import cifar, folder, synthetic  # noqa: F401
from stagebench.frameworks import INSTALLED

BENCHMARKS = Path(__file__).parents[1]
TINY = (
    "--train-images=40",
    "--test-images=20",
    "--classes=4",
    "--rounds=2",
    "--processes=1",
    "--devices=cpu",
)
ANY_FRAMEWORK = [
    "simulated",
    *(pytest.param(name, marks=pytest.mark.nightly("a session of a real framework")) for name in INSTALLED),
]
"""For tests of what surrounds a framework, which a pull request tries on `simulated`."""
UNUSED_PLUGINS = ("cacheprovider", "hypothesispytest", "randomly", "xdist")
"""What the suite does not need, and what would change the order of its tests."""


class Suite:
    """Runs `pytest benchmarks`, by default on `simulated`.

    It runs in this process, which has imported all that it needs: that saves 1.2 s. Under a command
    (`within`), or where a test needs a `fresh` one, it gets a process of its own.
    """

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.folder = pytester.path
        self.within: list[str] = []
        self.started: list[subprocess.Popen[str]] = []
        self._pytester = pytester

    def run(
        self, *options: str, frameworks: str | None = "simulated", fresh: bool = False
    ) -> pytest.RunResult:
        chosen = [f"--frameworks={frameworks}"] if frameworks else []
        arguments = [*suite_arguments(), *chosen, *options]
        if fresh or self.within:
            return self._pytester.run(*self.within, sys.executable, "-m", "pytest", *arguments)
        return self._pytester.runpytest_inprocess(*arguments)

    def start(self, script: str, *options: str) -> subprocess.Popen[str]:
        """Start the suite on `simulated`, which does what the script says, without waiting for it."""
        self.started.append(start_suite(self.folder, script, *options))
        return self.started[-1]

    def saved(self) -> list[dict[str, Any]]:
        """Return what was autosaved, oldest run first."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob(".benchmarks/*/*.json"))]


def suite_arguments() -> list[str]:
    """Return what pytest is told in every session."""
    plugins = [word for name in UNUSED_PLUGINS for word in ("-p", f"no:{name}")]
    return [str(BENCHMARKS), *plugins, *TINY]


def start_suite(where: Path, script: str, *options: str, **variables: str) -> subprocess.Popen[str]:
    """Start the suite in a folder, on `simulated`, which does what the script says.

    `variables` are added to those of the environment.
    """
    environment = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *suite_arguments(), "--frameworks=simulated", *options],
        cwd=where,
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, **variables, "STAGEBENCH_SIMULATED": script},
        # a shell's background job hands on that Ctrl-C is to be ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(process: subprocess.Popen[str], start_of_line: str) -> None:
    """Wait until a suite that was started prints a line that begins so."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith(start_of_line):
            return
    raise AssertionError(f"the suite ended without a line that begins with {start_of_line!r}")
