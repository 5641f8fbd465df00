"""What this machine could do at best: the least that a stage must do, at the rates that this machine reaches.

No framework has a part in it. A stage's limit is what its work would take at those rates, one kind of work
after the other; what a pipeline takes beyond it is overhead, or work that could be done otherwise.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from stagebench.case import Case, Stage, Workload
from stagebench.frameworks import FRAMEWORKS
from stagebench.machine.info import has_avx512, usable_threads
from stagebench.networks.article import NETWORK, trainable
from stagebench.run.process import WorkerError, WorkerProcess
from stagebench.run.sample import Measurement

Amounts = Mapping[str, float]
"""How much of each resource a stage takes, by the names in `rates.RESOURCES`."""
Rates = dict[str, float]
"""How much of each resource this machine gives in a second."""

JPEGS = 256
"""How many files of the data set are decoded."""
FLOAT_BYTES = 4
TIMEOUT = 60.0
"""Seconds after which a limit is given up."""


def least_work(stage: Stage, case: Case, workload: Workload, outcome: Mapping[str, Any]) -> Amounts | None:
    """Return what the stage cannot do without, or None where no limit is known: what a GPU computes.

    Args:
        stage: the stage.
        case: decides whether files are decoded.
        workload: decides the sizes of image and model.
        outcome: of an execution: how many images it saw, how large its file was.

    """
    if case.device != "cpu" and stage not in ("model_saving", "model_loading"):
        return None
    if case.precision != "float32" or case.quantize != "none" or stage in ("exporting", "quantization"):
        return None  # the rate of matrix products is that of float32; of conversions no least is known
    images, size, classes = outcome.get("images", 0), workload.input_size, workload.classes
    decoded = {"jpegs": images} if case.cache == "off" else {}
    if stage == "data_loading":
        # From the cache: each image is read once, and written once into its batch.
        return decoded or {"copied_bytes": 2.0 * images * size * size * 3 * FLOAT_BYTES}
    if stage == "model_building":
        sizes = {name: np.prod(shape) for name, shape in NETWORK.shapes(classes).items()}
        adam = 2 * sum(count for name, count in sizes.items() if trainable(name))
        return {"copied_bytes": float(sum(sizes.values()) + adam) * FLOAT_BYTES}
    if stage == "training":
        return {**decoded, "operations": float(images) * NETWORK.training_operations(classes, size)}
    if stage == "inference":
        return {"operations": float(images) * NETWORK.forward_operations(classes, size)}
    if stage == "evaluation":
        return {**decoded, "operations": float(images) * NETWORK.forward_operations(classes, size)}
    return {"written_bytes" if stage == "model_saving" else "read_bytes": outcome["file_bytes"]}


def limit_of(stage: Stage, case: Case, measurement: Measurement, workload: Workload) -> float | None:
    """Return the seconds that a stage would take at best, or None where no limit is known."""
    work = least_work(stage, case, workload, measurement.processes[0].cold.outcome)
    if work is None or any(resource not in measurement.rates for resource in work):
        return None
    # On a CPU all kinds of work share the same cores: they add up.
    return sum(amount / measurement.rates[resource] for resource, amount in work.items())


class Limits:
    """What this machine does at best, measured between the rounds in a process without a framework."""

    def __init__(self, stage: Stage, workload: Workload, files: Sequence[str], threads: int | None) -> None:
        self._stage, self._workload, self._files = stage, workload, files[:JPEGS]
        self._threads = threads
        self.rates: Rates = {}
        self._worker: WorkerProcess | None = None

    def start(self, cases: Sequence[Case], folder: Path, stack: ExitStack) -> None:
        """Start the process, which writes to the folder and ends with the stack."""
        self._folder, self._worker = folder, None
        if not any(FRAMEWORKS[case.framework].imports for case in cases):
            return  # `simulated` computes nothing that a limit could be set against
        folder.mkdir()
        try:
            worker = WorkerProcess("limits", folder, threads=self._threads, variables=_blas_variables())
            self._worker = stack.enter_context(worker)
        except WorkerError as error:
            self._warn(error)

    def measure(self, outcomes: Mapping[Case, Mapping[str, Any]]) -> None:
        """Measure the rates of whatever the stage takes in these cases; keep the best of all moments."""
        works = [least_work(self._stage, case, self._workload, outcome) for case, outcome in outcomes.items()]
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
            rates = self._worker.receive(TIMEOUT, "measuring", option="")
        except WorkerError as error:
            self._warn(error)
        else:
            self.rates = {name: max(rate, self.rates.get(name, 0.0)) for name, rate in rates.items()}

    def _warn(self, error: WorkerError) -> None:
        self._worker = None
        warnings.warn(f"{self._stage}: no limit of this machine: {error}", stacklevel=1)


def _blas_variables() -> dict[str, str]:
    """Make OpenBLAS use AVX-512 where the processor has it, also one that is younger than OpenBLAS.

    On a Zen 5 it would take its kernels for Zen, with 239 instead of 435 GFLOP/s (two cores).
    """
    return {"OPENBLAS_CORETYPE": "SkylakeX"} if has_avx512() else {}
