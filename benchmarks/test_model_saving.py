"""Stage `model_saving`: the model in a new file, closed and complete."""

import pytest


@pytest.mark.stage("model_saving")
def test_model_saving(measure, validate, record):
    measurement = measure()
    validate(measurement)  # the file makes the same logits
    record(measurement)
