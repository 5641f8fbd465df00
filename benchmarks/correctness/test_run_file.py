"""A run's file: what is written is read as the same, and so is what other versions of this package write."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect, to_builtins

from saved_runs import deployed_run, matrix, nightly, saved_run
from stagebench.case import AXES, Case, plain
from stagebench.cli import main
from stagebench.frameworks import FRAMEWORKS
from stagebench.history.charts import Panels
from stagebench.history.history import read_history
from stagebench.report.chart_parts import looks_of
from stagebench.report.report import Report
from stagebench.results.file import SECTION, RunError, extra_info_of, run_of, section_of
from stagebench.results.info import Info
from stagebench.results.result import Result
from stagebench.results.run import Difference, Machine, NotMeasured, Pictures, Run
from stagebench.stages import STAGES

TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), max_size=20)
CASE = Case("torch", "torch")


def values(of: inspect.Type) -> st.SearchStrategy[Any]:
    """Return values of a type within its bounds."""
    match of:
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=least, le=most):
            return st.integers(least, most)
        case inspect.FloatType(ge=least, le=most):
            return st.floats(least, most)
        case inspect.StrType():
            return TEXT
        case inspect.UnionType(types=types):
            return st.one_of(*map(values, types))
        case inspect.ListType(item_type=item):
            return st.lists(values(item), max_size=3)
        case inspect.DictType(value_type=value):
            return st.dictionaries(TEXT, values(value), max_size=3)
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: values(field.type) for field in fields})
    assert isinstance(of, inspect.NoneType), of
    return st.none()


def values_of(axis):
    if axis.values:
        return st.sampled_from(axis.values)
    return TEXT if axis.values == () else st.integers(axis.least, 999)


CASES = st.builds(Case, TEXT, TEXT, **{name: values_of(axis) for name, axis in AXES.items()})
PLACES = st.builds(
    lambda stage, case: (stage, case.at(STAGES[stage].traits)), st.sampled_from([*STAGES]), CASES
)
ROUNDS = st.lists(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=3), min_size=1, max_size=3)
INFO = values(inspect.type_info(Info))


@st.composite
def results(draw):
    """Draw a result whose info counts its rounds."""
    rounds, info = draw(ROUNDS), draw(INFO)
    info.rounds_per_process = [len(process) for process in rounds]
    return Result(*draw(PLACES), rounds, info)


RUNS = st.builds(
    Run,
    st.just("run.json"),
    values(inspect.type_info(Machine)),
    TEXT,
    st.lists(results(), max_size=2, unique_by=lambda result: result.stage),
    st.lists(st.builds(lambda at, *why: NotMeasured(*at, *why), PLACES, TEXT, TEXT), max_size=2),
    st.lists(TEXT, max_size=2),
    TEXT,
    st.lists(values(inspect.type_info(Pictures)), max_size=2),
    st.lists(values(inspect.type_info(Difference)), max_size=2),
)


def written(run: Run) -> dict[str, Any]:
    """Return the run's JSON: this suite's part, and as much of pytest-benchmark's as is read."""
    content = {
        "machine_info": to_builtins(run.machine),
        "datetime": run.datetime,
        "benchmarks": [
            {"stats": {"data": list(chain(*result.rounds))}, "extra_info": extra_info_of(result)}
            for result in run.results
        ],
        SECTION: section_of(run),
    }
    return json.loads(json.dumps(content, allow_nan=False))


@settings(max_examples=50)
@given(RUNS)
def test_a_run_that_is_written_is_read_as_the_same(run):
    assert run_of("run.json", written(run)) == run


def test_what_is_saved_of_a_result_is_its_stage_its_case_and_its_info_side_by_side():
    info = Info(framework_version="1.0", cold_seconds=1.0, peak_rss_bytes=1, rounds_per_process=[1])
    saved = extra_info_of(Result("training", CASE, [[1.0]], info))

    assert [*saved] == ["stage", *plain(CASE), *Info.__struct_fields__]
    assert saved["environment"] == "torch"


def opens(content, folder) -> bool:
    """Say whether every command that reads runs takes it."""
    (path,) = nightly([content], folder)
    commands = [
        ["report", path, "--format=markdown"],
        ["compare", path, path],
        ["history", path, "-o", folder / "history.html"],
    ]
    return [main([*map(str, command)]) for command in commands] == [0, 0, 0]


def test_a_run_of_a_newer_version_opens_and_what_is_not_known_here_is_passed_over(tmp_path):
    known = saved_run(matrix(batch_sizes=(32,), cache=("on",)), noise=0.001)
    entry = {**known["benchmarks"][0]["extra_info"], "outcome": "failed", "reason": "it died"}
    known[SECTION] |= {"not_measured": [entry]}
    newer = deepcopy(known)
    places = [newer, newer["machine_info"], newer["machine_info"]["cpu"], newer[SECTION]]
    places += [newer[SECTION]["not_measured"][0], newer[SECTION]["pictures"][0]]
    for benchmark in newer["benchmarks"]:
        places += [benchmark, benchmark["stats"], benchmark["extra_info"]]
        places += benchmark["extra_info"]["layers"] or []
    for place in places:
        place |= {"fusion": "on", "energy": {"joules": [1.5, None]}}

    assert run_of("", newer) == run_of("", known)
    assert opens(newer, tmp_path)


def test_a_run_from_before_the_keys_that_came_later_opens(tmp_path):
    first = {"stage", "framework_version", "rounds_per_process", "cold_seconds", "peak_rss_bytes"}
    first |= {name for name in plain(CASE) if name not in AXES or not AXES[name].later}
    older = saved_run(matrix(), noise=0.001)
    older |= {"machine_info": {"cpu": {"brand_raw": "A CPU"}}}
    del older[SECTION]
    for benchmark in older["benchmarks"]:
        benchmark["extra_info"] = {k: v for k, v in benchmark["extra_info"].items() if k in first}

    (path,) = nightly([older], tmp_path)
    assert main(["report", str(path), "--format=markdown"]) == 0
    assert main(["history", str(path), "-o", str(tmp_path / "history.html")]) == 0
    assert main(["compare", str(path), str(path)]) == 0, "the spread is known without earlier runs"
    assert {result.case for result in run_of("", older).results} >= set(matrix())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quantize": "int4"}, "quantize: Invalid enum value 'int4', allowed is none, dynamic, ptq, qat"),
        ({"workers": "many"}, "workers: Invalid enum value 'many', allowed is whole numbers, auto"),
        ({"agreement": 1.5}, "agreement: Expected `float` <= 1.0"),
        ({"workload": {"epochs": 0}}, "Expected `epochs` >= 1 in the workload"),
        ({"cold_seconds": None}, "cold_seconds: Expected `float`, got `null`"),
    ],
)
def test_what_is_not_allowed_is_named_with_its_place_and_with_what_is(changes, said):
    content = saved_run(matrix())
    content["benchmarks"][1]["extra_info"] |= changes

    with pytest.raises(RunError) as error:
        run_of("run.json", content)
    assert str(error.value).startswith("run.json is not a run of this suite: benchmarks[1].extra_info")
    assert said in str(error.value)


@pytest.mark.parametrize("made", [saved_run, deployed_run])
def test_a_framework_that_is_not_known_here_has_a_colour_and_a_mark_in_every_chart(made, tmp_path):
    content = made(matrix()) if made is saved_run else made()
    for benchmark in content["benchmarks"]:
        if benchmark["extra_info"]["framework"] == "torch":
            benchmark["extra_info"] |= {"framework": "other", "environment": "other"}
    known = {(framework.colour, framework.marks[0]) for framework in FRAMEWORKS.values()}

    looks = looks_of(Report([run_of("", content)]))
    scales = [looks[channel]["scale"] for channel in ("color", "shape")]
    assert [scale["domain"] for scale in scales] == [["tensorflow", "other"]] * 2
    assert tuple(scale["range"][1] for scale in scales) not in known

    assert opens(content, tmp_path)
    panels = Panels(read_history([tmp_path / "0000.json"]))
    for panel in panels.all:
        encoding = json.dumps(panels.chart(panel).spec)
        if any(one.subject.case.framework == "other" for one in panel.series):
            assert f'"{scales[0]["range"][1]}"' in encoding


def test_worker_processes_need_no_msgspec():
    """They run in any environment, which has what a pipeline needs and no more."""
    code = "import stagebench.run.worker, sys; sys.exit('msgspec' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
