"""Stage `model_building`: the model and its optimiser with all variables in place on the device."""

import pytest


@pytest.mark.stage("model_building")
def test_model_building(measure, validate, record):
    measurement = measure()
    validate(measurement)  # the same model each time
    record(measurement)
