"""Cases that hang or eat memory fail alone, and `--threads` binds them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from stagebench.case import Case, Workload
from stagebench.run.process import WorkerProcess
from suite import ANY_FRAMEWORK


def saved_cases(suite):
    (run,) = suite.saved()
    return [(b["extra_info"]["stage"], b["extra_info"]["workers"]) for b in run["benchmarks"]]


@pytest.fixture
def faulty(suite, monkeypatch):
    """Return a function that runs two stages in two cases, one of which has a fault in the second stage."""

    def run(fault, *options):
        script = {"training": {"fault": fault, "workers": 2}}
        monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps(script))
        return suite.run("--cache=on", "--workers=0,2", "--stages=data_loading,training", *options)

    return run


@pytest.mark.fault("a worker process that takes longer than `--stage-timeout`", "ended; says where it was")
def test_a_stage_that_hangs_is_ended_and_fails_its_case_alone(suite, faulty):
    result = faulty("hang", "--stage-timeout=3")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "simulated-*-workers2-* (cold, execute) took longer than --stage-timeout=3 s; its *",
            "*frameworks/simulated/pipeline.py*in _act",
        ]
    )
    assert saved_cases(suite) == [("data_loading", 0), ("data_loading", 2), ("training", 0)]


@pytest.mark.fault("a worker process that runs out of memory", "its case fails")
@pytest.mark.nightly("fills 3 GB; a pull request tries too low a limit")
@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no limit on address space")
def test_a_case_that_eats_the_memory_fails_alone(suite, faulty, monkeypatch):
    suite.within = ["bash", "-c", 'ulimit -v 3000000; exec "$@"', "-"]
    result = faulty("eat_memory")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines("*MemoryError*")
    assert ("training", 2) not in saved_cases(suite)


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


CASE = Case("simulated", "simulated")


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
