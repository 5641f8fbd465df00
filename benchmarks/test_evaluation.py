"""Stage `evaluation`: loss and accuracy of a trained model over the whole test split."""

from math import isfinite

import pytest


@pytest.mark.stage("evaluation")
def test_evaluation(measure, record, manifest, workload):
    measurement = measure()

    for execution in measurement.executions:
        outcome = execution.outcome
        assert outcome["images"] == len(manifest.test), (
            f"saw {outcome['images']} of {len(manifest.test)} images"
        )
        assert isfinite(outcome["loss"]), f"loss is {outcome['loss']}"
        # One image may fall on the other side of a tie: batches differ in size.
        off = abs(outcome["accuracy"] - outcome["expected_accuracy"]) * outcome["images"]
        assert off < 1.5, f"accuracy {outcome['accuracy']}, but the logits say {outcome['expected_accuracy']}"
        chance = 1 / workload.classes
        noise = 4 * (chance / outcome["images"]) ** 0.5
        assert outcome["accuracy"] > chance - noise, f"accuracy {outcome['accuracy']} is below chance"
    for process in measurement.processes:
        accuracies = {sample.outcome["accuracy"] for sample in [process.cold, *process.rounds]}
        assert len(accuracies) == 1, f"one model, evaluated several times, has accuracies {accuracies}"

    record(measurement)
