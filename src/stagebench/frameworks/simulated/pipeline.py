"""A framework that computes next to nothing: the suite's own tests run on it, in seconds.

It fulfils the contract with numpy, and takes times or misbehaves as the environment variable
`STAGEBENCH_SIMULATED` says: a JSON object from a stage to what happens in it, e.g.
`{"training": {"cost": {"seconds": 0.01, "drift": 0.1}}, "evaluation": {"fault": "kill", "workers": 2}}`.
`cost` holds fields of `costs.Cost`, `fault` is one of `faults.FAULTS`; with `workers`, cases of other numbers
of workers are left alone. What stands under `opening` happens when the pipeline is made.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stagebench.case import Case, Workload
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks import contract
from stagebench.frameworks.contract import (
    Epoch,
    Evaluation,
    Layer,
    Operation,
    RuntimeInfo,
    Split,
    UnavailableError,
)
from stagebench.frameworks.simulated.costs import Cost
from stagebench.frameworks.simulated.deployer import Deployer, logits
from stagebench.frameworks.simulated.faults import FAULTS
from stagebench.networks import NETWORKS
from stagebench.networks.weights import Weights


class Pipeline(contract.Pipeline):
    """See `contract.Pipeline`. The model is one dense layer that never learns; its losses are made up."""

    def __init__(self, case: Case, workload: Workload, manifest: Manifest) -> None:
        if case.device != "cpu":
            raise UnavailableError("simulated runs on cpu only")
        self.case, self.workload, self.manifest = case, workload, manifest
        self.script = json.loads(os.environ.get("STAGEBENCH_SIMULATED", "{}"))
        self.matrix = np.zeros((3, workload.classes), np.float32)
        self.epochs_trained = 0
        generator = np.random.default_rng()
        self.costs = {stage: Cost(**what.get("cost", {})) for stage, what in self.script.items()}
        self.processes = {stage: cost.process(generator) for stage, cost in self.costs.items()}
        self._act("opening")

    def load_data(self) -> list[NDArray[np.int64]]:
        wrong = self._act("data_loading") == "lose_an_image"
        return [labels[1:] if wrong else labels for labels in self._label_batches("train")]

    def build_model(self) -> None:
        self._act("model_building")
        generator = np.random.default_rng(self.workload.seed)
        self.matrix = generator.standard_normal((3, self.workload.classes), np.float32)
        self.epochs_trained = 0

    def train(self, epochs: int) -> list[Epoch]:
        fault = self._act("training")
        history = []
        for _ in range(epochs):
            self.epochs_trained += 1
            losses = {"diverge": float("nan"), "climb": float(self.epochs_trained)}
            loss = losses.get(fault or "", 1.0 / self.epochs_trained)
            history.append(Epoch(loss, 0.5, len(self.manifest.train)))
        return history

    def save_model(self, path: Path) -> None:
        wrong = self._act("model_saving") == "lose_precision"
        np.save(path, self.matrix.astype(np.float16).astype(np.float32) if wrong else self.matrix)

    def load_model(self, path: Path) -> None:
        self._act("model_loading")
        self.matrix = np.load(path)

    def evaluate(self) -> Evaluation:
        self._act("evaluation")
        images, labels = zip(*self.batches("test"), strict=True)
        hits = self.predict(np.concatenate(images)).argmax(1) == np.concatenate(labels)
        return Evaluation(0.5, float(hits.mean()), len(hits))

    def fine_tune(self) -> None:
        self.train(1)

    def deployer(self) -> Deployer:
        kernels = NETWORKS[self.case.network].kernels(self.workload.classes, self.workload.input_size)
        return Deployer(self.matrix, len(kernels), self._act)

    def runtime_info(self) -> RuntimeInfo:
        return RuntimeInfo("1.0", "", 1)

    def profile(self, path: Path, work: Callable[[], object]) -> list[Operation]:
        work()
        path.with_name(f"{path.name}.json").write_text('{"traceEvents": []}')
        return [Operation("simulated::wait", 0.001, 1)]

    def class_indices(self, labels: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.concatenate(labels)

    def batches(self, split: Split) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        size = self.workload.input_size
        for labels in self._label_batches(split):
            yield np.zeros((len(labels), size, size, 3), np.float32), labels

    def layers(self) -> list[Layer]:
        return [Layer("dense", (self.workload.classes,), self.matrix.size)]

    def weights(self) -> Weights:
        return {"dense/kernel": self.matrix.copy()}

    def trainable_weights(self) -> int:
        return int(self.matrix.size)

    def set_weights(self, weights: Weights) -> None:
        self.matrix = weights["dense/kernel"].astype(np.float32)
        self.epochs_trained = 0

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return logits(images, self.matrix)

    def _label_batches(self, split: Split) -> list[NDArray[np.int64]]:
        labels = np.array(self.manifest.labels(split), np.int64)
        return np.split(labels, range(self.case.batch_size, len(labels), self.case.batch_size))

    def _act(self, stage: str | Literal["opening"]) -> str | None:
        """Take time or fail as the script says, and return the fault that the stage itself must show."""
        script = self.script.get(stage)
        if script is None or self.case.workers != script.get("workers", self.case.workers):
            return None
        self.costs[stage].spend(self.processes[stage](time.time()))
        fault: str | None = script.get("fault")
        if fault in FAULTS:
            FAULTS[fault](self.manifest)
        return fault
