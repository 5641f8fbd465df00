"""The table of faults in README.md is that of the tests."""

from __future__ import annotations

import faults

LEAST_ROWS = 60


def test_every_fault_in_the_readme_has_its_test(pytester):
    collected = faults.Collected()
    pytester.runpytest_inprocess(*faults.COLLECT, plugins=[collected])

    assert len(collected.rows) >= LEAST_ROWS
    assert faults.README.read_text() == faults.written(collected.rows), (
        "python benchmarks/correctness/faults.py"
    )
