"""Stage `evaluation`: loss and accuracy of a trained model over the whole test split."""

from math import isfinite

import pytest


@pytest.mark.stage("evaluation")
def test_evaluation(measure, record, manifest, workload, case):
    measurement = measure()

    for execution in measurement.executions:
        outcome = execution.outcome
        assert outcome["images"] == len(manifest.test), (
            f"saw {outcome['images']} of {len(manifest.test)} images"
        )
        assert isfinite(outcome["loss"]), f"loss is {outcome['loss']}"
        # One image may fall on the other side of a tie: batches differ in size. Below float32 more may, where
        # `tuned` folds BatchNorm, which rounds otherwise (4 of 400 in bfloat16).
        ties = 1.5 if case.precision == "float32" else 1.5 + 0.02 * outcome["images"]
        off = abs(outcome["accuracy"] - outcome["expected_accuracy"]) * outcome["images"]
        expected = outcome["expected_accuracy"]
        assert off < ties, f"accuracy {outcome['accuracy']}, but the logits say {expected}"
        chance = 1 / workload.classes
        noise = 4 * (chance / outcome["images"]) ** 0.5
        assert outcome["accuracy"] > chance - noise, f"accuracy {outcome['accuracy']} is below chance"
    for process in measurement.processes:
        accuracies = {sample.outcome["accuracy"] for sample in [process.cold, *process.rounds]}
        assert len(accuracies) == 1, f"one model, evaluated several times, has accuracies {accuracies}"

    record(measurement)
