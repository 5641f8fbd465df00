"""Worker processes: one framework in each, none in pytest, and nothing left of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import packages_distributions
from itertools import groupby, islice
from pathlib import Path

import psutil
import pytest

from alive import is_alive
from stagebench.frameworks import INSTALLED
from stagebench.run.environments import NEEDED
from stagebench.run.process import WorkerError, WorkerProcess
from stagebench.run.schedule import turns
from suite import wait_for

WATCHER = """
import sys

def pytest_sessionfinish():
    frameworks = {"torch", "tensorflow", "keras", "torchvision"} & set(sys.modules)
    print("frameworks in the pytest process:", sorted(frameworks))
    with open("/proc/self/status") as status:
        print(next(line for line in status if line.startswith("VmHWM")))
"""


@pytest.fixture
def watched(suite, monkeypatch):
    (suite.folder / "watcher.py").write_text(WATCHER)
    monkeypatch.setenv("PYTHONPATH", str(suite.folder))
    return suite


REAL = ",".join(INSTALLED)


@pytest.mark.parametrize(
    ("option", "frameworks"),
    [
        ("--collect-only", REAL),
        ("--stages=model_building", "simulated"),
        pytest.param(
            "--stages=model_building", REAL, marks=pytest.mark.nightly("sessions of both frameworks")
        ),
    ],
)
def test_no_framework_is_imported_in_the_pytest_process(watched, option, frameworks):
    options = ("-p", "watcher", "-s", option, "--cache=on")
    result = watched.run(*options, frameworks=frameworks, fresh=True)

    assert result.ret == 0
    assert "frameworks in the pytest process: []" in result.stdout.str()
    peak_kib = int(result.stdout.str().partition("VmHWM:")[2].split()[0])
    assert peak_kib < 250 * 1024, f"the pytest process took {peak_kib / 1024:.0f} MiB"


def test_rounds_of_a_group_interleave():
    assert "".join(islice(turns("AB"), 3)) == "ABBAAB"
    assert "".join(islice(turns("ABC"), 2)) == "ABCCBA"


@pytest.mark.fault(
    "a worker process that dies of {name}",
    "its case fails with the signal and the process's last words",
)
@pytest.mark.parametrize(("fault", "name"), [("kill", "SIGKILL"), ("segfault", "SIGSEGV")])
def test_a_worker_process_that_dies_fails_its_case_alone(suite, monkeypatch, fault, name):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": {"fault": fault, "workers": 2}}))
    result = suite.run("--cache=on", "--workers=0,2", "--stages=data_loading,training,evaluation")

    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(f"simulated-cpu-*-workers2-*: the worker process was killed by {name}*")
    if fault == "kill":
        result.stdout.fnmatch_lines("simulated: about to be killed")
    (run,) = suite.saved()
    saved = [(b["extra_info"]["stage"], b["extra_info"]["workers"]) for b in run["benchmarks"]]
    assert saved == [
        (stage, workers)
        for stage in ("data_loading", "training", "evaluation")
        for workers in (0, 2)
        if (stage, workers) != ("training", 2)
    ]


def start(suite):
    """Start the suite without waiting for it, and wait until it measures the stage that hangs."""
    process = suite.start('{"training": {"fault": "hang"}}', "--cache=on")
    wait_for(process, "[2/6] model_building")
    pytest_process = psutil.Process(process.pid)
    wait_until(lambda: any(is_worker(child) for child in pytest_process.children()))
    return process, pytest_process.children(recursive=True)


def is_worker(process):
    try:
        return "sys.stdin.readline" in " ".join(process.cmdline())  # how execnet starts a process
    except psutil.NoSuchProcess:
        return False


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.05)


def test_ctrl_c_keeps_what_is_finished_and_leaves_no_process(suite):
    process, children = start(suite)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    (run,) = suite.saved()
    assert [b["extra_info"]["stage"] for b in run["benchmarks"]] == ["data_loading", "model_building"]
    wait_until(lambda: not any(is_alive(child) for child in children))


@pytest.mark.skipif(not hasattr(os, "posix_spawn") or os.uname().sysname != "Linux", reason="Linux only")
def test_killed_pytest_leaves_no_worker_process(suite):
    process, children = start(suite)
    process.kill()
    process.communicate()

    wait_until(lambda: not any(is_alive(child) for child in children))


@pytest.mark.nightly("a session of torch")
def test_data_loading_processes_share_the_cache_and_leave_nothing(suite):
    if "torch" not in INSTALLED:
        pytest.skip("torch is not installed")
    before = shared_memory()
    result = suite.run("--cache=on", "--workers=2", "--stages=data_loading", frameworks="torch")

    result.assert_outcomes(passed=1)
    left = {name for name in shared_memory() - before if name.startswith("torch")}
    assert not left, f"shared memory left behind: {left}"


def shared_memory():
    return {path.name for path in Path("/dev/shm").iterdir()}  # noqa: S108  # looked at, not written to


def test_groups_are_measured_one_after_the_other(suite):
    result = suite.run("--workers=0,2", "--stages=training")

    lines = [line for line in result.outlines if line.startswith("[")]
    assert [number for number, _ in groupby(line.split("]")[0] for line in lines)] == ["[1/2", "[2/2"]


@pytest.mark.fault("a worker process whose interpreter is no Python", "its case fails")
def test_a_worker_process_that_cannot_start_says_so(tmp_path):
    with pytest.raises(WorkerError, match="case: /bin/false could not be started as a worker process"):
        WorkerProcess("case", tmp_path, python="/bin/false")


@pytest.mark.nightly("a session of TensorFlow")
def test_a_users_keras_settings_change_nothing(suite, monkeypatch):
    if "tensorflow" not in INSTALLED:
        pytest.skip("tensorflow is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    (suite.folder / "keras.json").write_text('{"floatx": "float16"}')
    monkeypatch.setenv("KERAS_HOME", str(suite.folder))

    result = suite.run("--cache=on", "--stages=model_saving", frameworks="tensorflow")

    result.assert_outcomes(passed=1)


IMPORTED = """
import sys
before = {*sys.modules, *sys.stdlib_module_names}
import stagebench.run.worker
import stagebench.frameworks.simulated.pipeline
print(*{name.partition(".")[0] for name in sys.modules} - before)
"""


def test_a_worker_process_needs_no_more_packages_than_other_environments_are_asked_for():
    command = [sys.executable, "-c", IMPORTED]
    imported = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    assert set(imported) & set(packages_distributions()) <= {"stagebench", *NEEDED}
