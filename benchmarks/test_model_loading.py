"""Stage `model_loading`: from the file to a model ready to predict on the device."""

import pytest


@pytest.mark.stage("model_loading")
def test_model_loading(measure, validate, record):
    measurement = measure()
    validate(measurement)  # the file makes the same logits
    record(measurement)
