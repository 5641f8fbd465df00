"""Stage `quantization`: from the trained model to a file of int8 weights."""

import pytest

from stagebench.stages.quality import faults


@pytest.mark.stage("quantization")
def test_quantization(measure, record, case):
    measurement = measure()

    for execution in measurement.executions:
        if wrong := "; ".join(faults(case, execution.outcome)):
            pytest.fail(f"the deployed model failed its check: {wrong}", pytrace=False)

    record(measurement)
