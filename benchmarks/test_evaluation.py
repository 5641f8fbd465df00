"""Stage `evaluation`: loss and accuracy of a trained model over the whole test split."""

import pytest


@pytest.mark.stage("evaluation")
def test_evaluation(measure, validate, record):
    measurement = measure()
    validate(measurement)  # every test image; the accuracy is that of the logits
    record(measurement)
