"""What `stagebench history` reads, what it passes over, and what it joins to a series."""

from __future__ import annotations

import json
from dataclasses import replace
from math import nan

import pytest

from saved_runs import matrix, nightly, saved_run, slower
from stagebench.case import Case
from stagebench.cli import main
from stagebench.history.charts import Panels
from stagebench.history.history import read_history
from stagebench.history.page import history_page
from stagebench.stages import PIPELINE
from stagebench.statistics.change_points import MINIMUM_VALUES

TWO = matrix(batch_sizes=(32,), workers=(0,), cache=("on",))
STAGES = ("training", "evaluation")


def nights(count: int, stages=STAGES, cases=TWO, **info):
    """Return runs of so many nights."""
    return [saved_run(cases, stages=stages, seed=night, **info) for night in range(count)]


def with_environment(case: Case, environment: str) -> Case:
    return replace(case, environment=environment)


def test_folders_are_searched_and_runs_stand_in_the_order_of_their_dates(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "z.json").mkdir()  # a folder is no file, whatever its name
    first, second, third = nightly(nights(3), tmp_path)
    first.rename(tmp_path / "a" / "b" / "last.json")
    (tmp_path / "notes.txt").write_text("no run")

    history = read_history([third, tmp_path, second])

    assert [saved.path.name for saved in history.runs] == ["last.json", "0001.json", "0002.json"]
    assert history.passed_over == []
    assert len(history.series) == 2 * 2
    assert all([point.saved for point in one.points] == [0, 1, 2] for one in history.series)


BROKEN_RUNS = {
    "no_date": lambda run: run.update(datetime="yesterday"),
    "far_date": lambda run: run.update(datetime="0001-01-01T00:00:00+14:00"),
    "no_rounds": lambda run: run["benchmarks"][0]["stats"].pop("data"),
    "nan_rounds": lambda run: run["benchmarks"][0]["stats"].update(data=[nan] * 15),
    "text_nan": lambda run: run["benchmarks"][0]["stats"].update(data=["nan"] * 15),
    "endless": lambda run: run["benchmarks"][0]["stats"].update(data=[10**400] * 15),
    "huge": lambda run: run["benchmarks"][0]["stats"].update(data=[1e300] * 15),
    "no_case": lambda run: run["benchmarks"][0]["extra_info"].pop("batch_size"),
    "odd_stage": lambda run: run["benchmarks"][0]["extra_info"].update(stage="thinking"),
    "odd_gpus": lambda run: run["machine_info"].update(gpus=7),
    "odd_memory": lambda run: run["machine_info"].update(memory_bytes="lots"),
    "odd_libraries": lambda run: run["machine_info"].update(libraries=["numpy"]),
    "odd_workload": lambda run: run["benchmarks"][1]["extra_info"].update(workload="much"),
    "no_machine": lambda run: run.pop("machine_info"),
}
FOREIGN_FILES = {
    "empty": b"",
    "cut": b'{"benchmarks": [',
    "deep": b"[" * 100_000,
    "list": b"[]",
    "null": b"null",
    "other": b'{"benchmarks": [], "version": "5.3.0"}',
    "binary": b"\x89PNG\xff\xfe\x00",
}


def test_what_is_no_run_is_named_with_its_reason_and_passed_over(tmp_path, capsys):
    nightly(nights(2), tmp_path)
    for name, damage in BROKEN_RUNS.items():
        run = saved_run(TWO, stages=STAGES, seed=9)
        damage(run)
        (tmp_path / f"{name}.json").write_text(json.dumps(run))
    for name, content in FOREIGN_FILES.items():
        (tmp_path / f"{name}.json").write_bytes(content)
    (tmp_path / "nothing").mkdir()
    page = tmp_path / "out" / "history.html"
    paths = [tmp_path, tmp_path / "nothing", tmp_path / "missing.json"]

    assert main(["history", *map(str, paths), "-o", str(page)]) == 0

    told = [line for line in capsys.readouterr().err.splitlines() if "passed over" in line]
    names = [f"{name}.json" for name in (*BROKEN_RUNS, *FOREIGN_FILES, "missing")] + ["nothing"]
    for name in names:
        (line,) = [line for line in told if f"/{name} " in line]
        assert line.split(f"/{name} ")[1], f"{name} has no reason"
    assert len(told) == len(names)
    text = page.read_text()
    assert all(f"{name} " in text for name in names)
    assert "0 steps" not in text
    assert "of 2 runs" in text


@pytest.mark.parametrize("content", [None, b"{"])
def test_nothing_to_read_still_has_a_page(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    if content:
        (tmp_path / "run.json").write_bytes(content)
    assert main(["history", "run.json"]) == 0
    text = (tmp_path / "history.html").read_text()
    assert "None of the files is a run that can be shown" in text
    assert "run.json" in text


def test_a_page_that_cannot_be_written_is_an_error(tmp_path, capsys):
    assert main(["history", str(tmp_path), "-o", str(tmp_path)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_rounds_without_a_usable_interval_do_not_stop_the_page(tmp_path):
    run = saved_run(TWO, stages=STAGES)
    run["benchmarks"][0]["stats"]["data"] = [1e-9] * 5 + [1.0] * 5 + [1e9] * 5
    (path,) = nightly([run], tmp_path)
    assert "history" in history_page(read_history([path]))


def test_a_history_of_stages_to_which_different_axes_apply_has_a_page(tmp_path):
    history = read_history(nightly(nights(2, PIPELINE, matrix()), tmp_path))

    assert Panels(history).axes["batch size"] == [16, 32, 64]
    assert "model building" in history_page(history)


def test_a_run_that_was_saved_twice_counts_once(tmp_path):
    paths = nightly([*nights(2), *nights(1)], tmp_path)
    history = read_history(paths)
    assert len(history.runs) == 2
    assert history.passed_over == [f"{paths[2]} is the same run as {paths[0]}"]


def test_a_run_without_a_time_has_its_environment(tmp_path):
    history = read_history(nightly([saved_run(TWO, stages=()), saved_run(TWO, stages=())], tmp_path))
    assert (len(history.runs), history.series) == (2, [])
    assert "No step was found in 0 series" in history_page(history)


def test_a_step_is_found_with_what_changed_between_its_runs(tmp_path):
    runs = nights(20)
    for run in runs[12:]:
        slower(run, "training", "torch", 1.25)
        for benchmark in run["benchmarks"]:
            benchmark["extra_info"]["framework_version"] = "1.1"
    history = read_history(nightly(runs, tmp_path))

    (found,) = history.found
    assert (found.series.stage, found.series.subject.case) == ("training", TWO[0])
    assert found.between == (12, 11)
    assert found.step.ratio == pytest.approx(1.25, rel=0.03)
    page = history_page(history)
    assert "1 step was found in 4 series" in page
    assert "torch 1.0 to 1.1; tensorflow 1.0 to 1.1" in page
    assert "training, torch, 0w 1.0 to 1.1: slower, 1.2" in page


def test_few_runs_are_said_to_be_too_few(tmp_path):
    history = read_history(nightly(nights(MINIMUM_VALUES - 1), tmp_path))
    assert [one.steps for one in history.series] == [None] * 4
    assert "4 series have fewer than 10 points" in history_page(history)


def other_cpu(run):
    run["machine_info"]["cpu"]["brand_raw"] = "Another CPU"


def other_gpu(run):
    run["machine_info"]["gpus"] = ["A GPU"]


def fewer_threads(run):
    run["machine_info"]["cpu"]["usable_threads"] = 1


def other_data(run):
    for benchmark in run["benchmarks"]:
        benchmark["extra_info"]["dataset_fingerprint"] = "fedcba"


def other_work(run):
    for benchmark in run["benchmarks"]:
        benchmark["extra_info"]["workload"]["epochs"] = 3


@pytest.mark.parametrize("change", [other_cpu, other_gpu, fewer_threads, other_data, other_work])
def test_what_is_not_comparable_is_no_series_and_no_step(tmp_path, change):
    runs = nights(24)
    for run in runs[12:]:
        change(run)
        slower(run, "training", "torch", 2)
    history = read_history(nightly(runs, tmp_path))

    assert [len(one.points) for one in history.series] == [12] * 8
    assert history.found == []
    panels = Panels(history)
    assert len(panels.all) == 4
    assert len({panels.settings(panel.series[0].subject) for panel in panels.all}) == 2


def test_versions_are_one_series_in_the_order_of_pep_440(tmp_path):
    versions = ["2.10.0", "2.9.1", "2.9.1rc1", "2.9.1+cu13", "no version", "2.10.0.dev1"]
    runs = [
        saved_run([with_environment(TWO[0], f"torch@{v}")], ("training",), seed=n, framework_version=v)
        for n, v in enumerate(versions)
    ]
    paths = nightly(runs, tmp_path)

    (by_version,) = read_history(paths, "version").series
    assert [point.version for point in by_version.points] == [
        "no version",
        "2.9.1rc1",
        "2.9.1",
        "2.9.1+cu13",
        "2.10.0.dev1",
        "2.10.0",
    ]
    (by_date,) = read_history(paths, "date").series
    assert [point.version for point in by_date.points] == versions
    assert by_date.subject.case.environment == "torch"


def test_two_environments_of_one_run_are_a_series_by_version_and_two_by_date(tmp_path):
    cases = [TWO[0], with_environment(TWO[0], "torch@2.14.1")]
    runs = nights(3, stages=("training",), cases=cases)
    for run in runs:
        run["benchmarks"][0]["extra_info"]["framework_version"] = "2.15.0"
        run["benchmarks"][1]["extra_info"]["framework_version"] = "2.14.1"
    paths = nightly(runs, tmp_path)

    assert [len(one.points) for one in read_history(paths, "date").series] == [3, 3]
    (one,) = read_history(paths, "version").series
    assert [(point.version, point.saved) for point in one.points] == [
        (version, run) for version in ("2.14.1", "2.15.0") for run in range(3)
    ]
    history_page(read_history(paths, "version"))


def test_every_point_is_in_a_chart_and_in_its_table_with_its_environment(tmp_path):
    for axis in ("date", "version"):
        history = read_history(nightly(nights(4), tmp_path), axis)
        panels = Panels(history)
        charts = [panels.chart(panel) for panel in panels.all]
        assert sum(len(chart.values) for chart in charts) == 4 * 4
        for chart in charts:
            targets = [row.target for row in chart.table.rows]
            assert targets == [value["environment"].removeprefix("#") for value in chart.values]
