"""Stage `training`: `--epochs` epochs over the training split, each time from the same initial weights."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from statistics import median
from time import perf_counter
from typing import Any

from stagebench.case import Case, Workload
from stagebench.frameworks.contract import Epoch, WatchedEpoch
from stagebench.stages.stage import Amounts, Executions, Outcome, Stage, decoded

UPDATES_TO_LEARN = 5
"""Updates an epoch from which on its loss falls: the first one or two may raise it."""
MOVES = 30
"""How often the transfers of a step are timed."""


class Training(Stage):
    """Data loading included, as the framework overlaps it."""

    name = "training"
    order = 3
    colour = "#d9700a"
    traits = ("loads_data", "has_model", "builds", "trains", "computes")

    def set_up(self) -> None:
        self.pipeline.build_model()
        self.initial_weights = self.pipeline.weights()
        self.watched: WatchedEpoch | None = None
        self.transfer_seconds: float | None = None

    def prepare(self) -> None:
        self.pipeline.set_weights(self.initial_weights)

    def run(self) -> list[Epoch]:
        return self.pipeline.train(self.workload.epochs)

    def outcome(self, result: list[Epoch]) -> dict[str, Any]:
        epochs = [*result]
        if self.thorough and self.watched is None:
            # One more epoch, off the clock: it shows the wait for batches, and that the loss falls.
            self.watched = self.pipeline.watch_training()
            epochs.append(self.watched.epoch)
            self.transfer_seconds = self._time_transfers()
        waited = self.watched and self.watched.data_wait_seconds
        return {
            "images": sum(epoch.images for epoch in result),
            "losses": [epoch.loss for epoch in epochs],
            "accuracies": [epoch.accuracy for epoch in epochs],
            "loss": result[-1].loss,
            "accuracy": result[-1].accuracy,
            "data_wait_fraction": waited / self.watched.seconds if self.watched and waited else waited,
            "transfer_seconds": self.transfer_seconds,
        }

    def _time_transfers(self) -> float | None:
        """Return how long moving takes between the devices of a split model, of a step; the median."""
        move = self.pipeline.transfers()
        if move is None:
            return None
        seconds = []
        for _ in range(MOVES):
            self.pipeline.synchronize()
            start = perf_counter()
            move()
            self.pipeline.synchronize()
            seconds.append(perf_counter() - start)
        return median(seconds)

    @classmethod
    def validate(cls, ran: Executions) -> Iterator[str]:
        expected = ran.workload.epochs * len(ran.manifest.train)
        learns = len(ran.manifest.train) >= UPDATES_TO_LEARN * ran.case.batch_size * ran.case.accumulate
        for outcome in ran.outcomes:
            images, losses = outcome["images"], outcome["losses"]
            if images != expected:
                yield f"trained on {images} images, not {expected}"
            if not all(map(isfinite, losses)):
                yield f"loss per epoch is not finite: {losses}"
            elif learns and len(losses) > 1 and losses[-1] >= losses[0]:
                yield f"loss per epoch does not fall: {losses}"

    @classmethod
    def least_work(cls, case: Case, workload: Workload, outcome: Outcome) -> Amounts:
        operations = case.built_network.training_operations(workload.classes, workload.input_size)
        return {**decoded(case, outcome["images"]), "operations": float(outcome["images"]) * operations}
