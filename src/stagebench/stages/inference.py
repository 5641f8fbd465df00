"""Stage `inference`: calls of the deployed model, one batch each."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stagebench.case import Case, Trait, Workload
from stagebench.frameworks import ExportFormat
from stagebench.frameworks.contract import Operation
from stagebench.stages.deployment import DeploymentStage
from stagebench.stages.stage import Amounts, Outcome

CALLS = 100
"""Calls in a round at batch 1; at larger batches fewer, but `FEWEST_CALLS`."""
FEWEST_CALLS = 30
FEEDS = 8
"""Different batches that are taken in turn."""
LARGEST_ROUND = 2e11
"""Operations of a round, unless they are those of `FEEDS` calls: a large network gets fewer calls."""


def calls(case: Case, workload: Workload) -> int:
    """Return how many calls a round has."""
    by_batch = max(FEWEST_CALLS, CALLS // case.batch_size)
    operations = case.built_network.forward_operations(workload.classes, workload.input_size)
    return max(FEEDS, min(by_batch, int(LARGEST_ROUND / (operations * case.batch_size))))


class Inference(DeploymentStage):
    """One call after the other; at first, the file is loaded.

    Before the calls of a round, each batch is given to the model once.
    """

    name = "inference"
    order = 9
    colour = "#c45a6b"
    traits: ClassVar[tuple[Trait, ...]] = ("has_model", "deploys", "computes")

    def set_up(self) -> None:
        super().set_up()
        if self.case.quantize != "none":
            self.deployer.quantize(self.start.calibration)
        self.deployer.export(self.path)
        self.calls = calls(self.case, self.workload)
        self.loaded = False
        self.found: dict[str, Any] = {}

    def prepare(self) -> None:
        # Other cases have run meanwhile: without this, the slowest calls are the first ones of the rounds.
        for batch in self.batches if self.loaded else ():
            self.runner.run(batch)

    def run(self) -> list[float]:
        if not self.loaded:
            self.runner, self.loaded = self.deployer.load(self.path), True
            self.batches = [self.runner.feed(images) for images in self._some_batches()]
        seconds = []
        for batch in islice(cycle(self.batches), self.calls):
            began = perf_counter()
            self.runner.run(batch)
            seconds.append(perf_counter() - began)
        return seconds

    def outcome(self, result: list[float]) -> dict[str, Any]:
        if not self.found:
            self.found = self.quality(self.runner)
            gc.collect()
            gc.freeze()  # else each collection walks what a compiler left (0.1 s), and empties the caches
        return {**self.found, "images": self.calls * self.case.batch_size, "call_seconds": result}

    def profile(self, path: Path) -> list[Operation]:
        own = getattr(self.runner, "profile", None)  # of a runtime that the framework's profiler cannot see
        if own is None:
            return super().profile(path)
        found: list[Operation] = own(path, self.batches[0], self.calls)
        return found

    def _some_batches(self) -> list[NDArray[np.float32]]:
        size, images = self.case.batch_size, self.start.images
        return [
            images.take(range(start, start + size), axis=0, mode="wrap")
            for start in range(0, FEEDS * size, size)
        ]

    @classmethod
    def least_work(cls, case: Case, workload: Workload, outcome: Outcome) -> Amounts:
        operations = case.built_network.forward_operations(workload.classes, workload.input_size)
        return {"operations": float(outcome["images"]) * operations}

    @classmethod
    def values(cls, axis: str, asked: Sequence[Any]) -> Sequence[Any]:
        return (1, *asked) if axis == "batch_size" else asked  # latency is that of single images

    @classmethod
    def as_deployed(cls, case: Case, form: ExportFormat) -> Case | None:
        if case.quantize not in form.quantize:
            return None
        if form.in_process and case.quantize == "none":
            return case if case.execution in form.executions else None
        return replace(case, execution="default") if case.precision == "float32" else None
