"""Cases that hang or eat memory fail alone, and `--threads` binds them."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import pytest

from stagebench.case import Case, Workload
from stagebench.measurement import worker as worker_module
from stagebench.measurement.process import WorkerProcess
from stagebench.pipelines import FRAMEWORKS
from suite import ANY_FRAMEWORK


def saved_cases(suite):
    (run,) = suite.saved()
    return [(b["extra_info"]["stage"], b["extra_info"]["workers"]) for b in run["benchmarks"]]


@pytest.fixture
def faulty(suite, monkeypatch):
    """Return a function that runs two stages in two cases, one of which has a fault in the second stage."""

    def run(fault, *options):
        script = {"model_building": {"fault": fault, "workers": 2}}
        monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps(script))
        return suite.run("--cache=on", "--workers=0,2", "--stages=data_loading,model_building", *options)

    return run


@pytest.mark.fault("a worker process that takes longer than `--stage-timeout`", "ended; says where it was")
def test_a_stage_that_hangs_is_ended_and_fails_its_case_alone(suite, faulty):
    result = faulty("hang", "--stage-timeout=3")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "simulated-*-workers2-* (cold, execute) took longer than --stage-timeout=3 s; its *",
            "*pipelines/simulated/__init__.py*in _act",
        ]
    )
    assert saved_cases(suite) == [("data_loading", 0), ("data_loading", 2), ("model_building", 0)]


@pytest.mark.fault("a worker process that runs out of memory", "its case fails")
@pytest.mark.nightly("fills 3 GB; a pull request tries too low a limit")
@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no limit on address space")
def test_a_case_that_eats_the_memory_fails_alone(suite, faulty, monkeypatch):
    suite.within = ["bash", "-c", 'ulimit -v 3000000; exec "$@"', "-"]
    result = faulty("eat_memory")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines("*MemoryError*")
    assert ("model_building", 2) not in saved_cases(suite)


@pytest.mark.fault(
    "a system that runs out of memory and looks for a victim",
    "it takes the worker process, not pytest",
)
@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_where_memory_runs_out_the_system_ends_a_worker_process_and_not_pytest(tmp_path, small_dataset):
    with WorkerProcess("case", tmp_path) as process:
        process.send_open(CASE, Workload(4), small_dataset)
        process.receive()
        score = Path(f"/proc/{process._process.pid}/oom_score_adj").read_text()

    assert int(score) == 1000


CASE = Case("simulated", "cpu", 32, 0, "on", "on", "matched", "simulated")


@pytest.mark.parametrize("name", ANY_FRAMEWORK)
def test_threads_are_pinned_in_every_framework_alike(suite, name):
    result = suite.run("--cache=on", "--stages=training", "--threads=1", frameworks=name)

    result.assert_outcomes(passed=1)
    (run,) = suite.saved()
    (benchmark,) = run["benchmarks"]
    assert benchmark["extra_info"]["threads"] == 1
    for seconds, cpu_seconds in zip(
        benchmark["stats"]["data"], benchmark["extra_info"]["cpu_seconds"], strict=True
    ):
        assert cpu_seconds <= 1.1 * seconds + 0.02, "more than one processor has computed"


@pytest.fixture(scope="session")
def rounds(framework, process_of, tmp_path_factory, small_dataset):
    """Page faults of six rounds of training that retains memory, and seconds computed in 0.3 s after each."""
    process = process_of(framework)
    workers = "auto" if FRAMEWORKS[framework].chooses_workers else 0
    case = Case(framework, "cpu", 32, workers, "on", "on", "matched", framework)
    process.send_open(case, Workload(100), small_dataset, retain_memory=True)
    process.receive()
    process.request("set_up", stage="training", folder=tmp_path_factory.mktemp("training"))
    page_faults, waiting = [], []
    for _ in range(6):
        page_faults.append(process.request("execute")["page_faults"])
        before = process._process.cpu_times()
        time.sleep(0.3)
        after = process._process.cpu_times()
        waiting.append(after.user + after.system - before.user - before.system)
    return page_faults, waiting


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_a_process_that_retains_memory_takes_none_anew_in_every_step(rounds):
    """Without the option many a torch process touches 40,000 pages anew in every round."""
    page_faults, _ = rounds

    assert min(page_faults[1:]) < 1000, f"page faults by round: {page_faults}"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells")
def test_a_process_that_waits_does_not_compute(rounds):
    _, waiting = rounds

    assert sum(waiting[:4]) <= 0.03, f"computed for {sum(waiting[:4]):.2f} s of 1.2 s in which it was to wait"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no processor affinity here")
def test_a_pinned_process_has_as_many_processors_as_threads(tmp_path, small_dataset):
    with WorkerProcess("case", tmp_path) as process:
        process.send_open(CASE, Workload(4), small_dataset, threads=1)
        process.receive()
        assert len(os.sched_getaffinity(process._process.pid)) == 1


def test_more_threads_than_processors_are_a_usage_error(suite):
    result = suite.run("--threads=4096")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "argument --threads: '4096' is above" in result.stderr.str()


def test_a_process_is_at_rest_when_its_threads_are(monkeypatch):
    """The clock of a process whose threads spin for 8 ms after their work, and then sleep."""
    clock = iter([0.000, 0.005, 0.005, 0.008, 0.008, 0.0081, 9, 9])
    naps = []
    monkeypatch.setattr(worker_module.time, "process_time", lambda: next(clock))
    monkeypatch.setattr(worker_module.time, "sleep", naps.append)
    worker_module._come_to_rest()

    assert len(naps) == 3
