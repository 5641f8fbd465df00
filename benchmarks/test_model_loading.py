"""Stage `model_loading`: from the file to a model ready to predict on the device."""

import pytest


@pytest.mark.stage("model_loading")
def test_model_loading(measure, record):
    measurement = measure()

    for execution in measurement.executions:
        difference = execution.outcome["logit_difference"]
        assert difference <= 1e-5, (
            f"the loaded model's logits differ by {difference:.1e} from the saved one's"
        )

    record(measurement)
