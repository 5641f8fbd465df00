"""Stage `exporting`: a file that holds the trained model in the form that is deployed."""

import pytest


@pytest.mark.stage("exporting")
def test_exporting(measure, validate, record):
    measurement = measure()
    validate(measurement)  # the file makes the same logits
    record(measurement)
