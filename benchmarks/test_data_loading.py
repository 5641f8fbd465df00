"""Stage `data_loading`: one epoch of training batches delivered on the device, every batch read."""

import numpy as np
import pytest


@pytest.mark.stage("data_loading")
def test_data_loading(measure, record, manifest):
    measurement = measure()

    expected = np.bincount(manifest.labels("train")).tolist()
    for execution in measurement.executions:
        assert execution.outcome["images_per_class"] == expected, "an epoch is not every training image once"

    record(measurement)
