"""Environments, noise floors, precision, and the verdicts that the summary gives."""

from __future__ import annotations

import json
import re
import sys

import pytest

from stagebench.report.verdicts import NOTHING_TO_COMPARE
from stagebench.results.file import run_of
from stagebench.run import schedule

OTHER = f"--env=simulated@b={sys.executable}"
TWO_CASES = "--workers=0,1"
TRAINING = ("--cache=on", "--stages=training")


@pytest.fixture(autouse=True)
def own_cache(suite, monkeypatch, tmp_path):
    """A cache folder, and so noise floors, of the test's own; and a terminal that the table fits."""
    monkeypatch.setenv("STAGEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path / "cache"


def summary(result):
    return end_of(result.stdout.str())


def end_of(text):
    return text.partition("- stagebench -")[2]


SLOW = json.dumps({"training": {"cost": {"seconds": 0.05}, "workers": 1}})
"""The case with one worker takes 50 ms; the one with none takes next to nothing."""


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", SLOW)


@pytest.fixture
def equal(monkeypatch):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": {"cost": {"seconds": 0.05}}}))


def test_environments_of_one_framework_are_compared(suite):
    result = suite.run(*TRAINING, OTHER)

    result.assert_outcomes(passed=2)
    (run,) = suite.saved()
    infos = [benchmark["extra_info"] for benchmark in run["benchmarks"]]
    assert {(info["framework"], info["environment"]) for info in infos} == {
        ("simulated", "simulated"),
        ("simulated", "simulated@b"),
    }
    assert len({benchmark["group"] for benchmark in run["benchmarks"]}) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("jax=python", "'jax=python' is not NAME=PYTHON"),
        ("torch", "'torch' is not NAME=PYTHON"),
        ("torch@=python", "'torch@=python' is not NAME=PYTHON"),
        ("torch@1/2=python", "label '1/2' in 'torch@1/2=python' has more than letters"),
        ("torch@b=/no/such/python", "'/no/such/python', the Python of torch@b, is not a file"),
    ],
)
def test_a_wrong_environment_is_a_usage_error(suite, value, message):
    result = suite.run(f"--env={value}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str().replace("\n", " ")


def test_an_environment_named_twice_is_a_usage_error(suite):
    result = suite.run(OTHER, OTHER)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("ERROR: --env names simulated@b more than once")


def test_an_environment_without_its_framework_is_skipped_with_the_reason(suite):
    (suite.folder / "python").write_text("#!/bin/sh\necho '{}'\n")
    (suite.folder / "python").chmod(0o755)
    result = suite.run(*TRAINING, "--env=torch@none=python", "-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines("*torch@none: torch and torchvision and * not installed there; try: *")


def test_an_environment_that_is_no_python_is_skipped_with_the_reason(suite):
    result = suite.run(*TRAINING, "--env=torch@none=/bin/false", "-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines("*torch@none: /bin/false does not answer as a Python: *")


def test_one_process_gives_a_verdict_where_the_difference_is_large(suite, slow):
    text = summary(suite.run(*TRAINING, TWO_CASES))

    assert re.search(r"\ntraining  simulated, 0w \S+x faster \(", text)


def test_one_process_of_equal_cases_is_unknown_and_says_what_would_settle_it(suite, equal):
    text = summary(suite.run(*TRAINING, TWO_CASES))

    told = " ".join(text.split())
    assert re.search(r" training inconclusive: simulated, \dw [\d.]+x \([\d.]+ to [\d.]+\); ", told)
    assert re.search(r"; --processes=\d+ may settle it, at least \d+ s more ", told)


def test_every_run_of_two_processes_adds_to_what_is_known_and_a_saved_run_keeps_it(suite, own_cache, equal):
    for _ in range(3):
        suite.run(*TRAINING, TWO_CASES, "--processes=2")

    entries = json.loads((own_cache / "noise.json").read_text())
    assert len([entry for entry in entries if "spread" in entry]) == 3
    assert len([entry for entry in entries if "level" in entry]) == 6
    records = [run["stagebench"] for run in suite.saved()]
    assert [len(record["known"]) for record in records] == [0, 1, 2]
    assert [len(record["drifts"]) for record in records] == [0, 0, 1]
    groups = [run_of("", run).groups[0] for run in suite.saved()]
    ratios = [next(iter(group.ratios.values())) for group in groups]
    assert ratios[0].freedom < ratios[1].freedom < ratios[2].freedom


def test_of_another_workload_or_machine_nothing_is_known(suite, own_cache, equal):
    suite.run(*TRAINING, TWO_CASES, "--processes=2")
    suite.run(*TRAINING, TWO_CASES, "--epochs=2")
    entries = json.loads((own_cache / "noise.json").read_text())
    for entry in entries:
        entry["machine"]["cpu"]["brand_raw"] = "Another CPU"
    (own_cache / "noise.json").write_text(json.dumps(entries))
    suite.run(*TRAINING, TWO_CASES)

    assert [run["stagebench"]["known"] for run in suite.saved()] == [[], [], []]


def test_a_damaged_noise_file_holds_nothing_and_is_put_aside(suite, own_cache, equal):
    own_cache.mkdir()
    (own_cache / "noise.json").write_text('[{"log_ratios": "many"}]')
    suite.run(*TRAINING, TWO_CASES, "--processes=2").assert_outcomes(passed=2)

    assert (own_cache / "noise.damaged").exists()
    assert json.loads((own_cache / "noise.json").read_text())


def test_a_a_comparisons_are_measured_and_printed(suite, own_cache, equal):
    result = suite.run(*TRAINING, "--noise", "--processes=5")

    result.stdout.re_match_lines(
        [r"A/A comparison of training, simulated: spread [\d.]+% from process to process, 5 pairs"]
    )
    (entry,) = [one for one in json.loads((own_cache / "noise.json").read_text()) if "spread" in one]
    assert entry["freedom"] == 5
    assert entry["kinds"][0] == entry["kinds"][1]


def test_what_counts_as_a_difference_is_kept_with_the_run(suite, slow):
    suite.run(*TRAINING, TWO_CASES, "--smallest=2%")

    (run,) = suite.saved()
    assert run["stagebench"]["smallest"] == 0.02
    assert run_of("", run).groups[0].smallest == 0.02


@pytest.mark.alone
def test_precision_goes_on_until_the_interval_is_narrow(suite, monkeypatch, equal):
    monkeypatch.setattr(schedule, "PRECISE_PROCESSES", 4)
    result = suite.run(*TRAINING, OTHER, "--within=30%")

    result.stdout.fnmatch_lines("*training: *; within +-30% after 4 processes")
    (run,) = suite.saved()
    assert {b["extra_info"]["stopped_by"] for b in run["benchmarks"]} == {"precision"}
    assert {b["extra_info"]["processes"] for b in run["benchmarks"]} == {4}


def test_precision_ends_when_its_time_is_spent(suite, equal):
    result = suite.run(*TRAINING, OTHER, "--within=0.0001%", "--max-time=3")

    result.stdout.fnmatch_lines("*training: *; +-*% when --max-time=3 was spent, after * processes")
    (run,) = suite.saved()
    assert {b["extra_info"]["stopped_by"] for b in run["benchmarks"]} == {"max_time"}


def test_an_interval_is_not_asked_of_a_case_alone(suite, equal):
    result = suite.run(*TRAINING, "--within=1%", "--processes=2")

    result.assert_outcomes(passed=1)
    (run,) = suite.saved()
    assert run["benchmarks"][0]["extra_info"]["processes"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--within=2",), "argument --within: '2' is not a percentage such as 2%"),
        (("--within=0%",), "argument --within: '0' is not a number above 0"),
        (("--smallest=0.1%",), "argument --smallest: '0.1%' is not a percentage from 0.5% to 100%"),
        (("--max-time=10",), "--max-time limits --within, which is not given"),
        (("--stage-timeout=0",), "argument --stage-timeout: '0' is not a number above 0"),
    ],
)
def test_a_wrong_limit_is_a_usage_error(suite, options, message):
    result = suite.run(*options)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str().replace("\n", " ")


ROW = r"^training +.*x faster \(.*\)$"
BENCHMARK_TABLE = "Name (time in"


def test_the_verdicts_stand_first_and_last_around_pytest_benchmarks_own_tables(suite, slow):
    first, own, last = suite.run(*TRAINING, TWO_CASES).stdout.str().partition(BENCHMARK_TABLE)

    assert own
    assert re.findall(ROW, first, re.M) == re.findall(ROW, last, re.M) != []


def test_quiet_leaves_the_verdicts_alone(suite, slow):
    text = suite.run(*TRAINING, TWO_CASES, "-q").stdout.str()

    assert BENCHMARK_TABLE not in text
    assert len(re.findall(ROW, text, re.M)) == 1
    assert "break-even" not in text


def test_quiet_says_what_a_setting_costs(suite, equal):
    text = suite.run(*TRAINING, "--execution=default,eager", "-q").stdout.str()

    assert re.search(
        r"^training, simulated, 0w: --execution=eager takes .* as --execution=default", text, re.M
    )


def test_quiet_says_how_long_a_single_case_takes(suite, equal):
    text = suite.run(*TRAINING, "--execution=eager", "-q").stdout.str()

    assert re.search(r"^ +simulated eager, 0w +[\d.]+ ms", text, re.M), text
    assert NOTHING_TO_COMPARE in text
    assert BENCHMARK_TABLE not in text
