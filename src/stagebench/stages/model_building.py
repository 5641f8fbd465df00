"""Stage `model_building`: the model and its optimiser with all variables in place on the device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stagebench.case import Case, Workload
from stagebench.stages.stage import FLOAT_BYTES, Amounts, Executions, Outcome, Stage


class ModelBuilding(Stage):
    """From nothing to a model that can be trained."""

    name = "model_building"
    order = 2
    colour = "#cc79a7"
    traits = ("has_model", "builds")

    def run(self) -> None:
        self.pipeline.build_model()

    def outcome(self, result: None) -> dict[str, Any]:
        return {
            "parameters": sum(value.size for value in self.pipeline.weights().values()),
            "trainable_parameters": self.pipeline.trainable_weights(),
            "layers": [vars(layer) for layer in self.pipeline.layers()],
        }

    @classmethod
    def validate(cls, ran: Executions) -> Iterator[str]:
        models = ran.outcomes
        if models[0]["trainable_parameters"] <= 0:
            yield "the model has nothing to train"
        if any(model != models[0] for model in models):
            sizes = sorted({model["parameters"] for model in models})
            yield f"models of different sizes were built: {sizes} parameters"

    @classmethod
    def least_work(cls, case: Case, workload: Workload, outcome: Outcome) -> Amounts:
        network = case.built_network
        sizes = network.variable_sizes(workload.classes, workload.input_size)
        adam = 2 * sum(count for name, count in sizes.items() if network.trainable(name))
        return {"copied_bytes": (sum(sizes.values()) + adam) * FLOAT_BYTES}
