"""What this machine does at best: the least that a stage must do, at the rates that this machine reaches.

No framework has a part in it. What a pipeline takes beyond it is overhead, or work that could be
done in another way.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from stagebench.case import Case, Workload
from stagebench.frameworks import FRAMEWORKS
from stagebench.machine.info import has_avx512, usable_threads
from stagebench.run.process import Patience, WorkerError, WorkerProcess
from stagebench.run.sample import Measurement
from stagebench.stages import STAGES
from stagebench.stages.stage import Amounts

Rates = dict[str, float]
"""How much of each resource this machine gives in a second."""

JPEGS = 256
"""How many files of the data set are decoded."""
TIMEOUT = 60.0
"""Seconds after which the peak is given up."""


def peak_seconds(stage: str, case: Case, measurement: Measurement, workload: Workload) -> float | None:
    """Return the seconds that a stage would take at the machine's peak rates, or None: not known."""
    work = _least_work(stage, case, workload, measurement.processes[0].cold.outcome)
    if work is None or any(resource not in measurement.rates for resource in work):
        return None
    # On a CPU all kinds of work share the same cores: they add up.
    return sum(amount / measurement.rates[resource] for resource, amount in work.items())


def _least_work(stage: str, case: Case, workload: Workload, outcome: Mapping[str, Any]) -> Amounts | None:
    """Return what the stage cannot do without; None of what a GPU computes.

    The rate of matrix products is that of float32.
    """
    on_cpu = case.device == "cpu" or STAGES[stage].on_host
    if not on_cpu or case.precision != "float32" or case.quantize != "none":
        return None
    try:
        return STAGES[stage].least_work(case, workload, outcome)
    except KeyError:  # of a stage in an older version, which does not say as much
        return None


class PeakRates:
    """What this machine does at best, measured between the rounds in a process without a framework."""

    def __init__(self, stage: str, workload: Workload, files: Sequence[str], threads: int | None) -> None:
        self._stage, self._workload, self._files = stage, workload, files[:JPEGS]
        self._threads = threads
        self.rates: Rates = {}
        self._worker: WorkerProcess | None = None

    def start(self, cases: Sequence[Case], folder: Path, stack: ExitStack) -> None:
        """Start the process, which writes to the folder and ends with the stack."""
        self._folder, self._worker = folder, None
        if not any(FRAMEWORKS[case.framework].imports for case in cases):
            return  # `simulated` computes nothing that has a peak
        folder.mkdir()
        try:
            worker = WorkerProcess("peak rates", folder, threads=self._threads, variables=_blas_variables())
            self._worker = stack.enter_context(worker)
        except WorkerError as error:
            self._warn(error)

    def measure(self, outcomes: Mapping[Case, Mapping[str, Any]]) -> None:
        """Measure the rates of whatever the stage takes in these cases; keep the best of all moments."""
        works = [
            _least_work(self._stage, case, self._workload, outcome) for case, outcome in outcomes.items()
        ]
        resources = sorted({resource for work in works for resource in work or ()})
        if self._worker is None or not resources:
            return
        self._worker.send(
            "rates",
            resources=resources,
            files=[os.fsencode(file) for file in self._files],  # execnet carries text in UTF-8 alone
            folder=str(self._folder),
            file_bytes=max(outcome.get("file_bytes", 0) for outcome in outcomes.values()),
            threads=self._threads or usable_threads(),
        )
        try:
            rates = self._worker.receive(Patience(TIMEOUT, "measuring", ""))
        except WorkerError as error:
            self._warn(error)
        else:
            self.rates = {name: max(rate, self.rates.get(name, 0.0)) for name, rate in rates.items()}

    def _warn(self, error: WorkerError) -> None:
        self._worker = None
        warnings.warn(f"{self._stage}: no % of peak: {error}", stacklevel=1)


def _blas_variables() -> dict[str, str]:
    """Make OpenBLAS use AVX-512 where the processor has it, also one that is younger than OpenBLAS.

    On a Zen 5 it would take its kernels for Zen, with 239 instead of 435 GFLOP/s (two cores).
    """
    return {"OPENBLAS_CORETYPE": "SkylakeX"} if has_avx512() else {}
