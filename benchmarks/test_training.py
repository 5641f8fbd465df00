"""Stage `training`: `--epochs` epochs over the training split, each time from the same initial weights."""

from math import isfinite

import pytest


@pytest.mark.stage("training")
def test_training(measure, record, manifest, workload):
    measurement = measure()

    images = workload.epochs * len(manifest.train)
    for execution in measurement.executions:
        losses = execution.outcome["losses"]
        assert execution.outcome["images"] == images, (
            f"trained on {execution.outcome['images']} images, not {images}"
        )
        assert all(map(isfinite, losses)), f"loss per epoch is not finite: {losses}"
        assert len(losses) == 1 or losses[-1] < losses[0], f"loss per epoch does not fall: {losses}"

    record(measurement)
