"""Time slices: cases share every moment, what they wait for counts, and stopped time is on no clock."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from contextlib import ExitStack

import psutil
import pytest

from alive import is_alive
from stagebench.case import Case, Workload
from stagebench.run import process as process_module
from stagebench.run.process import Patience, WorkerError, WorkerProcess
from stagebench.run.slices import Execution, execute_in_slices, overlap

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the CPU clock of a process")

COMPUTES = {"seconds": 0.5, "computing": 1.0}
SLEEPS = {"seconds": 0.3}


@pytest.fixture
def processes(tmp_path, monkeypatch, small_dataset):
    """Return a function that starts a process of `simulated` for each script of its training."""
    with ExitStack() as stack:

        def start(*scripts):
            started = []
            for script in scripts:
                monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": script}))
                folder = tmp_path / str(len(started))
                folder.mkdir()
                worker = stack.enter_context(WorkerProcess("case", folder))
                worker.send_open(Case("simulated", "simulated"), Workload(4), small_dataset)
                worker.receive()
                worker.request("set_up", stage="training", folder=folder)
                assert worker.can_pause
                started.append(worker)
            return started

        yield start


def rounds_of(*workers, expected=0.5, **patience):
    executions = [Execution(worker, expected, Patience(**patience)) for worker in workers]
    execute_in_slices(executions)
    return executions


def stood_still(execution):
    """Seconds of the round in which the process stood still."""
    began = execution.answer["began"]
    return overlap(execution.pauses, began, began + execution.answer["seconds"])


def test_processes_that_compute_take_turns_and_stand_still_meanwhile(processes):
    executions = rounds_of(*processes({"cost": COMPUTES}, {"cost": COMPUTES}))

    assert all(len(execution.pauses) >= 3 for execution in executions)
    first, second = executions
    for since, to in first.pauses:  # the other one ran, and did not run beside it
        assert overlap(second.pauses, since, to) < 0.5 * (to - since)
    for execution in executions:
        own = execution.answer["seconds"] - stood_still(execution)
        assert execution.answer["cpu_seconds"] < own < execution.answer["seconds"] - 0.1


def test_what_a_process_waits_for_counts_in_full(processes):
    sleeping, computing = rounds_of(*processes({"cost": SLEEPS}, {"cost": COMPUTES}))

    assert sleeping.answer["seconds"] - stood_still(sleeping) >= 0.3
    assert not sleeping.pauses
    assert computing.answer["seconds"] - stood_still(computing) >= computing.answer["cpu_seconds"] - 0.01


def test_a_round_that_takes_three_times_as_long_is_spread_over_the_same_moments(processes):
    long = {"cost": {"seconds": 1.5, "computing": 1.0}}
    workers = processes({"cost": COMPUTES}, long)
    executions = [Execution(w, seconds, Patience()) for w, seconds in zip(workers, (0.5, 1.5), strict=True)]
    execute_in_slices(executions)

    short, long = executions
    rest = long.answer["began"] + long.answer["seconds"] - short.answer["began"] - short.answer["seconds"]
    assert rest < 0.5 * long.answer["seconds"], "the long round was alone for most of its time"


def test_loader_processes_stand_still_with_their_worker_process(processes):
    (worker,) = processes({"cost": COMPUTES})
    loader = "__import__('subprocess').Popen([__import__('sys').executable, '-c', 'while True: pass'])"
    target = "stagebench.frameworks.simulated.pipeline:Pipeline.layers"
    worker.request("patch", target=target, replacement=f"lambda self: [{loader}.pid]")
    (pid,) = worker.request("call", target="pipeline", method="layers", arguments=[])

    while not worker.pause():  # it computes nothing itself, but its loader does
        time.sleep(0.01)
    states = {psutil.Process(pid).status() for _ in range(20) if not time.sleep(0.01)}
    worker.resume()

    assert psutil.STATUS_STOPPED in states


@pytest.mark.fault(
    "a worker process that dies, hangs or raises while another one is stopped", "its case fails"
)
@pytest.mark.parametrize("fault", ["kill", "segfault", "raise", "hang", "stop"])
def test_what_happens_to_one_process_leaves_the_other_alone(processes, fault, monkeypatch):
    monkeypatch.setattr(process_module, "IDLE_SECONDS", 1.0)
    bad, good = rounds_of(*processes({"cost": COMPUTES, "fault": fault}, {"cost": COMPUTES}))

    assert isinstance(bad.error, WorkerError)
    assert good.error is None
    assert good.answer["outcome"]["images"]


def test_a_stopped_process_loses_no_time(processes):
    executions = rounds_of(*processes(*[{"cost": COMPUTES}] * 4))

    for execution in executions:
        stood = sum(to - since for since, to in execution.pauses)
        assert execution.patience.waited < 0.6 * (execution.patience.waited + stood)


def test_time_is_up_where_the_process_itself_took_too_long(processes):
    executions = rounds_of(*processes({"cost": COMPUTES}, {"cost": COMPUTES}), timeout=0.1, doing="round 1")

    assert all("(round 1) took longer than --stage-timeout=0.1 s" in str(e.error) for e in executions)


# --- whole sessions


CASES = ("--stages=training", "--workers=0,1,2", "--cache=on", "--rounds=3")
LONG = json.dumps({"training": {"cost": {"seconds": 0.4, "computing": 1.0}}})


@pytest.mark.parametrize("interleave", ["slices", "rounds"])
def test_how_cases_were_interleaved_is_saved(suite, monkeypatch, interleave):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", LONG)
    suite.run(*CASES, f"--interleave={interleave}").assert_outcomes(passed=3)

    (run,) = suite.saved()
    assert {one["extra_info"]["interleave"] for one in run["benchmarks"]} == {interleave}


def test_one_case_alone_is_not_sliced(suite):
    suite.run("--stages=training", "--cache=on").assert_outcomes(passed=1)

    (run,) = suite.saved()
    assert run["benchmarks"][0]["extra_info"]["interleave"] == "rounds"


def in_slices(process):
    """Wait until one of a session's worker processes is stopped; return all of them."""
    for _ in range(400):
        time.sleep(0.05)
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children(recursive=True)
            if any(child.status() == psutil.STATUS_STOPPED for child in children):
                return children
    raise AssertionError("no process was stopped")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "after",
    [0.0, *(pytest.param(n / 20, marks=pytest.mark.nightly("further moments")) for n in range(1, 20))],
)
def test_ending_pytest_while_processes_are_stopped_leaves_no_process(suite, how, after):
    process = suite.start(LONG, *CASES, "--rounds=9")
    children = in_slices(process)
    time.sleep(after)
    process.send_signal(how)
    process.communicate(timeout=60)

    deadline = time.monotonic() + 20
    while any(is_alive(child) for child in children):
        assert time.monotonic() < deadline, "a process is left"
        time.sleep(0.05)


def test_a_session_that_is_stopped_and_continued_goes_on(suite):
    process = suite.start(LONG, *CASES)
    in_slices(process)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(2)
    os.kill(process.pid, signal.SIGCONT)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 0, output
    (run,) = suite.saved()
    for one in run["benchmarks"]:  # 2 s would be seen in any round
        assert max(one["stats"]["data"]) < 1.5 + 0.4, "the time in which pytest stood still counts"


def test_what_a_process_waits_for_is_a_figure_of_its_own(suite, monkeypatch):
    half = {"seconds": 0.6, "computing": 0.5, "turn": 0.3}
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": {"cost": half}}))
    suite.run("--stages=training", "--cache=on").assert_outcomes(passed=1)

    (run,) = suite.saved()
    for seconds, idle in zip(
        run["benchmarks"][0]["stats"]["data"], run["benchmarks"][0]["extra_info"]["idle_seconds"], strict=True
    ):
        assert 0.1 < idle < 0.9 * seconds
