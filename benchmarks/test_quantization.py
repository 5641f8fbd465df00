"""Stage `quantization`: from the trained model to a file of int8 weights."""

import pytest


@pytest.mark.stage("quantization")
def test_quantization(measure, validate, record):
    measurement = measure()
    validate(measurement)  # nearly the same answers, by integers, from a small file
    record(measurement)
