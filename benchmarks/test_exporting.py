"""Stage `exporting`: a file that holds the trained model in the form that is deployed."""

import pytest

from stagebench.stages.quality import faults


@pytest.mark.stage("exporting")
def test_exporting(measure, record, case):
    measurement = measure()

    for execution in measurement.executions:
        if wrong := "; ".join(faults(case, execution.outcome)):
            pytest.fail(f"the deployed model failed its check: {wrong}", pytrace=False)

    record(measurement)
