"""What `--benchmark-compare` compares with is known, or refused, before anything is measured."""

from __future__ import annotations

import json

import pytest

from suite import BENCHMARKS

QUICK = ("--cache=on", "--stages=training")
GATED = ("--benchmark-compare", "--benchmark-compare-fail=median:100%")


@pytest.fixture(autouse=True)
def steady(suite, monkeypatch):
    """A stage of 50 ms, of which no run takes twice as long as another."""
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": {"cost": {"seconds": 0.05}}}))


def refused(result):
    """Check that nothing was measured, and return what is said."""
    text = " ".join((result.stderr.str() + result.stdout.str()).split())
    assert result.ret == pytest.ExitCode.USAGE_ERROR, text
    assert "collected" not in text
    assert "Traceback" not in text
    return text


@pytest.mark.fault("a first run, with nothing to compare with", "measured; says that it is the baseline")
def test_a_first_run_is_the_baseline_of_the_next(suite):
    first = suite.run(*QUICK, *GATED)
    second = suite.run(*QUICK, *GATED)

    first.assert_outcomes(passed=1)
    assert first.ret == second.ret == 0
    said = "this run is the baseline, and --benchmark-compare-fail passes"
    first.stdout.fnmatch_lines(f"stagebench: nothing to compare with yet in */.benchmarks: {said}")
    assert "Can't compare" not in first.stdout.str()
    assert said not in second.stdout.str()
    assert "(NOW)" in second.stdout.str()


@pytest.mark.parametrize(
    "wanted", ["0042", "no/such/run.json", "Other-Machine/0001", "damaged.json", "/0001", "a/**b", "a" * 300]
)
def test_a_run_that_is_not_there_or_is_damaged_is_refused(suite, wanted):
    (suite.folder / "damaged.json").write_text("{")
    said = refused(suite.run(*QUICK, f"--benchmark-compare={wanted}"))

    assert f"--benchmark-compare={wanted}: there is no such run, or none that can be read, in " in said


@pytest.mark.parametrize("path", [f"{BENCHMARKS}", f"{BENCHMARKS}/test_training.py::test_training"])
def test_a_path_that_the_option_has_swallowed_is_refused_with_the_right_order(suite, path):
    said = refused(suite.run(*QUICK, "--benchmark-compare", path))

    assert f"--benchmark-compare has taken {path} for itself" in said
    assert f"; write: pytest {path} --benchmark-compare" in said


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (GATED[1:], "--benchmark-compare-fail needs --benchmark-compare"),
        ((*GATED, "--benchmark-disable"), "--benchmark-compare-fail needs times; --benchmark-disable and "),
    ],
)
def test_a_gate_that_would_judge_nothing_is_refused(suite, options, why):
    assert why in refused(suite.run(*QUICK, *options))


def test_cases_that_the_baseline_has_not_are_counted_before_they_are_measured(suite):
    suite.run(*QUICK)
    result = suite.run(*QUICK, "--workers=0,1", "--benchmark-compare")

    result.stdout.fnmatch_lines(["stagebench: 1 of 2 cases are not in the run to compare with", "[[]1/1[]]*"])
