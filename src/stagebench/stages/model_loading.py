"""Stage `model_loading`: from the file to a model ready to predict on the device."""

from __future__ import annotations

from typing import Any

from stagebench.case import Case, Workload
from stagebench.stages.model_saving import ModelSaving
from stagebench.stages.stage import Amounts, Outcome


class ModelLoading(ModelSaving):
    """The way back of `model_saving`, with the same check."""

    name = "model_loading"
    order = 5
    colour = "#5f6b76"

    def set_up(self) -> None:
        super().set_up()
        self.pipeline.save_model(self.path)

    def prepare(self) -> None:
        pass

    def run(self) -> None:
        self.checker.load_model(self.path)

    def outcome(self, result: None) -> dict[str, Any]:
        return self.compared()

    @classmethod
    def least_work(cls, case: Case, workload: Workload, outcome: Outcome) -> Amounts:
        return {"read_bytes": outcome["file_bytes"]}
