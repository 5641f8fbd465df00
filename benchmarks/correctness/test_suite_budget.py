"""Time goes where it decides: processes that live on, and further ones for groups that are undecided."""

from __future__ import annotations

import json
from itertools import groupby

import pytest

from stagebench.case import Case, Workload
from stagebench.run import pool as pool_module
from stagebench.run.pool import WorkerPool
from stagebench.run.process import WorkerProcess

TWO_CASES = ("--cache=on", "--workers=0,1", "--rounds=1")
EQUAL = {"cost": {"seconds": 0.02, "process_noise": 0.05}}
CLEAR = {"cost": {"seconds": 0.02, "process_noise": 0.01}, "workers": 1}
"""The other one takes microseconds."""


@pytest.fixture
def started(monkeypatch):
    """Return the list of the worker processes that are started."""
    names = []
    start = WorkerPool.start

    def noted(self, name, *arguments, **options):
        names.append(name)
        return start(self, name, *arguments, **options)

    monkeypatch.setattr(WorkerPool, "start", noted)
    return names


def processes_of(run):
    return {one["extra_info"]["stage"]: one["extra_info"]["processes"] for one in run["benchmarks"]}


def test_each_case_has_a_fresh_process_and_later_ones_are_shared_by_the_stages(suite, started):
    stages = "--stages=data_loading,model_building,training"
    suite.run("--cache=on", stages, "--processes=3").assert_outcomes(passed=3)

    (run,) = suite.saved()
    for one in run["benchmarks"]:
        info = one["extra_info"]
        assert (info["processes"], info["rounds_per_process"]) == (3, [2, 2, 2])
        assert info["fresh_processes"] == (3 if info["stage"] == "data_loading" else 1)
    assert len(started) == 3 + 1 + 1


def test_a_process_is_shared_by_cases_that_set_it_up_alike_alone(started, tmp_path):
    case = Case("simulated", "simulated")
    with WorkerPool() as pool:
        worker = pool.start(case.id, "python3")
        pool.keep(case, worker, "training", most=1)
        other_home = [
            Case("simulated", "simulated", workers=2),
            Case("simulated", "simulated@other"),
            Case("simulated", "simulated", recipe="tuned"),
        ]

        assert not any(pool.take(other, "evaluation") for other in other_home)
        assert pool.take(case, "training") is None, "it has measured this group already"
        assert pool.take(Case("simulated", "simulated", cache="off", batch_size=4), "training") is worker
        assert pool.take(case, "evaluation") is None, "it is taken"


def test_no_process_is_kept_where_half_of_the_memory_is_taken(monkeypatch):
    case = Case("simulated", "simulated")
    monkeypatch.setattr(pool_module, "memory_bytes", {"ever": 16, "now": 8}.__getitem__)
    with WorkerPool() as pool:
        worker = pool.start(case.id, "python3")
        pool.keep(case, worker, "training", most=9)

        assert pool.take(case, "evaluation") is None
        assert not worker.lives


def test_the_model_to_evaluate_is_trained_once_and_by_a_process_that_measures_nothing_then(
    suite, started, monkeypatch
):
    set_up = []
    send = WorkerProcess.send

    def noted(self, method, /, **arguments):
        set_up.extend([self] * (method == "set_up"))
        send(self, method, **arguments)

    monkeypatch.setattr(WorkerProcess, "send", noted)
    suite.run("--cache=off,on", "--stages=evaluation", "--processes=1").assert_outcomes(passed=2)

    assert len(started) == 1 + 2
    assert len(set_up) == len(set(set_up)) == 1 + 2


def test_a_failed_process_serves_no_other_stage(suite, started, monkeypatch):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"data_loading": {"fault": "raise", "workers": 1}}))
    result = suite.run(*TWO_CASES, "--stages=data_loading,training", "--processes=2")

    result.assert_outcomes(passed=3, failed=1)
    of_failed = [name for name in started if "workers1" in name]
    assert len(of_failed) == 1 + 2


def test_an_undecided_group_gets_further_processes_and_a_decided_one_none(suite, monkeypatch):
    script = {"data_loading": CLEAR, "training": EQUAL}
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps(script))
    result = suite.run(
        *TWO_CASES, "--stages=data_loading,training", "--processes=3", "--budget=60", "--rounds=3"
    )

    result.assert_outcomes(passed=4)
    (run,) = suite.saved()
    processes = processes_of(run)
    assert processes["data_loading"] == 3
    assert processes["training"] in (5, 8, 12, 20)
    result.stdout.fnmatch_lines(
        "1 of 2 groups inconclusive; starting 2 more processes of each case of training:*"
    )


def test_a_spent_budget_is_said_and_everything_is_measured_once(suite, monkeypatch):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": EQUAL}))
    result = suite.run(*TWO_CASES, "--stages=training", "--processes=3", "--budget=0.01")

    result.assert_outcomes(passed=2)
    assert processes_of(*suite.saved()) == {"training": 3}
    result.stdout.fnmatch_lines(
        "1 of 1 groups inconclusive; what is left of the budget of 0.01 s is too short"
    )


@pytest.mark.parametrize("fixed", [("--processes=1",), ("--processes=2", "--within=50%")])
def test_who_fixes_the_number_of_processes_has_no_budget(suite, monkeypatch, fixed):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": EQUAL}))
    result = suite.run(*TWO_CASES, "--stages=training", *fixed, "--max-time=1" if len(fixed) > 1 else "-q")

    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*groups inconclusive*")


def test_what_was_continued_is_resumed_with_all_its_processes(suite, monkeypatch):
    script = {"training": EQUAL, "evaluation": {"fault": "raise"}}
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps(script))
    options = (*TWO_CASES, "--stages=training,evaluation", "--processes=3", "--budget=60")
    suite.run(*options).assert_outcomes(passed=2, failed=2)
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": EQUAL}))
    suite.run(*options, "--resume").assert_outcomes(passed=4)

    first, second = suite.saved()
    assert processes_of(second)["training"] >= processes_of(first)["training"] > 3


def test_groups_are_measured_in_order_also_with_a_budget(suite):
    result = suite.run("--workers=0,2", "--stages=training", "--processes=3", "--budget=0.01")

    lines = [line for line in result.outlines if line.startswith("[")]
    assert [number for number, _ in groupby(line.split("]")[0] for line in lines)] == ["[1/2", "[2/2"]


def test_a_worker_process_that_is_kept_gives_up_what_it_held(tmp_path, small_dataset):
    with WorkerProcess("case", tmp_path) as worker:
        for cache in ("on", "off"):
            worker.send_open(Case("simulated", "simulated", cache=cache), Workload(100), small_dataset)
            worker.receive()
            worker.request("set_up", stage="training", folder=tmp_path)
            assert worker.request("execute")["outcome"]["images"] == 230
