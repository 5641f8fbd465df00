"""Stage `data_loading`: one epoch of training batches delivered on the device, every batch read."""

import pytest


@pytest.mark.stage("data_loading")
def test_data_loading(measure, validate, record):
    measurement = measure()
    validate(measurement)  # every training image once
    record(measurement)
