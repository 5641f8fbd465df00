"""What changes speed is recorded in every run, named in its summary, and held equal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from saved_runs import HOSTILE, matrix, saved_run
from stagebench.case import Case, Workload
from stagebench.frameworks import INSTALLED, THREAD_VARIABLES
from stagebench.machine import info
from stagebench.machine.conditions import cpu_quota, speed_variables, tracers
from stagebench.plugin.noise import Noise
from stagebench.report.conditions import condition_sentences
from stagebench.report.html import page
from stagebench.report.markdown import markdown
from stagebench.report.report import Report
from stagebench.results.file import run_of
from stagebench.results.info import Info, SpeedConditions
from stagebench.results.record import Record
from stagebench.results.result import Result
from stagebench.run.conditions import Conditions, Schedule
from stagebench.run.environments import Environment
from stagebench.run.fingerprint import differences, fingerprint
from stagebench.run.process import WorkerProcess
from stagebench.statistics.comparison import compare

CASE = Case("simulated", "simulated")
PYTHON = {"simulated": Environment("simulated", "simulated")}
ORDINARY = {"variables": {}, "cpu_quota": None, "processors": 2, "tracers": []}
UNUSUAL = {
    "MALLOC_ARENA_MAX": {"variables": {"MALLOC_ARENA_MAX": "1"}},
    "CPU quota": {"cpu_quota": 1.5},
    "processors": {"processors": 1},
    "tracers": {"tracers": ["coverage"]},
}
"""By name, what differs from what is ordinary."""
SET = ("OMP_NUM_THREADS=1", "LD_PRELOAD=/lib/fast.so")
UNEQUAL = (
    "torch computes on 1 thread, tensorflow on 2 (OMP_NUM_THREADS=1): not equal conditions; "
    "--threads=2 makes them equal."
)


# --- what is read


def a_root(folder: Path, **files: str) -> Path:
    """Return a folder that holds these files, as / does."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


V1 = "4:memory:/\n2:cpu,cpuacct:/job\n0::/\n"


@pytest.mark.parametrize(
    ("group", "files", "quota"),
    [
        ("0::/job/step\n", {"job/step/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/job/step\n", {"job/step/cpu.max": "300000 100000", "job/cpu.max": "50000 100000"}, 0.5),
        ("0::/job\n", {"job/cpu.max": "max 100000\n"}, None),
        (
            "0::/docker/0123\n",
            {"cpu.max": "200000 100000\n"},
            2.0,
        ),  # the container's own, under the host's name
        (
            V1,
            {"cpu,cpuacct/job/cpu.cfs_quota_us": "25000", "cpu,cpuacct/job/cpu.cfs_period_us": "50000"},
            0.5,
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1.0),
        (V1, {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, None),
        ("3:memory:/\n", {"cpu.max": "100000 100000"}, None),
    ],
)
def test_the_cpu_quota_is_the_least_of_the_control_groups_above(tmp_path, group, files, quota):
    mounted = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}

    assert cpu_quota(a_root(tmp_path, **{"proc/self/cgroup": group}, **mounted)) == quota


def test_a_system_without_control_groups_has_no_quota(tmp_path):
    assert cpu_quota(tmp_path) is None


def test_variables_of_every_framework_that_change_speed_are_found_and_an_empty_one_counts_as_unset():
    found = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "ONEDNN_MAX_CPU_ISA": "AVX2", "LD_PRELOAD": "a"}
    found |= {"ATEN_CPU_CAPABILITY": "avx2", "TORCH_COMPILE_DISABLE": "1", "TF_ENABLE_ONEDNN_OPTS": "0"}
    found |= {"TF_FUNCTION_JIT_COMPILE_DEFAULT": "1", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    others = {"HOME": "/", "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_PROC_BIND": "", "TF_NUM_INTEROP_THREADS": ""}

    assert speed_variables({**others, **found}) == found


def test_a_tracer_a_profiler_and_a_debugger_are_found_by_their_names(tmp_path, monkeypatch):
    status = tmp_path / "status"
    status.write_text(f"Name:\tpython\nTracerPid:\t{os.getpid()}\n")
    monkeypatch.setattr(sys, "getprofile", lambda: a_root)
    own = Path("/proc/self/comm")
    program = [own.read_text().strip()] if own.exists() else []
    hook = sys.gettrace()
    try:
        sys.settrace(lambda *_: None)
        found = tracers(status)
    finally:
        sys.settrace(hook)

    assert found[0] == __name__.partition(".")[0]
    assert set(program) <= {*found}
    status.write_text("TracerPid:\t0\n")
    monkeypatch.setattr(sys, "getprofile", lambda: None)
    assert tracers(status) == tracers(tmp_path / "none")


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="Python 3.12 has the first one")
def test_what_monitors_is_found_by_its_name():
    sys.monitoring.use_tool_id(3, "coverage.py")
    try:
        assert "coverage" in tracers()
    finally:
        sys.monitoring.free_tool_id(3)


# --- what is recorded


def test_a_worker_process_tells_its_conditions(tmp_path, small_dataset, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import sys, tracing; sys.settrace(tracing.trace)")
    (tmp_path / "tracing.py").write_text("def trace(*_): pass")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # which --threads overrides
    with WorkerProcess("case", tmp_path, threads=1) as process:
        process.send_open(CASE, Workload(4), small_dataset, threads=1)
        told = process.receive()["conditions"]

    assert (told["variables"]["MALLOC_ARENA_MAX"], told["tracers"]) == ("1", ["tracing"])
    assert not {*THREAD_VARIABLES} & {*told["variables"]}
    assert told["processors"] == 1 or not hasattr(os, "sched_setaffinity")


def test_a_session_records_its_conditions_and_names_them_before_its_table(suite, monkeypatch):
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    result = suite.run("--stages=training", "--cache=on")

    result.stdout.fnmatch_lines(
        ["Variables that change speed: ATEN_CPU_CAPABILITY=default, OMP_NUM_THREADS=1.", "", "*median*"]
    )
    (run,) = suite.saved()
    assert run["machine_info"]["speed_variables"] == {"ATEN_CPU_CAPABILITY": "default"}
    (benchmark,) = run["benchmarks"]
    set_to = benchmark["extra_info"]["conditions"]["variables"]
    assert set_to == {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"}


@pytest.mark.nightly("a session of both frameworks")
@pytest.mark.skipif(len(INSTALLED) < 2 or info.usable_threads() < 2, reason="takes both, and two processors")
def test_frameworks_that_compute_on_unequal_threads_are_named(suite, monkeypatch):
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "")
    monkeypatch.setenv("COLUMNS", "200")
    options = "--stages=training", "--cache=on"
    alone = suite.run(*options, frameworks="torch,tensorflow")
    equal = suite.run(*options, "--threads=2", frameworks="torch,tensorflow")

    alone.stdout.fnmatch_lines(
        ["torch computes on 1 thread, tensorflow on * (OMP_NUM_THREADS=1): not equal conditions; *"]
    )
    assert "not equal conditions" not in equal.stdout.str()


# --- what is said


def a_run(torch=None, tensorflow=None, threads=(1, 2), processors=2):
    """Return a run in which these conditions were added to each framework's."""
    content = saved_run(matrix(batch_sizes=(32,), cache=("on",)), ("training",))
    content["machine_info"]["cpu"]["threads"] = processors
    for benchmark in content["benchmarks"]:
        told = benchmark["extra_info"]
        first = told["framework"] == "torch"
        told["threads"] = threads[0 if first else 1]
        told["conditions"] = {**ORDINARY, **((torch if first else tensorflow) or {})}
    return run_of("run", content)


def test_ordinary_conditions_need_no_word():
    assert condition_sentences(a_run(threads=(2, 2))) == []
    assert condition_sentences(run_of("older", saved_run(matrix()))) == []


def test_threads_that_differ_within_a_group_are_named_with_what_makes_them_equal():
    set_to = {"variables": dict(variable.split("=") for variable in SET)}

    assert condition_sentences(a_run(set_to, set_to)) == [
        UNEQUAL,
        "Variables that change speed: LD_PRELOAD=/lib/fast.so.",
    ]
    assert condition_sentences(a_run()) == [UNEQUAL.replace(" (OMP_NUM_THREADS=1)", "")]
    assert "--threads=2 " in condition_sentences(a_run(threads=(1, 8)))[0], "there are no more processors"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("MALLOC_ARENA_MAX", "Variables that change speed: MALLOC_ARENA_MAX=1."),
        ("CPU quota", "CPU quota: 1.5 of 2 processors."),
        ("tracers", "Traced, which takes time: coverage."),
    ],
)
def test_what_slows_all_is_named_once_and_what_slows_one_alone_is_unequal(name, told):
    conditions = UNUSUAL[name]
    fact = SpeedConditions(**conditions).facts[name]

    assert condition_sentences(a_run(conditions, conditions, (2, 2))) == [told]
    (unequal,) = condition_sentences(a_run(conditions, None, (2, 2)))
    assert unequal.startswith(f"{name}: ")
    assert {f"torch {fact}", "tensorflow none"} <= {
        *unequal.removeprefix(f"{name}: ").split(":")[0].split(", ")
    }


def test_affinity_that_leaves_out_processors_is_named_and_a_quota_that_limits_nothing_is_not():
    enough = {"cpu_quota": 2.0}

    assert condition_sentences(a_run(enough, enough, (2, 2), processors=8)) == [
        "Affinity: 2 of 8 processors."
    ]


def test_both_reports_say_it_before_the_verdict():
    hostile = {"variables": {"LD_PRELOAD": HOSTILE, "CPU quota": HOSTILE}}
    report = Report([a_run(hostile, hostile)])
    text, html = markdown(report), page(report)

    assert text.index("torch computes on 1 thread, tensorflow on 2") < text.index("| training")
    assert html.index("torch computes on 1 thread, tensorflow on 2") < html.index('<table class="verdicts">')
    assert "<script>hit" not in text
    assert "<script>hit" not in html


# --- what is held equal


@pytest.mark.parametrize("name", UNUSUAL)
def test_times_of_other_conditions_are_not_compared(name):
    same, other = ({("training", r.case): r for r in a_run(c).results} for c in (None, UNUSUAL[name]))

    told = {change.case.framework: change for change in compare(same, other)}
    assert (told["torch"].word, told["torch"].judged) == ("UNKNOWN", False)
    assert told["torch"].reason == f"base and head differ in {name}"
    assert told["tensorflow"].judged
    assert all(change.judged for change in compare(other, other))


def test_a_run_from_before_conditions_were_recorded_is_compared_as_ever():
    older, newer = ({("training", r.case): r for r in a_run(UNUSUAL["CPU quota"]).results} for _ in range(2))
    for result in older.values():
        result.info.conditions = None

    assert all(change.judged for change in compare(older, newer))


def test_a_group_is_not_resumed_under_other_conditions(small_dataset, monkeypatch):
    conditions = Conditions(Workload(100), small_dataset, PYTHON, Schedule())
    monkeypatch.setenv("MALLOC_ARENA_MAX", "")
    then = fingerprint("training", [CASE], conditions)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    monkeypatch.setattr(info, "cpu_quota", lambda: 1.5)
    now = fingerprint("training", [CASE], conditions)

    found = [*differences(then, now)]
    assert "machine speed_variables MALLOC_ARENA_MAX was None, is 1" in found
    assert f"machine cpu_quota was {then['machine']['cpu_quota']}, is 1.5" in found
    assert len(found) == 2


@pytest.mark.parametrize("name", [name for name in UNUSUAL if name != "processors"])
def test_noise_of_other_conditions_is_kept_apart(tmp_path, small_dataset, name):
    noise = Noise(tmp_path, Conditions(Workload(100), small_dataset, PYTHON, Schedule()))

    def kind(conditions):
        told = SpeedConditions(**conditions) if conditions else None
        about = Info(framework_version="1.0", cold_seconds=1.0, peak_rss_bytes=1, rounds_per_process=[1])
        about.conditions = told
        record = Record((), "", results=[Result("training", CASE, [[1.0]], about)])
        noise.recall(record)
        return record.results[0].info.kind

    assert kind({**ORDINARY, **UNUSUAL[name]}) != kind(ORDINARY) == kind(None)
