"""Stage `model_saving`: the model in a new file, closed and complete."""

import pytest


@pytest.mark.stage("model_saving")
def test_model_saving(measure, record):
    measurement = measure()

    for execution in measurement.executions:
        difference = execution.outcome["logit_difference"]
        assert difference <= 1e-5, f"the saved model's logits differ by {difference:.1e} from the model's own"

    record(measurement)
