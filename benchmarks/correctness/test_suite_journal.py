"""Nothing that is finished is lost: the journal, `--resume`, and several sessions at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from stagebench.case import Case, Workload
from stagebench.run.conditions import Conditions, Schedule
from stagebench.run.environments import Environment
from stagebench.run.fingerprint import differences, fingerprint
from stagebench.run.journal import Journal
from stagebench.run.sample import Failure
from suite import start_suite, wait_for

HANG = '{"training": {"fault": "hang"}}'
OPTIONS = ("--cache=on", "--stages=data_loading,model_building,training")


@pytest.fixture
def journals(suite):
    """Return a function that lists the journals in the suite's folder."""
    return lambda: sorted(suite.folder.glob(".benchmarks/journal/*"))


@pytest.fixture(scope="module")
def interrupted(suite_cache, tmp_path_factory):
    """A folder in which the suite was killed while it measured the third of its groups."""
    folder = tmp_path_factory.mktemp("interrupted")
    process = start_suite(folder, HANG, *OPTIONS, STAGEBENCH_CACHE=str(suite_cache))
    kill_after(process, "[2/3] model_building")
    return folder


@pytest.fixture
def journal(suite, interrupted):
    """The journal that the killed suite has left in this test's folder."""
    shutil.copytree(interrupted, suite.folder, dirs_exist_ok=True)
    (journal,) = suite.folder.glob(".benchmarks/journal/*.jsonl")
    return journal


def kill_after(process, line):
    wait_for(process, line)
    process.kill()
    process.communicate()


def lines_of(journal):
    return [json.loads(line) for line in journal.read_text().splitlines()]


def test_a_killed_session_is_resumed_with_what_it_had_finished(suite, journals):
    kill_after(suite.start(HANG, *OPTIONS, "--processes=2"), "[2/3] model_building")
    before = {line["group"]: line for line in lines_of(*journals())}
    assert suite.saved() == []
    assert [group.partition(":")[0] for group in before] == ["data_loading", "model_building"]

    result = suite.run(*OPTIONS, "--processes=2", "--resume")

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["--resume: 2 finished groups in *", "*model_building*: taken from the *"])
    (run,) = suite.saved()
    stages = [benchmark["extra_info"]["stage"] for benchmark in run["benchmarks"]]
    assert stages == ["data_loading", "model_building", "training"]
    for benchmark in run["benchmarks"][:2]:
        (measured,) = before[benchmark["group"]]["results"]
        rounds = [sample["seconds"] for process in measured["processes"] for sample in process["rounds"]]
        assert benchmark["stats"]["data"] == rounds, "not the rounds that were measured before the kill"
    assert journals() == [], "the journal of a session that ended well is left behind"


def test_a_resumed_session_says_of_which_groups_it_has_no_profile(suite, journal):
    result = suite.run(*OPTIONS, "--resume", "--profile=profiles")

    result.stdout.fnmatch_lines("*data_loading*: taken from the interrupted run, which has no profile of it")


def test_a_resumed_session_saves_what_an_uninterrupted_one_does(suite, journal):
    suite.run(*OPTIONS, "--resume")
    suite.run(*OPTIONS)

    resumed, whole = suite.saved()
    for first, second in zip(resumed["benchmarks"], whole["benchmarks"], strict=True):
        assert first.keys() == second.keys()
        assert first["extra_info"].keys() == second["extra_info"].keys()
        for name in ("fullname", "group", "params", "options"):
            assert first[name] == second[name]


def test_a_session_that_is_killed_again_loses_nothing(suite):
    kill_after(suite.start(HANG, *OPTIONS), "[1/3] data_loading")
    kill_after(suite.start(HANG, *OPTIONS, "--resume"), "[2/3] model_building")
    result = suite.run(*OPTIONS, "--resume")

    result.stdout.fnmatch_lines("--resume: 2 finished groups in *")
    assert result.stdout.str().count("taken from the interrupted run") == 2


def test_what_a_resumed_session_does_not_ask_for_stays(suite, journal, journals):
    suite.run(*OPTIONS, "--stages=model_building", "--resume").assert_outcomes(passed=1)
    assert journals() == [journal]

    result = suite.run(*OPTIONS, "--resume")

    assert result.stdout.str().count("taken from the interrupted run") == 2
    assert journals() == []


def test_a_resumed_session_with_other_options_spoils_nothing(suite, journal, journals):
    other = suite.run(*OPTIONS, "--resume", "--epochs=2")
    result = suite.run(*OPTIONS, "--resume")

    assert "not taken, measured again: workload epochs was 1, is 2" in other.stdout.str()
    assert result.stdout.str().count("taken from the interrupted run") == 2
    assert journals() == []


def test_a_group_with_an_unavailable_case_is_taken_and_one_with_a_failed_case_is_not(tmp_path):
    unavailable = {CASE: Failure("no CUDA device", unavailable=True)}
    session = Journal(tmp_path)
    session.keep("unavailable", {"code": "1"}, unavailable)
    session.keep("failed", {"code": "1"}, {CASE: Failure("it was killed")})
    session.end(well=False)
    resumed = Journal(tmp_path, resume=True)

    assert resumed.take("unavailable", {"code": "1"}, [CASE]) == unavailable
    assert resumed.take("failed", {"code": "1"}, [CASE]) == "a case has failed"
    assert resumed.take("other", {"code": "1"}, [CASE]) is None


def test_a_group_whose_check_has_failed_is_measured_again(suite, monkeypatch):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", '{"data_loading": {"fault": "lose_an_image"}}')
    suite.run(*OPTIONS).assert_outcomes(passed=2, failed=1)
    monkeypatch.delenv("STAGEBENCH_SIMULATED")
    result = suite.run(*OPTIONS, "--resume")

    result.assert_outcomes(passed=3)
    assert result.stdout.str().count("taken from the interrupted run") == 2


def test_a_damaged_line_is_measured_again(suite, journal):
    lines = lines_of(journal)
    del lines[0]["results"][0]["processes"][0]["cold"]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines) + "[1, 2]\nno JSON\n")
    result = suite.run(*OPTIONS, "--resume")

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        "*data_loading*: not taken, measured again: its line in the journal is damaged"
    )


def test_a_group_that_would_be_measured_otherwise_is_not_taken(suite, journal):
    lines = lines_of(journal)
    lines[0]["fingerprint"]["code"] = "0" * 16
    lines[1]["fingerprint"]["machine"]["cpu"]["brand_raw"] = "Another CPU"
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))

    result = suite.run(*OPTIONS, "--resume", "--learning-rate=0.01")

    result.stdout.fnmatch_lines(
        [
            "*data_loading*: not taken, measured again: "
            "workload learning_rate was 0.001, is 0.01; code was 0000000000000000, is *",
            "*model_building*: not taken, measured again: "
            "workload learning_rate was 0.001, is 0.01; machine cpu brand_raw was Another CPU, is *",
        ]
    )
    assert "taken from the interrupted run" not in result.stdout.str()


CASE = Case("simulated", "simulated")
PYTHON = {"simulated": Environment("simulated", "simulated")}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"workload": Workload(100, seed=26)}, "workload seed was 25, is 26"),
        ({"schedule": Schedule(rounds=3)}, "schedule rounds was None, is 3"),
        ({"schedule": Schedule(threads=1)}, "schedule threads was None, is 1"),
        ({"schedule": Schedule(stage_timeout=9.0, budget=9.0)}, None),  # limits that change no measurement
        ({"environments": {"simulated": Environment("simulated", "simulated", "/other")}}, "python was "),
    ],
)
def test_the_fingerprint_holds_what_the_result_depends_on(small_dataset, change, named):
    conditions = Conditions(Workload(100), small_dataset, PYTHON, Schedule())
    then, now = (fingerprint("training", [CASE], c) for c in (conditions, replace(conditions, **change)))

    found = "; ".join(differences(then, now))
    assert (named in found) if named else not found


def test_a_group_is_taken_in_another_order_of_cases_on_another_host_and_with_another_budget(
    tmp_path, small_dataset, monkeypatch
):
    cases = [replace(CASE, workers=number) for number in (9, 10)]
    then = Conditions(Workload(100), small_dataset, PYTHON, Schedule(budget=300))
    results = {case: Failure(f"{case.workers} workers", unavailable=True) for case in cases}
    session = Journal(tmp_path)
    session.keep("group", fingerprint("training", cases, then), results)
    session.end(well=False)

    monkeypatch.setattr("platform.node", lambda: "another-host")
    now = fingerprint("training", cases[::-1], replace(then, schedule=Schedule(budget=600)))
    taken = Journal(tmp_path, resume=True).take("group", now, cases[::-1])

    assert taken == results
    assert list(taken) == cases[::-1]


@pytest.mark.fault("a line of the journal that is cut off", "its group is measured again")
def test_a_line_that_was_cut_off_is_measured_again(suite, journal):
    journal.write_bytes(journal.read_bytes()[:-100])
    result = suite.run(*OPTIONS, "--resume")

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines("--resume: 1 finished groups in *")


def test_a_case_that_failed_is_measured_again(suite, journals, monkeypatch):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", '{"data_loading": {"fault": "segfault"}}')
    failed = suite.run(*OPTIONS)
    monkeypatch.delenv("STAGEBENCH_SIMULATED")
    result = suite.run(*OPTIONS, "--resume")

    failed.assert_outcomes(passed=2, failed=1)
    failed.stdout.fnmatch_lines("stagebench: --resume takes what is finished from *")
    result.assert_outcomes(passed=3)
    assert result.stdout.str().count("taken from the interrupted run") == 2
    assert len(suite.saved()[1]["benchmarks"]) == 3
    assert journals() == []


def test_with_nothing_to_resume_everything_is_measured(suite):
    result = suite.run(*OPTIONS, "--resume")

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines("--resume: no finished groups in *")


def test_a_failed_assert_in_a_hook_loses_nothing(suite, monkeypatch):
    (suite.folder / "broken.py").write_text("def pytest_benchmark_update_json():\n    assert False\n")
    monkeypatch.setenv("PYTHONPATH", str(suite.folder))
    suite.run(*OPTIONS, "-p", "broken", fresh=True)  # it ends in an exception
    assert suite.saved() == []

    result = suite.run(*OPTIONS, "--resume")

    result.stdout.fnmatch_lines("--resume: 3 finished groups in *")
    assert len(suite.saved()[0]["benchmarks"]) == 3


@pytest.mark.fault("two sessions that measure", "in turn, both save")
def test_two_sessions_at_once_measure_in_turn_and_both_save(suite):
    slow = '{"training": {"cost": {"seconds": 0.2}}}'
    options = ("--cache=on", "--stages=data_loading,training")
    sessions = [suite.start(slow, *options, f"--benchmark-json=run{n}.json") for n in range(2)]
    outputs = [session.communicate(timeout=60)[0] for session in sessions]

    assert [session.returncode for session in sessions] == [0, 0], "".join(outputs)
    assert "waiting for another session, which measures here now" in "".join(outputs)
    for number in range(2):
        run = json.loads((suite.folder / f"run{number}.json").read_text())
        assert len(run["benchmarks"]) == 2


def test_a_journal_of_a_living_session_is_not_taken(suite):
    folder = suite.folder / ".benchmarks" / "journal"
    process = suite.start(HANG, *OPTIONS)
    wait_for(process, "[2/3] model_building")
    living = Journal(folder, resume=True).groups
    process.kill()
    process.communicate()

    assert living == 0
    assert Journal(folder, resume=True).groups == 2
