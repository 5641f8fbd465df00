"""Stage `data_loading`: one epoch of training batches delivered on the device, every batch read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from stagebench.case import Case, Workload
from stagebench.stages.stage import FLOAT_BYTES, Amounts, Executions, Outcome, Stage, decoded


class DataLoading(Stage):
    """From JPEG files to batches."""

    name = "data_loading"
    order = 1
    colour = "#56b4e9"
    traits = ("loads_data",)

    def run(self) -> list[Any]:
        return self.pipeline.load_data()

    def outcome(self, result: list[Any]) -> dict[str, Any]:
        labels = self.pipeline.class_indices(result)
        return {
            "images": len(labels),
            "images_per_class": np.bincount(labels, minlength=self.workload.classes).tolist(),
        }

    @classmethod
    def validate(cls, ran: Executions) -> Iterator[str]:
        expected = np.bincount(ran.manifest.labels("train")).tolist()
        if any(outcome["images_per_class"] != expected for outcome in ran.outcomes):
            yield "an epoch is not every training image once"

    @classmethod
    def least_work(cls, case: Case, workload: Workload, outcome: Outcome) -> Amounts:
        # From the cache: each image is read once, and written once into its batch.
        copied = 2.0 * outcome["images"] * workload.input_size**2 * 3 * FLOAT_BYTES
        return decoded(case, outcome["images"]) or {"copied_bytes": copied}
