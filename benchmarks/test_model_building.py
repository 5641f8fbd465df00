"""Stage `model_building`: the model and its optimiser with all variables in place on the device."""

import pytest


@pytest.mark.stage("model_building")
def test_model_building(measure, record):
    measurement = measure()

    sizes = [execution.outcome for execution in measurement.executions]
    assert sizes[0]["trainable_parameters"] > 0
    assert all(size == sizes[0] for size in sizes), f"models of different sizes were built: {sizes}"

    record(measurement)
