"""Stage `training`: `--epochs` epochs over the training split, each time from the same initial weights."""

import pytest


@pytest.mark.stage("training")
def test_training(measure, validate, record):
    measurement = measure()
    validate(measurement)  # every image once an epoch; the loss is finite and falls
    record(measurement)
