"""The stages after the pipeline: what each prepares, what of it is timed, what it reports to its checks.

Runs in the worker process and knows no framework. Each starts from the same trained weights.
"""

from __future__ import annotations

import gc
import shutil
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stagebench.case import Case
from stagebench.frameworks.contract import Operation, Runner, StartingPoint
from stagebench.stages.stage import StageRun

CALLS = 100
"""Calls in a round of inference at batch 1; at larger batches fewer, but `FEWEST_CALLS`."""
FEWEST_CALLS = 30
FEEDS = 8
"""Different batches that are taken in turn."""


class DeploymentRun(StageRun):
    """A stage that starts from trained weights and ends in a file that another process could use."""

    start: StartingPoint

    @property
    def case(self) -> Case:
        return self.pipeline.case

    def set_up(self) -> None:
        for pipeline in (self.pipeline, self.checker):
            pipeline.build_model()
            pipeline.set_weights(self.start.weights)
        self.deployer = self.pipeline.deployer()
        if self.case.quantize == "qat":
            self.checker.fine_tune()  # what it is trained to answer like has been trained for as long
        self.float32_logits = in_batches(
            self.checker.predict, self.start.images, self.checker.case.batch_size
        )

    def prepare(self) -> None:
        if self.path.is_dir():
            shutil.rmtree(self.path)
        self.path.unlink(missing_ok=True)

    def quality(self, runner: Runner) -> dict[str, Any]:
        """Compare a deployed model with the framework's own, in float32, over the test split."""
        labels = self.start.labels
        logits = in_batches(
            lambda images: runner.run(runner.feed(images)), self.start.images, self.case.batch_size
        )
        answers, own = logits.argmax(1), self.float32_logits.argmax(1)
        return {
            "file_bytes": size_of(self.path),
            "parameters": sum(value.size for value in self.start.weights.values()),
            "integer_layers": runner.integer_layers(),
            "logit_difference": float(np.abs(logits - self.float32_logits).max()),
            "agreement": float((answers == own).mean()),
            "test_accuracy": float((answers == labels).mean()),
            "float32_accuracy": float((own == labels).mean()),
        }


class Exporting(DeploymentRun):
    """From the trained model to a file in the form that is deployed, closed and complete."""

    def run(self) -> None:
        self.deployer.export(self.path)

    def outcome(self, result: None) -> dict[str, Any]:
        return self.quality(self.deployer.load(self.path))


class Quantizing(DeploymentRun):
    """From the trained model to a file of int8 weights: calibration or an epoch of training, conversion.

    The step of conversion is all that is not one of the others, writing the file included.
    """

    def set_up(self) -> None:
        super().set_up()
        self.float32_training_seconds: float | None = None

    def run(self) -> dict[str, float]:
        began = perf_counter()
        steps = self.deployer.quantize(self.start.calibration)
        self.deployer.export(self.path)
        others = sum(seconds for name, seconds in steps.items() if name != "conversion")
        return {**steps, "conversion": perf_counter() - began - others}

    def outcome(self, result: dict[str, float]) -> dict[str, Any]:
        if self.case.quantize == "qat" and self.float32_training_seconds is None:
            self.float32_training_seconds = self.checker.watch_training().seconds
        quality = self.quality(self.deployer.load(self.path))
        times = {"step_seconds": result, "float32_training_seconds": self.float32_training_seconds}
        return {**quality, **times}


class Inferring(DeploymentRun):
    """Calls of the deployed model, one batch each, one after the other; at first, the file is loaded.

    Before the calls of a round, each batch is given to the model once.
    """

    def set_up(self) -> None:
        super().set_up()
        if self.case.quantize != "none":
            self.deployer.quantize(self.start.calibration)
        self.deployer.export(self.path)
        self.calls = max(FEWEST_CALLS, CALLS // self.case.batch_size)
        self.loaded = False
        self.found: dict[str, Any] = {}

    def prepare(self) -> None:
        # Rivals have run meanwhile: without this, the slowest calls are the first ones of the rounds.
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


def in_batches(predict: Any, images: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Return the logits of all images, given in batches of `size`; the last one is filled up."""
    starts = range(0, len(images), size)
    logits = [predict(images.take(range(start, start + size), axis=0, mode="wrap")) for start in starts]
    return np.concatenate(logits)[: len(images)]


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())
