"""Stage `inference`: calls of the deployed model, one batch each."""

import pytest


@pytest.mark.stage("inference")
def test_inference(measure, validate, record):
    measurement = measure()
    validate(measurement)  # the same logits, or nearly the same answers
    record(measurement)
