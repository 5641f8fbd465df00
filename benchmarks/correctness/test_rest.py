"""What a worker process does in a round and no longer after it: the cases beside it are undisturbed."""

from __future__ import annotations

import platform
import sys
import time

import pytest

from stagebench.case import Case, Workload
from stagebench.datasets.processors import usable_threads
from stagebench.frameworks import FRAMEWORKS
from stagebench.run import clock
from stagebench.run.process import WorkerProcess


def set_up_training(process, framework, folder, dataset):
    """Bring a worker process to where training begins."""
    workers = "auto" if FRAMEWORKS[framework].chooses_workers else 0
    case = Case(framework, framework, workers=workers)
    process.send_open(case, Workload(100), dataset)
    process.receive()
    process.request("set_up", stage="training", folder=folder)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_a_process_takes_no_memory_anew_in_every_step(framework, second_worker, tmp_path, small_dataset):
    """Else many a torch process touches 40,000 pages anew in every round."""
    process = second_worker(framework)
    set_up_training(process, framework, tmp_path, small_dataset)
    faults = [process.request("execute")["page_faults"] for _ in range(6)]

    assert min(faults[1:]) < 1000, f"page faults by round: {faults}"


@pytest.mark.alone
@pytest.mark.nightly("a process of its own, with as many threads as there are processors")
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells")
def test_a_process_that_waits_does_not_compute(framework, tmp_path, small_dataset):
    with WorkerProcess("case", tmp_path, threads=usable_threads()) as process:
        set_up_training(process, framework, tmp_path, small_dataset)
        waiting = 0.0
        for _ in range(4):
            process.request("execute")
            before = process._process.cpu_times()
            time.sleep(0.3)
            after = process._process.cpu_times()
            waiting += after.user + after.system - before.user - before.system

    assert waiting <= 0.03, f"computed for {waiting:.2f} s of 1.2 s in which it was to wait"


def test_a_process_is_at_rest_when_its_threads_are(monkeypatch):
    """The clock of a process whose threads spin for 8 ms after their work, and then sleep."""
    readings = iter([0.000, 0.005, 0.005, 0.008, 0.008, 0.0081, 9, 9])
    naps = []
    monkeypatch.setattr(clock.time, "process_time", lambda: next(readings))
    monkeypatch.setattr(clock.time, "sleep", naps.append)
    clock.come_to_rest()

    assert len(naps) == 3
