"""Environments, noise floors, precision, and the verdicts that the summary gives."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from stagebench.run import schedule
from suite import start_suite

OTHER = f"--env=simulated@b={sys.executable}"
RIVAL = "--workers=0,1"
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


@pytest.fixture(scope="module")
def floor(tmp_path_factory):
    """What a session has said that measured the noise floors, and the file in which it has kept them."""
    folder = tmp_path_factory.mktemp("floor")
    variables = {"STAGEBENCH_CACHE": str(folder / "cache"), "COLUMNS": "120"}
    session = start_suite(folder, SLOW, *TRAINING, RIVAL, "--processes=3", "--noise", **variables)
    output, _ = session.communicate()
    assert session.returncode == 0, output
    return output, folder / "cache" / "noise.json"


@pytest.fixture
def equal(monkeypatch):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": {"cost": {"seconds": 0.05}}}))


def test_environments_of_one_framework_are_rivals(suite):
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


def test_one_process_gives_a_marked_interval_and_no_verdict(suite, slow):
    text = summary(suite.run(*TRAINING, RIVAL))

    assert "over rounds of one process: process-to-process variation is not in it" in text
    assert ")* UNKNOWN" in text
    assert "UNKNOWN: fewer than 3 processes a case: give --processes=5." in text


def test_without_a_noise_floor_there_is_no_verdict(suite, slow):
    text = summary(suite.run(*TRAINING, RIVAL, "--processes=3"))

    assert "UNKNOWN: no noise floor: run once more with --noise and the same options." in text


def test_a_noise_floor_once_measured_serves_later_runs(suite, own_cache, floor, slow):
    first, noise = floor
    own_cache.mkdir()
    shutil.copy(noise, own_cache)
    second = suite.run(*TRAINING, RIVAL, "--processes=3")
    other_workload = suite.run(*TRAINING, RIVAL, "--processes=3", "--epochs=2")

    for text in (end_of(first), summary(second)):
        assert "again" not in text, "an A/A copy is no case of the user's"
        assert " SLOWER" in text
        assert " FASTER" in text
    assert "UNKNOWN: noise floor of another workload" in summary(other_workload)


def test_a_noise_floor_of_another_machine_serves_no_run(suite, own_cache, floor, slow):
    entries = json.loads(floor[1].read_text())
    own_cache.mkdir()
    for entry in entries:
        entry["machine"]["cpu"]["brand_raw"] = "Another CPU"
    (own_cache / "noise.json").write_text(json.dumps(entries))
    result = suite.run(*TRAINING, RIVAL, "--processes=3")

    assert "UNKNOWN: noise floor of another machine" in summary(result)


def test_a_damaged_noise_file_holds_no_floor_and_is_put_aside(suite, own_cache, slow):
    own_cache.mkdir()
    (own_cache / "noise.json").write_text('[{"log_ratios": "many"}]')
    result = suite.run(*TRAINING, RIVAL, "--processes=3")

    assert "UNKNOWN: no noise floor" in summary(result)
    assert (own_cache / "noise.damaged").exists()


def test_noise_floors_are_measured_in_five_processes_and_printed(suite, own_cache, equal):
    result = suite.run(*TRAINING, "--noise")

    result.stdout.re_match_lines([r"noise floor of training, simulated-cpu-.*-matched, 5 processes: [\d.]+%"])
    (entry,) = json.loads((own_cache / "noise.json").read_text())
    assert len(entry["log_ratios"]) == 5


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
        (("--max-time=10",), "--max-time limits --within, which is not given"),
        (("--stage-timeout=0",), "argument --stage-timeout: '0' is not a number above 0"),
    ],
)
def test_a_wrong_limit_is_a_usage_error(suite, options, message):
    result = suite.run(*options)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str().replace("\n", " ")
