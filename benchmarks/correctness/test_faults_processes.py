"""Processes that fail or are ended: nothing hangs, nothing finished is lost, nothing is left behind."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from alive import is_alive
from pair import Pair
from stagebench.datasets.locks import locked, try_lock
from stagebench.datasets.processors import usable_threads
from stagebench.frameworks import INSTALLED
from stagebench.run import process as process_module
from stagebench.run.process import WorkerProcess
from stagebench.run.scratch import scratch_folder
from stagebench.stages import PIPELINE
from suite import wait_for

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # looked at, not written to
BY_LOADER = ["matched", pytest.param("tuned", marks=pytest.mark.nightly("a second process of torch"))]
TRAIN = ("call", {"target": "pipeline", "method": "train", "arguments": [1]})


@pytest.fixture
def faulty(suite, monkeypatch):
    """Return a function that runs two cases of two stages, one of which has a fault."""

    def run(fault, stage="training", **how):
        monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({stage: {"fault": fault, "workers": 2}}))
        return suite.run("--cache=on", "--stages=data_loading,training", "--workers=0,2", **how)

    return run


@pytest.fixture
def left(tmp_path, monkeypatch):
    """Return a function that lists what sessions have left in the temporary folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return lambda: sorted(path.name for path in tmp_path.glob("stagebench-*"))  # folders and locks


# --- a worker process


@pytest.mark.fault(
    "a worker process in which all work comes to a {fault}",
    "ended after five minutes without work; says where it hung",
)
@pytest.mark.parametrize("fault", ["stop", "hang"])
def test_a_process_that_computes_nothing_is_ended_also_without_a_timeout(failing, monkeypatch, fault):
    monkeypatch.setattr(process_module, "IDLE_SECONDS", 1.5)
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": {"fault": fault}}))

    assert "has computed nothing for 1.5 s; its worker process was ended" in failing("simulated", TRAIN)


@pytest.mark.fault("a worker process that dies while it starts", "its case fails")
def test_a_process_that_dies_while_it_starts_fails_its_case_alone(faulty):
    result = faulty("kill", stage="opening")

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines("simulated-*-workers2-*: the worker process was killed by SIGKILL*")


@pytest.mark.fault("a worker process that dies while it sends a result", "its case fails")
def test_a_process_that_dies_while_it_sends_is_an_error(failing):
    half = "io.write(b'\\x07\\0\\0') or io.outfile.flush() or os.kill(os.getpid(), signal.SIGKILL)"
    of_execnet = "for io in gc.get_objects() if type(io).__name__ == 'Popen2IO'"
    target, replacement = "stagebench.run.worker:encode", f"lambda value: [{half} {of_execnet}]"

    found = failing("simulated", ("patch", {"target": target, "replacement": replacement}), TRAIN)

    assert found.startswith("case: the worker process was killed by SIGKILL")


@pytest.mark.fault("a worker process that prints 50 MB", "measured")
def test_megabytes_on_stdout_are_no_answer_and_stop_nothing(faulty):
    result = faulty("babble", fresh=True)

    result.assert_outcomes(passed=4)
    assert "babble" not in result.stdout.str()


@pytest.mark.fault("a pipeline that raises an error", "its case fails with one sentence, then the traceback")
def test_what_a_pipeline_raises_stands_in_one_sentence_before_its_traceback(faulty):
    result = faulty("raise")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines("simulated-*-workers2-*: the pipeline raised an error: simulated failure")


@pytest.mark.fault("a loader process that is killed", "its case fails with that reason")
@pytest.mark.skipif("torch" not in INSTALLED, reason="torch is not installed")
@pytest.mark.parametrize("recipe", BY_LOADER)
def test_a_loader_process_that_is_killed_is_named(failing, recipe):
    reads = {"matched": "data:JpegImages.__getitem__", "tuned": "tuned.data:JpegFiles.__getitems__"}
    patch = {
        "target": f"stagebench.frameworks.torch.{reads[recipe]}",
        "replacement": "lambda self, index: __import__('os').kill(__import__('os').getpid(), 9)",
    }
    load = ("call", {"target": "pipeline", "method": "load_data", "arguments": []})

    found = failing("torch", ("patch", patch), load, workers=2, recipe=recipe)

    assert found.startswith("case: a loader process of --workers died: DataLoader worker (pid")
    assert "Traceback" not in found


@pytest.mark.fault("loader processes forked beside threads", "they work")
@pytest.mark.skipif("torch" not in INSTALLED, reason="torch is not installed")
@pytest.mark.parametrize("recipe", BY_LOADER)
def test_loader_processes_are_forked_safely_after_threads_have_computed(tmp_path, small_dataset, recipe):
    with WorkerProcess("torch", tmp_path, threads=usable_threads()) as worker:
        (pipeline,) = Pair({"torch": worker}, small_dataset).pipelines(workers=2, recipe=recipe)
        pipeline.build_model()
        for _ in range(3):
            pipeline.train(1)  # all threads compute, then loader processes are forked, and so on
            assert pipeline.evaluate()["images"] == 110


LOADER = """
import multiprocessing
from stagebench.frameworks.lifetime import end_with_parent

multiprocessing.set_start_method("fork")
end_with_parent({parent}, 0)
print("lives")
"""


@pytest.mark.fault("a loader process whose worker process ends while it starts", "ends too")
def test_a_loader_process_whose_parent_has_ended_ends_at_once():
    """Torch's own check takes whoever is the parent by then for the one that has started it."""

    def start(parent):
        command = [sys.executable, "-c", LOADER.format(parent=parent)]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    orphan = start(1)

    assert start(os.getpid()).stdout == "lives\n"
    assert (orphan.stdout, orphan.returncode) == ("", 1)


# --- pytest itself


def interrupt_twice(process, pause):
    process.send_signal(signal.SIGINT)
    time.sleep(pause)
    process.send_signal(signal.SIGINT)


WAYS = {
    "Ctrl-C": lambda process, pause: process.send_signal(signal.SIGINT),
    "Ctrl-C twice": interrupt_twice,
    "SIGTERM": lambda process, pause: process.send_signal(signal.SIGTERM),
    "kill -9": lambda process, pause: process.kill(),
}


@pytest.mark.fault(
    "a session that ends by {way}",
    "no process left, no half file; `--resume` completes the run",
)
@pytest.mark.parametrize(
    "moment",
    [0, *(pytest.param(n, marks=pytest.mark.nightly("a moment beyond the first")) for n in (1, 2, 3))],
)
@pytest.mark.parametrize(
    "way",
    [
        "kill -9",
        "Ctrl-C twice",
        *(
            pytest.param(way, marks=pytest.mark.nightly("has a test of its own"))
            for way in ("Ctrl-C", "SIGTERM")
        ),
    ],
)
def test_however_and_whenever_a_session_ends_the_next_one_completes_it(suite, left, way, moment):
    chance = random.Random(f"{way} {moment}")
    script = {stage: {"cost": {"seconds": 0.03}} for stage in PIPELINE}
    options = ("--cache=on", f"--processes={2 if moment else 1}")
    process = suite.start(json.dumps(script), *options)
    wait_for(process, "benchmark")
    time.sleep(chance.uniform(0, 4 if moment else 1))
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    WAYS[way](process, chance.uniform(0, 0.5))
    output, _ = process.communicate(timeout=60)

    psutil.wait_procs(children, timeout=20)
    assert not [child for child in children if is_alive(child)], "processes are left"
    for path in suite.folder.glob(".benchmarks/*/*.json"):
        json.loads(path.read_text())
    finished = 0 if process.returncode == 0 else len(re.findall(r"^\[\d/6\] \w+: cpu", output, re.MULTILINE))

    result = suite.run(*options, "--resume")

    result.assert_outcomes(passed=6)
    assert result.stdout.str().count("taken from the interrupted run") >= finished
    assert [b["extra_info"]["stage"] for b in suite.saved()[-1]["benchmarks"]] == list(PIPELINE)
    assert left() == []


@pytest.mark.fault("`kill -9` beside loader processes", "no process and no shared memory left")
@pytest.mark.nightly("waits for torch's loader processes: up to half a minute")
@pytest.mark.skipif("torch" not in INSTALLED or not SHARED_MEMORY.is_dir(), reason="no torch, or no /dev/shm")
def test_kill_9_while_loader_processes_run_leaves_no_process_and_no_shared_memory(suite):
    before = {path.name for path in SHARED_MEMORY.iterdir()}
    options = ("--frameworks=torch", "--workers=2", "--stages=data_loading", "--rounds=100000")
    process = psutil.Process(suite.start("{}", *options).pid)
    deadline = time.monotonic() + 240  # on a machine with much else to do
    while len(children := process.children(recursive=True)) < 5:  # two workers' loaders, and the limits
        assert time.monotonic() < deadline, "no loader processes have been started"
        time.sleep(0.01)
    process.kill()

    psutil.wait_procs(children, timeout=20)
    assert not [child for child in children if is_alive(child)], "processes are left"
    assert not [name for name in {path.name for path in SHARED_MEMORY.iterdir()} - before if "torch" in name]


@pytest.mark.fault("SIGTERM", "saves what is finished, as Ctrl-C does")
def test_sigterm_saves_what_is_finished_like_ctrl_c(suite, left):
    process = suite.start('{"training": {"fault": "hang"}}', "--cache=on")
    wait_for(process, "[2/6] model_building")
    while len(left()) < 4:  # until training has begun: folder and lock of the session and of the group
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)

    assert process.returncode == pytest.ExitCode.INTERRUPTED
    (run,) = suite.saved()
    assert [b["extra_info"]["stage"] for b in run["benchmarks"]] == ["data_loading", "model_building"]


@pytest.mark.fault("`kill -9`: temporary files", "go with the next session")
def test_the_folder_of_a_killed_session_goes_with_the_next_and_that_of_a_living_one_stays(suite, left):
    process = suite.start('{"training": {"fault": "hang"}}', "--cache=on")
    wait_for(process, "[2/6] model_building")
    while not left():
        time.sleep(0.05)
    of_the_first = left()
    with scratch_folder():
        assert set(of_the_first) < set(left())
    process.kill()
    process.communicate()

    assert left() == of_the_first
    with scratch_folder() as folder:
        name = folder.resolve().name  # it goes by a shorter one
        assert left() == [name, f"{name}.lock"]
    assert left() == []


def test_a_lock_whose_file_its_holder_removes_is_taken_on_a_new_file(tmp_path):
    """Else a session whose lock was taken for a leftover would hold one that excludes nobody."""
    path, told = tmp_path / "lock", []
    holder = locked(path)

    def waiting():
        told.append("waiting")
        path.unlink()
        holder.close()

    with locked(path, waiting), path.open() as other:
        assert not try_lock(other)
    assert told == ["waiting"]


@pytest.mark.fault("temporary files of another program, of a like name", "left alone")
def test_a_folder_of_another_program_is_left_alone(tmp_path, left):
    (tmp_path / "stagebench-venv").mkdir()
    for name in ("stagebench-venv/.lock", "stagebench-venv.lock"):
        (tmp_path / name).touch()
    with scratch_folder():
        pass

    assert left() == ["stagebench-venv", "stagebench-venv.lock"]
