"""The write-up on quantization beside a run, and profiles side by side."""

from __future__ import annotations

from collections import Counter

import pytest

from saved_runs import DEPLOYED, deployed_run, matrix, saved_run
from stagebench.article.published_results import published_quantization
from stagebench.article.write_up import BASELINE, write_up_table
from stagebench.report.charts import charts
from stagebench.report.profiles import profile_tables
from stagebench.report.report import Report
from stagebench.report.tables import Table
from stagebench.results.file import run_of


def a_report(**options) -> Report:
    return Report([run_of("run.json", deployed_run(**options))])


def cells(table: Table, first: str) -> dict[str, str]:
    """Return the cells of the row with this name, by column."""
    (row,) = [row for row in table.rows if row.cells[0] == first]
    return dict(zip(table.columns, row.cells, strict=True))


# --- the write-up


def test_published_figures_are_those_of_the_write_up():
    found = {(row.framework, row.model, row.figure): row.value for row in published_quantization()}

    assert len(found) == len(published_quantization())
    change = {
        (framework, figure): found[framework, model, figure] / found[framework, BASELINE, figure]
        for framework, model, figure in found
        if model == "int8"
    }
    assert change["torch", "file_bytes"] == pytest.approx(10.8 / 42.6)
    assert change["tensorflow", "file_bytes"] == pytest.approx(11.3 / 42.6)
    assert change["torch", "latency_seconds"] == pytest.approx(3.01 / 7.27)
    assert change["tensorflow", "latency_seconds"] == pytest.approx(19 / 90)
    assert (found["torch", "qat", "added_training"], found["tensorflow", "qat", "added_training"]) == (
        0.95,
        2.18,
    )
    assert all(row.source.startswith("https://") for row in published_quantization())


def test_published_figures_stand_beside_those_of_the_run():
    table = write_up_table(a_report(noise=0))

    assert cells(table, "accuracy, torch by onnx") == {
        "": "accuracy, torch by onnx",
        "here": "baseline 83.9%; PTQ 83.6% (-0.3 pt); QAT 84.2% (+0.3 pt)",
        "published": "baseline 57.0%; PTQ 53.0% (-4.0 pt); QAT 65.0% (+8.0 pt)",
    }
    assert cells(table, "model size, tensorflow by litert")["published"] == (
        "baseline 42.6 MB; int8 11.3 MB (-73%)"
    )
    assert cells(table, "inference time of a call, torch by onnx")["published"] == (
        "baseline 7.27 ms; int8 3.01 ms (-59%); int8 scripted 1.54 ms (-79%)"
    )
    assert cells(table, "QAT: training time added, tensorflow by litert") == {
        "": "QAT: training time added, tensorflow by litert",
        "here": "+100%",
        "published": "+218%",
    }
    assert cells(table, "PTQ: calibration, torch by onnx")["published"] == "about 40 s"
    assert "levels are not comparable" in table.note
    assert "not the same computation" in table.note


def test_each_picture_of_the_write_up_has_its_published_one_which_says_what_cannot_be_compared():
    drawn = {chart.name: chart for chart in charts(a_report())}

    for figure in ("accuracy", "latency_seconds", "file_bytes", "added_training"):
        here, there = drawn[f"write_up_{figure}"], drawn[f"write_up_{figure}_published"]
        assert here.values
        assert there.values
        assert "The two baselines were not the same computation" in there.caption
        assert "only the changes are comparable" in there.caption


def test_a_framework_that_the_write_up_does_not_have_is_drawn_alone():
    content = deployed_run({key: value for key, value in DEPLOYED.items() if key[0] == "torch"})
    for benchmark in content["benchmarks"]:
        benchmark["extra_info"] |= {"framework": "simulated", "environment": "simulated"}
    report = Report([run_of("", content)])

    names = {chart.name for chart in charts(report)}
    assert "write_up_accuracy" in names
    assert not any(name.endswith("_published") for name in names)


# --- profiles


def test_the_ten_costliest_operations_of_a_group_stand_side_by_side():
    many = [{"name": f"operation {n}", "seconds": 1 / n, "calls": n} for n in range(1, 31)]
    tables = profile_tables(a_report())

    sides = [[column.removesuffix(": operation") for column in table.columns[::3]] for table in tables]
    assert ["torch onnx", "tensorflow onnx"] in sides
    assert ["torch onnx qat", "tensorflow litert qat"] in sides
    assert Counter(name for side in sides for name in side) == {
        " ".join(key).removesuffix(" none"): 2 for key in DEPLOYED
    }
    shown = tables[sides.index(["torch onnx", "tensorflow onnx"])].rows[0].cells
    assert shown == ("aten::mkldnn_convolution", "20.0 ms", "100", "_FusedConv2D", "20.0 ms", "100")
    assert {len(table.rows) for table in profile_tables(a_report(profile=many))} == {10}


def test_profiles_of_the_pipeline_are_shown_too():
    profile = [{"name": "MatMul", "seconds": 0.5, "calls": 3}]
    run = saved_run(matrix(batch_sizes=(32,), workers=(0,), cache=("on",)), profile=profile, trace=None)

    titles = [table.title for table in profile_tables(Report([run_of("", run)]))]
    assert titles[2] == "training, cpu, batch 32, cache on, augment on"
    assert len(titles) == 6
