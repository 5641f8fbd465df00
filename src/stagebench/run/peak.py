"""What this machine does at best: the least that a stage must do, at the rates that this machine reaches.

No framework has a part in it. What a pipeline takes beyond it is overhead, or work that could be
done in another way.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from stagebench.case import Case, Workload
from stagebench.datasets.processors import usable_threads
from stagebench.frameworks import FRAMEWORKS
from stagebench.machine.info import has_avx512
from stagebench.run.pool import WorkerPool
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
    """What this machine does at best, measured beside the groups of a session in one process of its own.

    It imports no framework. The best of all moments counts.
    """

    def __init__(
        self, workload: Workload, files: Sequence[str], threads: int | None, pool: WorkerPool
    ) -> None:
        self._workload, self._files = workload, files[:JPEGS]
        self._threads = threads
        self._pool = pool
        self._worker: WorkerProcess | None = None
        self._failed = False
        self.rates: Rates = {}

    def measure(self, stage: str, outcomes: Mapping[Case, Mapping[str, Any]]) -> None:
        """Measure the rates of whatever the stage takes in these cases."""
        if not any(FRAMEWORKS[case.framework].imports for case in outcomes):
            return  # `simulated` computes nothing that has a peak
        works = [_least_work(stage, case, self._workload, outcome) for case, outcome in outcomes.items()]
        resources = sorted({resource for work in works for resource in work or ()})
        if self._failed or not resources:
            return
        try:
            if self._worker is None:
                self._worker = self._pool.start(
                    "peak rates", sys.executable, self._threads, variables=_blas_variables()
                )
            self._worker.send(
                "rates",
                resources=resources,
                files=[os.fsencode(file) for file in self._files],  # execnet carries text in UTF-8 alone
                folder=str(self._worker.folder),
                file_bytes=max(outcome.get("file_bytes", 0) for outcome in outcomes.values()),
                threads=self._threads or usable_threads(),
            )
            rates = self._worker.receive(Patience(TIMEOUT, "measuring", ""))
        except WorkerError as error:
            self._failed = True
            warnings.warn(f"{stage}: no % of peak: {error}", stacklevel=1)
        else:
            self.rates = {
                **self.rates,
                **{name: max(rate, self.rates.get(name, 0.0)) for name, rate in rates.items()},
            }


def _blas_variables() -> dict[str, str]:
    """Make OpenBLAS use AVX-512 where the processor has it, also one that is younger than OpenBLAS.

    On a Zen 5 it would take its kernels for Zen, with 239 instead of 435 GFLOP/s (two cores).
    """
    return {"OPENBLAS_CORETYPE": "SkylakeX"} if has_avx512() else {}
