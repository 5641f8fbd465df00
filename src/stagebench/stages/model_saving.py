"""Stage `model_saving`: the model in a new file, closed and complete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stagebench.case import Case, Workload
from stagebench.frameworks.contract import Pipeline
from stagebench.stages.stage import Amounts, Executions, Outcome, Stage

LARGEST_DIFFERENCE = 1e-5
"""Of logits, between a model and what its file makes of it."""


class ModelSaving(Stage):
    """From a model to its file."""

    name = "model_saving"
    order = 4
    colour = "#8f9aa6"
    traits = ("has_model",)
    on_host = True

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
        return self.compared()

    def compared(self) -> dict[str, Any]:
        """Compare the loaded model with the saved one."""
        logits = self.checker.predict(self.images)
        return {
            "file_bytes": self.path.stat().st_size,
            "logit_difference": float(np.abs(logits - self.expected).max()),
        }

    @classmethod
    def validate(cls, ran: Executions) -> Iterator[str]:
        difference = max(outcome["logit_difference"] for outcome in ran.outcomes)
        if not difference <= LARGEST_DIFFERENCE:
            yield f"a saved and loaded model's logits differ by {difference:.1e} from the model's own"

    @classmethod
    def least_work(cls, case: Case, workload: Workload, outcome: Outcome) -> Amounts:
        return {"written_bytes": outcome["file_bytes"]}


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


def sample_images(workload: Workload) -> NDArray[np.float32]:
    """Eight random images, float32 [8, H, W, 3] from 0 to 1, to compare models on."""
    generator = np.random.default_rng(workload.seed)
    return generator.random((8, workload.input_size, workload.input_size, 3), np.float32)
