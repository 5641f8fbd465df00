"""Other plugins of pytest, present or absent: they change no measurement, and nothing untrue is said."""

from __future__ import annotations

import io
import json

import pytest

from stagebench.case import Case, Workload
from stagebench.plugin.progress import Progress
from stagebench.run.conditions import Conditions, Schedule
from stagebench.run.environments import Environment
from stagebench.run.sample import Failure
from stagebench.run.session import Session
from stagebench.statistics.ranking import width_of
from suite import BENCHMARKS

QUICK = ("--cache=on", "--stages=training")
TWO = (*QUICK, "--workers=0,1")
NO_TIMES = "no times are taken under pytest-xdist (-n): each case was executed once, and checked"


@pytest.fixture
def takes(monkeypatch):
    """Return a function that sets how many seconds training takes, or what else happens in it."""
    return lambda **happens: monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": happens}))


@pytest.mark.parametrize("absent", ["terminal", "capture", "warnings", "logging"])
def test_a_session_without_a_part_of_pytest_measures_saves_and_reports(suite, absent):
    result = suite.run(*QUICK, "-p", f"no:{absent}", "--report=out.html")

    assert result.ret == 0
    assert len(suite.saved()[0]["benchmarks"]) == 1
    assert (suite.folder / "out.html").exists()
    assert list((suite.folder / ".benchmarks/journal").iterdir()) == []


def test_a_regression_fails_without_a_terminal_too(suite, takes):
    suite.run(*QUICK)
    takes(cost={"seconds": 0.3})
    gate = ("--benchmark-compare", "--benchmark-compare-fail=median:100%")
    result = suite.run(*QUICK, *gate, "-p", "no:terminal", fresh=True)  # it ends in an exception

    assert result.ret == 1
    result.stderr.fnmatch_lines("*Performance has regressed*")


def test_under_xdist_each_case_is_checked_once_and_the_summary_says_that_no_times_are_taken(suite, takes):
    pytest.importorskip("xdist")
    takes(fault="raise", workers=1)
    options = ("-p", "xdist", "-n2", "--report=out.html", "-q")
    result = suite.run(*TWO, *options, fresh=True)

    result.assert_outcomes(passed=1, failed=1)
    assert result.stdout.str().count(NO_TIMES) == 1
    result.stdout.fnmatch_lines("stagebench: no report in out.html: nothing was measured")
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert suite.saved() == []


def test_under_xdist_a_run_whose_cases_are_all_skipped_is_no_success(suite, monkeypatch):
    pytest.importorskip("xdist")
    monkeypatch.setenv("PATH", "")  # no nvidia-smi, whatever the machine has
    options = ("--devices=cuda", "--cache=on", "--stages=training", "-p", "xdist", "-n2")
    result = suite.run(*options, fresh=True)

    result.assert_outcomes(skipped=1)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines("stagebench: nothing was measured: every case was skipped")
    assert NO_TIMES not in result.stdout.str()


REPEATING = """
def pytest_generate_tests(metafunc):
    metafunc.fixturenames.append("step")
    metafunc.parametrize("step", range(2))
"""  # as pytest-repeat does
TWICE = {"file": ("--keep-duplicates", f"{BENCHMARKS}/test_training.py"), "test": ("-p", "repeating")}


@pytest.mark.parametrize("what", TWICE)
def test_a_case_that_is_collected_twice_is_measured_once(suite, pytester, what):
    (suite.folder / "repeating.py").write_text(REPEATING)
    pytester.syspathinsert()
    result = suite.run(*QUICK, *TWICE[what])

    result.assert_outcomes(passed=1)
    assert len(suite.saved()[0]["benchmarks"]) == 1


def test_cases_keep_their_order_however_they_are_shuffled(suite, pytester):
    (suite.folder / "reversing.py").write_text(
        "import pytest\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_collection_modifyitems(items):\n"
        "    items.reverse()\n"
    )
    pytester.syspathinsert()
    options = ("--workers=0,1", "--batch-sizes=8,4", "--collect-only", "-q")
    usual, reverse = (suite.run(*options, *more).outlines for more in ((), ("-p", "reversing")))

    tests = [line for line in usual if "::" in line]
    assert len(tests) == 27
    assert tests == [line for line in reverse if "::" in line]


def test_a_time_limit_of_tests_ends_no_group(suite, takes):
    pytest.importorskip("pytest_timeout")
    takes(cost={"seconds": 0.2})
    result = suite.run(*TWO, "--timeout=0.1")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines("stagebench: --timeout ends no stage, *--stage-timeout does")
    assert result.stdout.str().count("[1/1]") == 1


def test_what_ends_a_group_ends_it_for_all_its_cases(monkeypatch, tmp_path, small_dataset):
    begun = []

    def end(*_):
        begun.append("group")
        pytest.fail("Timeout")

    monkeypatch.setattr("stagebench.run.session.measure_group", end)
    environments = {"simulated": Environment("simulated", "simulated")}
    conditions = Conditions(Workload(100), small_dataset, environments, Schedule())
    first, second = (("training", Case("simulated", "simulated", workers=number)) for number in range(2))
    observer = Progress(io.StringIO())
    with Session([first, second], conditions, tmp_path, None, observer, width_of, lambda _: {}) as session:
        with pytest.raises(pytest.fail.Exception, match="Timeout"):
            session.measured(*first)

        assert session.measured(*second) == Failure("its group was not measured: Timeout")
    assert len(begun) == 1


def test_a_case_that_fails_is_not_repeated_and_stands_once_in_the_run(suite, takes):
    pytest.importorskip("pytest_rerunfailures")
    takes(fault="raise", workers=1)
    result = suite.run(*TWO, "--reruns=2")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines("stagebench: --reruns repeats no stage; --resume measures again *")
    assert len(suite.saved()[0]["stagebench"]["not_measured"]) == 1


def test_an_option_that_another_plugin_has_too_is_a_usage_error(suite, pytester):
    (suite.folder / "other_profiler.py").write_text(
        "def pytest_addoption(parser):\n    parser.getgroup('profiling').addoption('--profile')\n"
    )
    pytester.syspathinsert()
    result = suite.run(*QUICK, "-p", "other_profiler")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("ERROR: --profile is an option of stagebench; another plugin has *-p no:NAME")
