"""Stage `training`: `--epochs` epochs over the training split, each time from the same initial weights."""

from math import isfinite

import pytest

BATCHES_TO_LEARN = 5
"""Batches an epoch from which on its loss falls: the first step or two may raise it."""


@pytest.mark.stage("training")
def test_training(measure, record, manifest, workload, case):
    measurement = measure()

    images = workload.epochs * len(manifest.train)
    for execution in measurement.executions:
        losses = execution.outcome["losses"]
        assert execution.outcome["images"] == images, (
            f"trained on {execution.outcome['images']} images, not {images}"
        )
        assert all(map(isfinite, losses)), f"loss per epoch is not finite: {losses}"
        if len(losses) > 1 and len(manifest.train) >= BATCHES_TO_LEARN * case.batch_size:
            assert losses[-1] < losses[0], f"loss per epoch does not fall: {losses}"

    record(measurement)
