"""Stage `evaluation`: loss and accuracy of a trained model over the whole test split."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np

from stagebench.case import Case, Workload
from stagebench.frameworks import contract
from stagebench.stages.stage import Amounts, Executions, Outcome, Stage, decoded


class Evaluation(Stage):
    """Of a model that was trained as in `training`, saved and loaded."""

    name = "evaluation"
    order = 6
    colour = "#009e73"
    traits = ("loads_data", "has_model", "computes")
    starts_trained = True

    def set_up(self) -> None:
        if not self.path.exists():
            self.pipeline.build_model()
            self.pipeline.train(self.workload.epochs)
            self.pipeline.save_model(self.path)
        self.pipeline.load_model(self.path)

    def run(self) -> contract.Evaluation:
        return self.pipeline.evaluate()

    def outcome(self, result: contract.Evaluation) -> dict[str, Any]:
        return {**vars(result), "expected_accuracy": self.expected_accuracy if self.thorough else None}

    @cached_property
    def expected_accuracy(self) -> float:
        """Share of test images whose largest logit is that of their class; not asked for before `cold`."""
        hits = [
            self.pipeline.predict(images).argmax(1) == labels
            for images, labels in self.checker.batches("test")
        ]
        return float(np.concatenate(hits).mean())

    @classmethod
    def validate(cls, ran: Executions) -> Iterator[str]:
        chance, images = 1 / ran.workload.classes, len(ran.manifest.test)
        # One image may fall on the other side of a tie: batches differ in size. Below float32 more may, where
        # `tuned` folds BatchNorm, which rounds differently (4 of 400 in bfloat16).
        ties = 1.5 if ran.case.precision == "float32" else 1.5 + 0.02 * images
        for outcome in ran.outcomes:
            accuracy, expected = outcome["accuracy"], outcome["expected_accuracy"]
            if outcome["images"] != images:
                yield f"saw {outcome['images']} of {images} images"
            if not isfinite(outcome["loss"]):
                yield f"loss is {outcome['loss']}"
            if expected is not None and not abs(accuracy - expected) * images < ties:
                yield f"accuracy {accuracy}, but the logits say {expected}"
            if not accuracy > chance - 4 * (chance / images) ** 0.5:
                yield f"accuracy {accuracy} is below chance"
        for process in ran.by_process:
            accuracies = {outcome["accuracy"] for outcome in process}
            if len(accuracies) > 1:
                yield f"one model, evaluated several times, has accuracies {accuracies}"

    @classmethod
    def least_work(cls, case: Case, workload: Workload, outcome: Outcome) -> Amounts:
        operations = case.built_network.forward_operations(workload.classes, workload.input_size)
        return {**decoded(case, outcome["images"]), "operations": float(outcome["images"]) * operations}
