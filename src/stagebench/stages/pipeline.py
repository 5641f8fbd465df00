"""What each stage of the pipeline prepares, what of it is timed, and what it reports to its checks.

Runs in the worker process and knows no framework.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from stagebench.case import Stage, Workload
from stagebench.frameworks.contract import Epoch, Evaluation, Pipeline
from stagebench.stages.deployment import Exporting, Inferring, Quantizing
from stagebench.stages.stage import StageRun


class DataLoading(StageRun):
    """One epoch of training batches delivered on the device, every batch read."""

    def run(self) -> list[Any]:
        return self.pipeline.load_data()

    def outcome(self, result: list[Any]) -> dict[str, Any]:
        labels = self.pipeline.class_indices(result)
        return {
            "images": len(labels),
            "images_per_class": np.bincount(labels, minlength=self.workload.classes).tolist(),
        }


class ModelBuilding(StageRun):
    """Model and optimiser with all variables in place on the device."""

    def run(self) -> None:
        self.pipeline.build_model()

    def outcome(self, result: None) -> dict[str, Any]:
        return {
            "parameters": sum(value.size for value in self.pipeline.weights().values()),
            "trainable_parameters": self.pipeline.trainable_weights(),
            "layers": [vars(layer) for layer in self.pipeline.layers()],
        }


class Training(StageRun):
    """`epochs` epochs, each time from the same initial weights."""

    trains_in = ("cold", "round")

    def set_up(self) -> None:
        self.pipeline.build_model()
        self.initial_weights = self.pipeline.weights()
        self.data_wait_fraction: float | None = None

    def prepare(self) -> None:
        self.pipeline.set_weights(self.initial_weights)

    def run(self) -> list[Epoch]:
        return self.pipeline.train(self.workload.epochs)

    def outcome(self, result: list[Epoch]) -> dict[str, Any]:
        epochs = [*result]
        if self.data_wait_fraction is None:
            # One more epoch, off the clock: it shows the wait for batches, and that the loss falls.
            watched = self.pipeline.watch_training()
            epochs.append(watched.epoch)
            self.data_wait_fraction = watched.data_wait_seconds / watched.seconds
        return {
            "images": sum(epoch.images for epoch in result),
            "losses": [epoch.loss for epoch in epochs],
            "accuracies": [epoch.accuracy for epoch in epochs],
            "loss": result[-1].loss,
            "accuracy": result[-1].accuracy,
            "data_wait_fraction": self.data_wait_fraction,
        }


class ModelSaving(StageRun):
    """The model written to a new file."""

    def set_up(self) -> None:
        build_distinct_model(self.pipeline, self.workload)
        self.images = sample_images(self.workload)
        self.expected = self.pipeline.predict(self.images)

    def prepare(self) -> None:
        self.path.unlink(missing_ok=True)

    def run(self) -> None:
        self.pipeline.save_model(self.path)

    def outcome(self, result: None) -> dict[str, Any]:
        self.checker.load_model(self.path)
        logits = self.checker.predict(self.images)
        return {
            "file_bytes": self.path.stat().st_size,
            "logit_difference": float(np.abs(logits - self.expected).max()),
        }


class ModelLoading(ModelSaving):
    """From the file to a model ready to predict on the device."""

    def set_up(self) -> None:
        super().set_up()
        self.pipeline.save_model(self.path)

    def prepare(self) -> None:
        pass

    def run(self) -> None:
        self.checker.load_model(self.path)

    def outcome(self, result: None) -> dict[str, Any]:
        logits = self.checker.predict(self.images)
        return {
            "file_bytes": self.path.stat().st_size,
            "logit_difference": float(np.abs(logits - self.expected).max()),
        }


class Evaluating(StageRun):
    """Loss and accuracy over the whole test split, of a model trained as in `training`, saved and loaded."""

    trains_in = ("set_up",)

    def set_up(self) -> None:
        self.pipeline.build_model()
        self.pipeline.train(self.workload.epochs)
        self.pipeline.save_model(self.path)
        self.pipeline.load_model(self.path)

    def run(self) -> Evaluation:
        return self.pipeline.evaluate()

    def outcome(self, result: Evaluation) -> dict[str, Any]:
        return {**vars(result), "expected_accuracy": self.expected_accuracy}

    @cached_property
    def expected_accuracy(self) -> float:
        """Share of test images whose largest logit is that of their class; not asked for before `cold`."""
        hits = [
            self.pipeline.predict(images).argmax(1) == labels
            for images, labels in self.checker.batches("test")
        ]
        return float(np.concatenate(hits).mean())


STAGE_RUNS: dict[Stage, type[StageRun]] = {
    "data_loading": DataLoading,
    "model_building": ModelBuilding,
    "training": Training,
    "model_saving": ModelSaving,
    "model_loading": ModelLoading,
    "evaluation": Evaluating,
    "exporting": Exporting,
    "quantization": Quantizing,
    "inference": Inferring,
}


def build_distinct_model(pipeline: Pipeline, workload: Workload) -> None:
    """Build a model in which no variable has the value that a fresh one has.

    A file that loses, say, BatchNorm's running statistics (0 and 1 in a fresh model) then shows.
    """
    pipeline.build_model()
    generator = np.random.default_rng(workload.seed)
    pipeline.set_weights(
        {
            name: value + np.float32(0.01) * generator.random(value.shape, np.float32)
            for name, value in pipeline.weights().items()
        }
    )


def sample_images(workload: Workload) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Eight random images, float32 [8, H, W, 3] from 0 to 1, to compare models on."""
    generator = np.random.default_rng(workload.seed)
    return generator.random((8, workload.input_size, workload.input_size, 3), np.float32)
