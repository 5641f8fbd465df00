"""What lies around a worker process: variables, folders, and what prints when it starts."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from pair import open_pipeline
from stagebench.datasets.processors import usable_threads
from stagebench.frameworks import INSTALLED, sockets
from stagebench.frameworks.contract import UnavailableError
from stagebench.frameworks.threads import threads_by
from stagebench.run import explain, scratch
from stagebench.run.environments import Environment
from stagebench.run.launch import cleaned
from stagebench.run.process import WorkerError, WorkerProcess
from stagebench.run.scratch import scratch_folder
from stagebench.versions import versions

needs_torch = pytest.mark.skipif("torch" not in INSTALLED, reason="torch is not installed")
LOADING = ("--workers=2", "--stages=data_loading", "--cache=on")


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


# --- what prints


@pytest.fixture
def printing(tmp_path, monkeypatch):
    """Return a Python that prints before it is asked for anything, and when it ends."""

    def python(how):
        if how == "a wrapper script":
            return script(tmp_path / "python", f'echo loaded; printf more; exec {sys.executable} "$@"')
        code = "import atexit; print('loaded', end=''); atexit.register(print, 'bye')"
        (tmp_path / "sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return script(tmp_path / "python", f'exec {sys.executable} "$@"')

    return python


@pytest.mark.fault("{how} that prints a line when Python starts", "measured")
@pytest.mark.parametrize("how", ["`sitecustomize`", "a wrapper script"])
def test_what_prints_when_python_starts_is_no_answer(printing, tmp_path, how):
    python = printing(how)

    assert Environment("simulated@1", "simulated", python).missing() is None
    with WorkerProcess("case", tmp_path, python) as worker:
        assert worker.request("unpatch") is None
    assert (tmp_path / "output.txt").read_text().startswith("loaded")


@pytest.mark.fault("an interpreter that {fault}", "its case fails with that reason")
@pytest.mark.parametrize(
    ("fault", "text", "told"),
    [
        ("says why it does not start", "echo no licence; exit 3", "its last lines of output:\nno licence"),
        (
            "closes what it is to answer by",
            f'exec 3>&-; exec {sys.executable} "$@"',
            "closes file descriptor 3",
        ),
        ("is not there", None, "/python: No such file or directory"),
    ],
)
def test_an_interpreter_that_does_not_start_is_shown_with_what_it_said(tmp_path, fault, text, told):
    python = script(tmp_path / "python", text) if text else str(tmp_path / "python")

    with pytest.raises(WorkerError) as error:
        WorkerProcess("case", tmp_path, python)

    said = str(error.value)
    assert said.startswith(f"case: {python} could not be started as a worker process: it did not answer; ")
    assert told in said
    assert "Traceback" not in said


def test_why_an_interpreter_of_an_environment_does_not_answer_is_one_sentence(tmp_path):
    python = script(tmp_path / "python", "echo no licence >&2; exit 3")

    told = Environment("simulated@1", "simulated", python).missing()

    assert told == f"simulated@1: {python} does not answer as a Python: it exited with status 3: no licence"


# --- the working folder


@pytest.mark.fault("a working folder with `keras/`, `torch/` or `random.py`", "none of them is imported")
@pytest.mark.parametrize("path", ["", os.pathsep])
def test_modules_of_the_working_folder_are_not_imported(tmp_path, monkeypatch, path):
    (tmp_path / "random.py").write_text("raise RuntimeError('of the working folder')")
    (tmp_path / "of_nobody.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", path)
    python = script(tmp_path / "python", f'exec {sys.executable} "$@"')

    with WorkerProcess("case", tmp_path, python) as worker:
        assert worker.request("unpatch") is None
        with pytest.raises(WorkerError, match="No module named 'of_nobody'"):
            worker.request("patch", target="of_nobody:name", replacement="1")
    missing = Environment("simulated@1", "simulated", python).missing(modules=("of_nobody",))
    assert "of_nobody not installed there" in (missing or "")


def test_pytest_is_started_without_modules_of_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise RuntimeError('of the working folder')")
    monkeypatch.chdir(tmp_path)

    assert versions._pytest(["--version"], capture_output=True).returncode == 0


# --- variables


@pytest.mark.fault("variables that are set and empty", "as if unset")
def test_an_empty_variable_counts_as_unset(tmp_path, small_dataset, monkeypatch):
    empty = {"TF_NUM_INTRAOP_THREADS": "", "KERAS_MAX_EPOCHS": "", "CXX": "", "PYTHONPATH": ":"}
    kept = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}

    assert cleaned({**empty, **kept}) == {**kept, "PYTHONSAFEPATH": "1"}
    monkeypatch.setenv("STAGEBENCH_SIMULATED", "")
    with WorkerProcess("case", tmp_path) as worker:
        open_pipeline(worker, "simulated", small_dataset, {}).build_model()


EMPTY = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "KERAS_MAX_EPOCHS", "CXX")


@pytest.mark.nightly("a fresh process of each framework")
def test_frameworks_take_empty_variables_as_unset(framework, tmp_path, small_dataset, monkeypatch):
    for name in EMPTY:
        monkeypatch.setenv(name, "")
    with WorkerProcess(framework, tmp_path) as worker:
        pipeline = open_pipeline(worker, framework, small_dataset, {}, execution="compiled")

        assert pipeline.runtime_info()["threads"] >= 1


@pytest.mark.parametrize(
    ("value", "threads"), [("3", 3), (" 3 ", 3), ("4,2", 4), ("", 0), ("0", 0), ("-1", 0), ("auto", 0)]
)
def test_a_variable_that_gives_no_number_of_threads_leaves_it_to_the_processors(monkeypatch, value, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", value)

    assert threads_by("OMP_NUM_THREADS") == (threads or usable_threads())


# --- the temporary folder


@pytest.fixture
def long_folder(tmp_path, monkeypatch):
    """Make the temporary folder one of a long name."""
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def short_folder(monkeypatch):
    """Return a folder of a short name, the only one in which links are made."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # a short name is what it is for
    monkeypatch.setattr(scratch, "SHORT", ("/proc/nowhere", str(folder)))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.fault("`TMPDIR` with a path too long for sockets", "measured; files lie there all the same")
def test_sockets_can_be_made_where_the_path_of_the_temporary_folder_is_long(long_folder, short_folder):
    with scratch_folder() as folder:
        place = folder / "9999" / "torch-shm-dir-012345"
        place.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(place / "manager.sock"))
        (of_session,) = (path for path in long_folder.iterdir() if path.is_dir())
        assert (of_session / "9999").is_dir()

    assert [*long_folder.iterdir(), *short_folder.iterdir()] == []


def test_the_short_name_of_a_killed_session_goes_with_the_next(long_folder, short_folder):
    with scratch_folder() as folder:
        lock = folder.parent.with_suffix(".lock")
        leftover = short_folder / "stagebench-0123456789abcdef"
        shutil.copytree(folder.parent, leftover, symlinks=True)
        shutil.copy(lock, leftover.with_suffix(".lock"))
        with scratch_folder():
            assert not leftover.exists()
        assert folder.is_dir()


def test_a_long_path_stays_where_no_short_one_can_be_had(long_folder, monkeypatch):
    monkeypatch.setattr(scratch, "SHORT", ())

    with scratch_folder() as folder:
        assert folder.parent == long_folder


@pytest.mark.fault(
    "no folder whose path is short enough for sockets", "cases with loader processes are refused"
)
@needs_torch
def test_loader_processes_that_would_wait_for_ever_are_refused(tmp_path, small_dataset):
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    with WorkerProcess("torch", folder) as worker:
        open_pipeline(worker, "torch", small_dataset, {})
        with pytest.raises(UnavailableError, match=r"sockets, whose paths .* TMPDIR .* too long"):
            open_pipeline(worker, "torch", small_dataset, {}, workers=2)


@needs_torch
@pytest.mark.nightly("a session of torch")
@pytest.mark.parametrize("recipe", ["matched", "tuned"])
def test_loader_processes_work_where_the_path_of_the_temporary_folder_is_long(suite, long_folder, recipe):
    result = suite.run(*LOADING, f"--recipes={recipe}", "--stage-timeout=60", frameworks="torch")

    result.assert_outcomes(passed=1)
    assert [*long_folder.iterdir()] == []


def test_paths_of_a_usual_length_need_no_link(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")  # noqa: S108  # the default of most systems

    with scratch_folder() as folder:
        assert folder.parent == Path("/tmp")  # noqa: S108
        assert sockets.fit_into(folder)


UNMAPPED = "ImportError: {}/a b.so: failed to map segment from shared object"


@pytest.mark.fault("`TMPDIR` mounted noexec, compiled code", "its case fails with that reason")
@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
@pytest.mark.parametrize(
    ("flags", "told"), [(getattr(os, "ST_NOEXEC", 0), "mounted noexec"), (0, "the memory ran out")]
)
def test_a_file_system_without_code_is_told_from_memory_that_ran_out(tmp_path, monkeypatch, flags, told):
    class Mounted:
        f_flag = flags

    monkeypatch.setattr(os, "statvfs", lambda path: Mounted)
    said = explain.explain(RuntimeError(UNMAPPED.format(tmp_path / "gone")))

    assert told in said
    assert "\n" not in said


@pytest.mark.nightly("a mounted file system, and torch compiles")
@needs_torch
def test_a_temporary_folder_without_code_is_named(mounted, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    suite = mounted(tmp_path, "noexec")
    result = suite.run("--cache=on", "--stages=evaluation", "--execution=compiled", frameworks="torch")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(f"torch-cpu-*code cannot be loaded from {tmp_path}/*mounted noexec*")
    assert "Traceback" not in result.stdout.str()
