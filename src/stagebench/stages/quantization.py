"""Stage `quantization`: from the trained model to a file of int8 weights."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from stagebench.case import Case
from stagebench.frameworks import ExportFormat
from stagebench.stages.deployment import DeploymentStage


class Quantization(DeploymentStage):
    """Calibration or an epoch of training, then conversion.

    The step of conversion is all that is not one of the others, writing the file included.
    """

    name = "quantization"
    order = 8
    colour = "#7f6fc1"
    minimum_rounds = 3
    """An epoch of training and a conversion take half a minute together."""

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

    @classmethod
    def as_deployed(cls, case: Case, form: ExportFormat) -> Case | None:
        return case if case.quantize != "none" and case.quantize in form.quantize else None
