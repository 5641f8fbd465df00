"""Machines as they are: what is missing is said in one sentence, and no result is lost."""

from __future__ import annotations

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest
from PIL import Image
from pytest_benchmark.utils import get_machine_id

from stagebench.case import Case, Workload
from stagebench.datasets.manifest import Image as ImageFile
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks import INSTALLED
from stagebench.machine import memory
from stagebench.machine.errors import StorageError
from stagebench.machine.files import write
from stagebench.plugin.progress import Progress
from stagebench.run.conditions import Conditions, Schedule
from stagebench.run.environments import Environment
from stagebench.run.sample import Failure
from stagebench.run.session import Session
from stagebench.stages import STAGES
from stagebench.statistics.ranking import width_of
from suite import ANY_FRAMEWORK

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
needs_torch = pytest.mark.skipif("torch" not in INSTALLED, reason="torch is not installed")
QUICK = ("--cache=on", "--stages=training")


def refused(result, sentence):
    """Check that the session ended with this sentence, and with no traceback."""
    text = " ".join(result.stdout.str().split()) + result.stderr.str()
    assert sentence in text
    assert "Traceback" not in text
    assert result.ret not in (0, 1)


# --- memory


@pytest.mark.fault(
    "a cache that the machine has no memory for",
    "refused with the figures, before anything is measured",
)
@needs_torch
def test_a_cache_that_does_not_fit_is_refused_with_the_figures(suite):
    result = suite.run(*QUICK, "--input-size=50000", frameworks="torch")

    refused(
        result,
        "training of 40 images of 50000x50000 in 1 processes at once takes about 1,145,009 MiB of memory",
    )
    refused(result, "MiB are there; instead: --cache=off, --recipes=tuned")


CASE = Case("torch", "torch", workers=2)
IMAGES = tuple(ImageFile(f"train/0/{number}.jpg", 0, 1, "") for number in range(100_000))
MANIFEST = Manifest(Path("/"), ("0", "1"), IMAGES, IMAGES[:20_000], "", Path("/m.json"))
MIB = 2**20


@pytest.mark.parametrize(
    ("stage", "changes", "needed"),
    [
        ("training", {}, 1172 + 600),  # 100,000 images, each 32 * 32 * 3 * 4 bytes
        ("evaluation", {}, 1641 + 600),  # and the test split in the pipeline and in its check
        ("training", {"cache": "off"}, None),
        ("model_saving", {}, None),
        ("training", {"framework": "tensorflow"}, 4805 + 600),  # its shuffle buffers hold images too
        ("training", {"framework": "tensorflow", "cache": "off"}, 2930 + 600),
        ("training", {"framework": "tensorflow", "augment": "off"}, 1406 + 600),
        ("training", {"framework": "tensorflow", "recipe": "tuned"}, 1172 + 600),
        ("training", {"framework": "simulated"}, None),
    ],
)
def test_what_a_case_takes_is_estimated_from_its_axes(monkeypatch, stage, changes, needed):
    monkeypatch.setattr(memory, "memory_bytes", lambda moment: 700 * MIB)
    monkeypatch.setattr(memory, "_shm", lambda: None)
    case = Case(**{**vars(CASE), "workers": 0, **changes})

    found = memory.shortage(STAGES[stage], [case], Workload(2), MANIFEST)

    assert (
        found is None if needed is None else f"about {needed:,} MiB of memory, 700 MiB are" in (found or "")
    )


@pytest.mark.fault(
    "cases of a group that do not fit into memory together",
    "refused with the figures, before anything is measured",
)
def test_the_cases_of_a_group_are_in_memory_at_the_same_time(monkeypatch):
    monkeypatch.setattr(memory, "memory_bytes", lambda moment: 3000 * MIB)
    cases = [Case(**{**vars(CASE), "workers": 0, "recipe": recipe}) for recipe in ("matched", "published")]

    assert memory.shortage(STAGES["training"], cases[:1], Workload(2), MANIFEST) is None
    assert "about 3,544 MiB" in (memory.shortage(STAGES["training"], cases, Workload(2), MANIFEST) or "")


@pytest.mark.fault(
    "memory that others take at the moment",
    "the group fails with the figures, the session does not",
)
def test_a_group_for_which_memory_is_short_now_fails_and_the_session_does_not(
    monkeypatch, tmp_path, small_dataset
):
    monkeypatch.setattr(memory, "memory_bytes", lambda moment: 0 if moment == "now" else 2**50)
    environments = {CASE.environment: Environment(CASE.environment, CASE.framework)}
    conditions = Conditions(Workload(100), small_dataset, environments, Schedule())
    progress = Progress(io.StringIO())
    asked = [("training", CASE)]
    with Session(asked, conditions, tmp_path, None, progress, width_of, lambda _: {}) as session:
        result = session.measured("training", CASE)

    assert isinstance(result, Failure)
    assert "MiB of memory, 0 MiB are there; instead: --cache=off" in result.reason


@pytest.mark.fault("a container's memory limit", "counts as the memory that there is")
@pytest.mark.parametrize(
    ("files", "available"),
    [
        (
            {
                "memory.max": "1000",
                "memory.current": "400",
                "memory.stat": "active_file 100",
            },
            700,
        ),
        (
            {"memory.max": "max", "memory.current": "400", "memory.stat": "active_file 100"},
            None,
        ),
        (
            {
                "memory/memory.limit_in_bytes": "1000",
                "memory/memory.usage_in_bytes": "400",
                "memory/memory.stat": "active_file 100",
            },
            700,
        ),
        ({}, None),
    ],
)
def test_the_memory_of_a_container_is_what_its_control_group_allows(monkeypatch, tmp_path, files, available):
    (tmp_path / "memory").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)

    found = memory.memory_bytes("now")

    assert found == available if available else found > MIB


@pytest.mark.fault("`ulimit -v` too low for a framework", "the case fails: the memory ran out")
@needs_torch
def test_a_limit_on_address_space_is_named_as_the_cause(suite):
    suite.within = ["sh", "-c", 'ulimit -v 3000000; exec "$@"', "-"]
    result = suite.run(*QUICK, frameworks="torch")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("torch-cpu-*-matched: the memory ran out (*")
    assert "Traceback" not in result.stdout.str()


@pytest.mark.fault("`/dev/shm` of 64 MB, loader processes", "measured")
@needs_torch
@pytest.mark.nightly("six groups of torch")
def test_loader_processes_work_in_a_container_of_64_mb_of_shared_memory(mounted):
    suite = mounted("/dev/shm", "size=64m")  # noqa: S108
    result = suite.run("--stages=data_loading", "--workers=0,2,4", frameworks="torch")

    result.assert_outcomes(passed=6)


@pytest.mark.fault("`/dev/shm` too small for loader processes", "refused with the figures")
@needs_torch
@pytest.mark.parametrize("recipe", ["matched", "tuned"])
@pytest.mark.nightly("a mounted file system, and torch")
def test_shared_memory_that_is_too_small_is_refused_with_the_figures(mounted, recipe):
    suite = mounted("/dev/shm", "size=64k")  # noqa: S108
    result = suite.run(*QUICK, "--workers=2", f"--recipes={recipe}", frameworks="torch")

    refused(result, "MiB of shared memory (/dev/shm), 0 MiB are there; instead: --workers=0, --cache=off")


@needs_torch
@pytest.mark.nightly("a mounted file system, and torch")
def test_pictures_on_their_way_from_loader_processes_are_estimated_at_their_own_size(mounted):
    suite = mounted("/dev/shm", "size=30m")  # noqa: S108
    large = ("--recipes=tuned", "--workers=2", "--cache=off", "--stages=data_loading", "--image-size=256")

    suite.run(*large, "--batch-sizes=8", frameworks="torch").assert_outcomes(passed=1)
    refused(suite.run(*large, frameworks="torch"), "takes about 36 MiB of shared memory")


@pytest.mark.fault(
    "`/dev/shm` that fills up (torch waits for ever)",
    "the case is ended; says that shared memory had no space",
)
@needs_torch
@pytest.mark.nightly("a mounted file system, and torch")
def test_shared_memory_that_runs_out_later_is_named_as_the_cause(mounted, tmp_path):
    """The first picture, by which it is estimated, is small. Torch itself would wait for ever."""
    for split, name, number in product(("train", "test"), "ab", range(24)):
        path = tmp_path / split / name / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8) if number == 0 else (256, 256)).save(path)
    suite = mounted("/dev/shm", "size=2m")  # noqa: S108
    options = (f"--dataset={tmp_path}", "--stages=data_loading", "--cache=off", "--recipes=tuned")
    result = suite.run(*options, "--workers=2", "--batch-sizes=16", "--stage-timeout=15", frameworks="torch")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "torch-cpu-*(cold, execute) took longer than --stage-timeout=15 s; *",
            "*shared memory*No space left*",
        ]
    )


# --- disk


@pytest.mark.fault("no space for the data set", "one sentence, nothing half")
@pytest.mark.nightly("a full disk beyond one of its kind")
def test_no_space_for_the_data_set_is_one_sentence(mounted, tmp_path, monkeypatch):
    monkeypatch.setenv("STAGEBENCH_CACHE", str(tmp_path / "cache"))
    suite = mounted(tmp_path, "size=60k")

    refused(suite.run(*QUICK), "No space left on device")


@pytest.mark.fault("no space for the trained weights", "one sentence")
@pytest.mark.nightly("a full disk beyond one of its kind")
def test_no_space_for_the_trained_weights_is_one_sentence(mounted, tmp_path, monkeypatch):
    monkeypatch.setenv("STAGEBENCH_CACHE", str(tmp_path))
    suite = mounted(tmp_path / "weights", "nr_inodes=1")

    refused(suite.run("--stages=exporting"), f"{tmp_path}/weights/")
    refused(suite.run("--stages=exporting"), "cannot be written: No space left on device")


@pytest.mark.fault("no space for the journal", "one sentence")
@pytest.mark.nightly("a full disk beyond one of its kind")
def test_no_space_for_the_journal_is_one_sentence(mounted):
    suite = mounted(".benchmarks/journal", "size=4k")

    refused(suite.run(*QUICK, "--rounds=100"), "cannot be written: No space left on device")


@pytest.mark.fault("no space for the result", "no half file; `--resume` takes it from the journal")
def test_no_space_for_the_result_leaves_it_in_the_journal_and_no_half_file(mounted):
    saved = Path(".benchmarks", get_machine_id())
    suite = mounted(saved, "size=4k")
    refused(suite.run(*QUICK), "takes what is finished from the journal")
    assert list(saved.iterdir()) == []

    suite.within = []
    result = suite.run(*QUICK, "--resume")

    result.assert_outcomes(passed=1)
    assert "taken from the interrupted run" in result.stdout.str()
    assert len(suite.saved()) == 1


@pytest.mark.fault("no space for `{option}`", "no half file; the result is saved, or in the journal")
@pytest.mark.parametrize("option", ["--report=full/run.html", "--benchmark-json=full/run.json"])
@pytest.mark.nightly("a full disk beyond one of its kind")
def test_no_space_for_a_file_that_was_asked_for_leaves_no_half_file(mounted, option):
    suite = mounted("full", "size=4k")
    result = suite.run(*QUICK, option)

    assert "full/run" in result.stderr.str() + result.stdout.str()
    refused(result, "cannot be written: No space left on device")
    assert list(Path("full").iterdir()) == []
    assert suite.saved() or list(Path(".benchmarks/journal").iterdir()), "the result is lost"


@pytest.mark.fault("no space for a model", "the case fails: no space is left")
@pytest.mark.nightly("a full disk beyond one of its kind")
def test_no_space_for_a_model_fails_its_case_in_one_sentence(mounted, tmp_path, monkeypatch, framework):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    suite = mounted(tmp_path, "size=1m")
    result = suite.run("--cache=on", "--stages=model_building,model_saving", frameworks=framework)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(f"{framework}-cpu-*: no space is left on the disk of {tmp_path}/*")
    assert "Traceback" not in result.stdout.str()


READ_ONLY = {"here": "no result can be kept in ", "cache": "the data set cannot be stored in "}


@pytest.mark.fault("a folder that cannot be written: {where}", "named before anything is measured")
@pytest.mark.parametrize("where", READ_ONLY)
@pytest.mark.nightly("a mounted file system")
def test_a_read_only_folder_is_named_before_anything_is_measured(mounted, tmp_path, monkeypatch, where):
    if where == "cache":
        monkeypatch.setenv("STAGEBENCH_CACHE", str(tmp_path))
    suite = mounted(Path.cwd() if where == "here" else tmp_path, "ro")
    result = suite.run(*QUICK)

    refused(result, READ_ONLY[where])
    assert "training: cpu" not in result.stdout.str()


@pytest.mark.fault("a link or a device as the file to write", "stays what it is")
def test_a_link_and_a_device_that_are_written_to_stay_what_they_are(tmp_path):
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)

    write(link, b"new")
    with pytest.raises(StorageError, match="/dev/full cannot be written: No space left on device"):
        write(Path("/dev/full"), b"new")

    assert (link.is_symlink(), target.read_text()) == (True, "new")
    assert Path("/dev/full").is_char_device()


def test_a_file_that_sessions_write_at_once_is_whole(tmp_path):
    path = tmp_path / "run.json"
    contents = [bytes([number]) * 10**6 for number in range(8)]
    with ThreadPoolExecutor(8) as sessions:
        list(sessions.map(lambda content: write(path, content), contents))

    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


# --- other surroundings


@pytest.mark.fault("no home", "named, if no cache folder is given")
def test_a_home_that_does_not_exist_is_named_where_it_is_needed(suite, monkeypatch):
    for name in ("STAGEBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc/nobody")

    refused(suite.run(*QUICK), "the data set cannot be stored in /proc/nobody/.cache/stagebench/")


@pytest.mark.parametrize("name", ANY_FRAMEWORK)
def test_a_home_that_does_not_exist_is_not_needed_with_a_cache_folder(suite, monkeypatch, name):
    monkeypatch.setenv("HOME", "/proc/nobody")

    suite.run(*QUICK, frameworks=name).assert_outcomes(passed=1)


@pytest.mark.fault("`LANG=C`, paths with spaces and snowmen", "measured")
@pytest.mark.parametrize("name", ANY_FRAMEWORK)
def test_paths_with_spaces_and_the_locale_c_are_fine(suite, tmp_path, monkeypatch, name):
    folder = tmp_path / "a b \N{SNOWMAN}"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for variable, value in {"TMPDIR": folder, "STAGEBENCH_CACHE": folder, "LANG": "C", "LC_ALL": "C"}.items():
        monkeypatch.setenv(variable, str(value))

    result = suite.run(*QUICK, "--report=a b.html", frameworks=name, fresh=True)

    result.assert_outcomes(passed=1)


@pytest.mark.fault("one core", "measured")
@pytest.mark.parametrize("name", ANY_FRAMEWORK)
def test_one_core_is_enough(suite, name):
    core = min(os.sched_getaffinity(0))
    suite.within = ["taskset", "-c", str(core)]

    suite.run(*QUICK, frameworks=name).assert_outcomes(passed=1)


BACKWARDS = """
import itertools, time
original, jumps = time.time, itertools.count()
time.time = lambda: original() - 3600 * next(jumps)
"""


@pytest.mark.fault("a clock that is set back", "changes no time")
def test_a_clock_that_is_set_back_changes_no_time(suite, monkeypatch):
    (suite.folder / "backwards").mkdir()
    (suite.folder / "backwards/sitecustomize.py").write_text(BACKWARDS)
    monkeypatch.setenv("PYTHONPATH", str(suite.folder / "backwards"))

    suite.run("--cache=on", "--processes=2", fresh=True).assert_outcomes(passed=6)

    (run,) = suite.saved()
    assert all(0 < seconds < 5 for b in run["benchmarks"] for seconds in b["stats"]["data"])


@pytest.mark.fault("300 open files, 40 cases in a group", "measured")
@pytest.mark.nightly("40 processes")
def test_300_open_files_are_enough_for_forty_cases(suite):
    suite.within = ["sh", "-c", 'ulimit -n 300; exec "$@"', "-"]
    workers = ",".join(map(str, range(40)))

    suite.run(*QUICK, f"--workers={workers}", "--rounds=1").assert_outcomes(passed=40)


@pytest.mark.fault("300 open files, loader processes", "measured")
@needs_torch
@pytest.mark.nightly("six groups of torch")
def test_300_open_files_are_enough_for_loader_processes(suite):
    suite.within = ["sh", "-c", 'ulimit -n 300; exec "$@"', "-"]

    result = suite.run("--stages=data_loading", "--workers=0,2,4", "--batch-sizes=1", frameworks="torch")

    result.assert_outcomes(passed=6)


@pytest.mark.fault("too few open files", "cases fail with that reason, the others do not")
def test_too_few_open_files_are_named_and_fail_no_other_case(suite):
    suite.within = ["sh", "-c", 'ulimit -n 40; exec "$@"', "-"]
    workers = ",".join(map(str, range(20)))
    result = suite.run("--cache=on", "--stages=training,evaluation", f"--workers={workers}", "--rounds=1")

    outcomes = result.parseoutcomes()
    assert outcomes["failed"]
    assert outcomes["passed"]
    assert "Too many open files" in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()
