"""Stage `evaluation`: loss and accuracy of a trained model over the whole test split."""

from math import isfinite

import pytest


@pytest.mark.stage("evaluation")
def test_evaluation(measure, record, manifest):
    measurement = measure()

    for execution in measurement.executions:
        outcome = execution.outcome
        assert outcome["images"] == len(manifest.test), (
            f"saw {outcome['images']} of {len(manifest.test)} images"
        )
        assert isfinite(outcome["loss"]), f"loss is {outcome['loss']}"
        assert 0 <= outcome["accuracy"] <= 1, f"accuracy is {outcome['accuracy']}"
    accuracies = {execution.outcome["accuracy"] for execution in measurement.executions}
    assert len(accuracies) == 1, f"one model, evaluated several times, has accuracies {accuracies}"

    record(measurement)
