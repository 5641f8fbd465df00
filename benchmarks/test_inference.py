"""Stage `inference`: calls of the deployed model, one batch each."""

import pytest

from stagebench.stages.quality import faults


@pytest.mark.stage("inference")
def test_inference(measure, record, case):
    measurement = measure()

    for execution in measurement.executions:
        if wrong := "; ".join(faults(case, execution.outcome)):
            pytest.fail(f"the deployed model failed its check: {wrong}", pytrace=False)

    record(measurement)
