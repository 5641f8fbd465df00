"""What reports say of models that are exported, quantized and deployed."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from saved_runs import DEPLOYED, HOSTILE, deployed_run, matrix, nightly, saved_run
from stagebench.article.write_up import write_up_table
from stagebench.cli import main
from stagebench.history.history import read_history
from stagebench.history.page import history_page
from stagebench.report.charts import charts
from stagebench.report.deployment_sentences import (
    deployment_sentences,
    sanity_finding,
    sanity_lines,
    sanity_table,
)
from stagebench.report.deployment_tables import deployed, deployment_table, latency_table, steps_table
from stagebench.report.html import page
from stagebench.report.markdown import markdown
from stagebench.report.profiles import profile_tables
from stagebench.report.report import Report, fixed
from stagebench.report.tables import Table, pipeline_table
from stagebench.report.terminal import summary_lines
from stagebench.results.file import RunError, read_run, run_of
from stagebench.results.run import Run, in_order
from stagebench.stages import DEPLOYMENT, STAGES
from stagebench.statistics.comparison import FailOn
from stagebench.statistics.speedups import sanity_checks

LATER = ("precision", "execution", "deploy", "quantize")
FIGURES = (
    "file_bytes",
    "test_accuracy",
    "float32_accuracy",
    "agreement",
    "logit_difference",
    "integer_layers",
    "step_seconds",
    "call_seconds",
    "latency",
    "float32_training_seconds",
    "profile",
    "trace",
)
"""Keys of `extra_info` that came with the stages after the pipeline."""
TF_ONNX = ("tensorflow", "onnx", "none")
TF_PTQ = ("tensorflow", "litert", "ptq")


def a_run(**options) -> Run:
    return run_of("run.json", deployed_run(**options))


def a_report(**options) -> Report:
    return Report([a_run(**options)])


def cells(table: Table, first: str) -> dict[str, str]:
    """Return the cells of the row with this name, by column."""
    (row,) = [row for row in table.rows if row.cells[0] == first]
    return dict(zip(table.columns, row.cells, strict=True))


# --- the check of one runtime against itself, and what int8 gains


@pytest.mark.parametrize("ratio", [0.99, 1.0, 1.01, 1.049])
def test_equal_models_within_5_percent_show_no_difference(ratio):
    run = a_run(speed={TF_ONNX: ratio}, noise=0)

    rows = sanity_table(run.groups, by_recipe=False).rows
    assert [row.cells[1].split()[0] for row in rows] == [f"{ratio:#.3g}"] * 2, "a row for each batch size"
    assert {row.cells[2] for row in rows} == {"no difference (within 5%)"}
    assert all("no difference" in line for line in sanity_lines(run.groups, by_recipe=False))


@pytest.mark.parametrize(("ratio", "apart"), [(1.2, "20%"), (1 / 1.2, "20%"), (3.0, "200%")])
def test_equal_models_that_differ_are_called_different(ratio, apart):
    run = a_run(speed={TF_ONNX: ratio}, noise=0)

    findings = [row.cells[2] for row in sanity_table(run.groups, by_recipe=False).rows]
    assert len(findings) == 2
    assert all(finding.startswith(f"they DIFFER by {apart}") for finding in findings)
    assert not any("no difference" in text for text in (*findings, *sanity_lines(run.groups, False)))


@pytest.mark.parametrize(
    ("estimate", "spread", "finding"),
    [
        (1.04, 0.1, "no difference (within 5%)"),
        (1.1, 0.2, "inconclusive: give more --processes"),
        (
            1.1,
            0.01,
            "they DIFFER by 10%, though the work is the same: trust no small difference in this run",
        ),
    ],
)
def test_equal_models_are_called_different_only_where_their_interval_says_so(estimate, spread, finding):
    check, _ = sanity_checks(a_run().groups)
    ratio = replace(check.ratio, estimate=estimate, spread=spread)

    assert sanity_finding(replace(check, ratio=ratio)) == finding


def test_the_check_pairs_float32_models_of_two_frameworks_in_one_runtime_and_its_ratio_has_an_interval():
    checks = sanity_checks(a_run(noise=0.03).groups)

    assert [(c.first.label(by_recipe=False), c.second.label(by_recipe=False)) for c in checks] == [
        ("torch onnx", "tensorflow onnx")
    ] * 2
    for check in checks:
        low, high = check.ratio.interval
        assert low < check.ratio.estimate < high
    assert sanity_checks(a_run(models={k: v for k, v in DEPLOYED.items() if k[0] == "torch"}).groups) == []


def test_what_int8_gains_is_said_with_its_interval_at_the_largest_batch_size():
    sentences = list(deployment_sentences(a_run(noise=0).groups, by_recipe=False))

    gain = "3.64 (3.59-3.69) times as fast as float32 by litert"
    over_graph = "4.70 (4.63-4.76) times as fast as float32 by graph"
    assert f"tensorflow, cpu, batch 32: int8 (ptq) by litert is {gain} and {over_graph}." in sentences
    assert sum("times as fast as float32" in sentence for sentence in sentences) == 6
    assert not any("batch 1:" in sentence for sentence in sentences)


def test_each_framework_reaches_2_5_times_or_is_said_not_to():
    reached = list(deployment_sentences(a_run(noise=0).groups, by_recipe=False))[-4:]
    assert [text.split(":")[0] for text in reached] == ["torch", "torch", "tensorflow", "tensorflow"]
    fast = "int8 reaches 2.5 times the speed of float32 in the same form: 2.88 (2.84-2.92) by compile (ptq)."
    assert f"torch: {fast}" in reached

    slow = {("tensorflow", "litert", how): 0.55 for how in ("dynamic", "ptq", "qat")}
    run = a_run(noise=0, speed={("torch", "compile", "none"): 1.6, **slow})

    assert list(deployment_sentences(run.groups, by_recipe=False))[-4:] == [
        "torch: int8 does NOT reach 2.5 times the speed of float32 in the same form; "
        "the most is 1.80 (1.77-1.82) by compile (ptq).",
        "torch: int8 reaches 2.5 times the speed of float32 by eager, the framework's own form: "
        "3.14 (3.09-3.18) by compile (ptq).",
        "tensorflow: int8 does NOT reach 2.5 times the speed of float32 in the same form; "
        "the most is 2.00 (1.97-2.03) by litert (ptq).",
        "tensorflow: int8 reaches 2.5 times the speed of float32 by graph, the framework's own form: "
        "2.58 (2.55-2.62) by litert (ptq).",
    ]


def test_int8_is_compared_with_what_was_measured_beside_it_alone():
    same_form = {key: DEPLOYED[key] for key in DEPLOYED if key[1] == "litert"}
    own_form = {key: DEPLOYED[key] for key in DEPLOYED if key[1] == "graph" or key[2] != "none"}
    of_same = list(deployment_sentences(a_run(models=same_form).groups, by_recipe=False))
    of_own = list(deployment_sentences(a_run(models=own_form).groups, by_recipe=False))
    int8_alone = {key: DEPLOYED[key] for key in DEPLOYED if key[2] != "none"}

    assert len(of_same) == len(of_own) == 4
    assert not any("graph" in text for text in of_same)
    assert not any("float32 by litert" in text or "torch" in text for text in of_own)
    assert list(deployment_sentences(a_run(models=int8_alone).groups, by_recipe=False)) == []


def test_one_process_has_intervals():
    run = a_run(processes=1)

    told = [*deployment_sentences(run.groups, by_recipe=False), *sanity_lines(run.groups, by_recipe=False)]
    assert all("-" in text.partition("(")[2] for text in told)


# --- the terminal


@pytest.mark.parametrize("width", [30, 60, 80, 100, 200])
def test_the_summary_has_each_models_figures_and_fits_every_terminal(width):
    lines = summary_lines(a_run(noise=0).results, width)

    assert max(map(len, lines)) <= width, max(lines, key=len)
    text = " ".join(" ".join(lines).split())
    for figure in ("292 kB", "91.1%", "99.1%", "0.82", "47.0 us", "89.3 us", "1.32 ms", "2.51 ms"):
        assert figure in text
    assert text.count("no difference (within 5%)") == 2
    assert "int8 (ptq) by litert is 3.64" in text
    assert "2w:" not in text


def test_a_table_of_a_wide_terminal_has_all_columns():
    lines = summary_lines(a_run(noise=0).results, 120)

    header, *_ = [line for line in lines if line.startswith("deployed")]
    assert " ".join(header.split()[1:]) == "size accuracy same apart median p95 p99 images/s"
    (row, *_) = [line for line in lines if line.startswith("  tensorflow litert ptq") and "kB" in line]
    assert " ".join(row.split()[3:]) == "292 kB 91.1% 99.1% 0.82 47.0 us 61.1 us 89.3 us 21,277"


def test_the_pipelines_summary_is_as_it_was():
    run = run_of("", saved_run(matrix(batch_sizes=(32,), workers=(0,))))
    text = "\n".join(summary_lines(run.results, 100))

    assert "deployed" not in text
    assert "0w: torch loads data in the process that trains; tensorflow chooses its threads." in text


# --- tables


def test_every_deployed_model_is_one_row_with_a_latency_for_each_batch_size():
    models = deployed(a_report(noise=0))
    table = deployment_table(models)

    assert [row.cells[0] for row in table.rows] == [" ".join(key).removesuffix(" none") for key in DEPLOYED]
    assert cells(table, "tensorflow litert ptq") == {
        "deployment": "tensorflow litert ptq",
        "size": "292 kB",
        "accuracy": "91.1%",
        "to float32": "-0.2 pt",
        "same answers": "99.1%",
        "max logit difference": "0.82",
        "int8 layers": "5",
        "latency, batch 1": "47.0 us",
        "latency, batch 32": "1.32 ms",
        "images/s, batch 32": "24,242",
        "peak": "700 MiB",
    }
    assert {row.cells[0] for row in latency_table(models).rows} == {row.cells[0] for row in table.rows}
    assert cells(steps_table(models), "torch onnx qat")["added"] == "+100%"
    assert cells(steps_table(models), "torch onnx ptq")["calibration"] == "1.10 s"


def test_what_is_not_known_leaves_rows_and_columns_out():
    report = a_report(**dict.fromkeys(FIGURES))
    models = deployed(report)

    table = deployment_table(models)
    assert table.columns == (
        "deployment", "latency, batch 1", "latency, batch 32", "images/s, batch 32", "peak"
    )  # fmt: skip
    assert steps_table(models).rows == []
    assert {chart.name for chart in charts(report)} >= {"inference"}
    assert not any(chart.name.startswith("accuracy_") for chart in charts(report))
    assert [row.cells[0] for row in write_up_table(report).rows] == [
        "inference time of a call, torch by onnx",
        "inference time of a call, tensorflow by litert",
    ]
    assert profile_tables(report) == []
    assert "From trained to deployed" in page(report)


def test_exporting_alone_has_its_sizes_and_no_latency():
    content = deployed_run()
    content["benchmarks"] = [b for b in content["benchmarks"] if b["extra_info"]["stage"] == "exporting"]
    report = Report([run_of("", content)])

    table = deployment_table(deployed(report))
    assert "size" in table.columns
    assert not any("latency" in column for column in table.columns)
    assert len(table.rows) == 7
    assert "#scaling" not in page(report)
    assert summary_lines(report.runs[0].results, 80)


# --- runs from before, damaged ones, and what knows the stages


def test_a_run_from_before_reads_as_it_did():
    content = saved_run(matrix())
    for benchmark in content["benchmarks"]:
        for name in LATER:
            del benchmark["extra_info"][name]
    case = matrix()[0]
    failed = {**benchmark["extra_info"], "outcome": "failed", "reason": "it died"}
    content["stagebench"]["not_measured"] = [failed]
    run = run_of("", content)

    assert {case for case in run.cases if case.cache} == set(matrix())
    assert (case.precision, case.execution, case.deploy, case.quantize) == ("float32", "default", "", "none")
    text = page(Report([run]))
    assert 'id="pipeline"' in text
    assert 'id="deployment"' not in text
    assert 'id="profiles"' not in text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((name, 7) for name in LATER),
        *((name, ["none"]) for name in LATER),
        ("precision", "float8"),
        ("quantize", "int4"),
        ("deploy", "x" * 101),
        ("test_accuracy", "high"),
        ("agreement", 1.5),
        ("float32_accuracy", -0.1),
        ("logit_difference", -1),
        ("integer_layers", 0.5),
        ("step_seconds", [1, 2]),
        ("step_seconds", {"training": "long"}),
        ("latency", {"median": 0}),
        ("latency", {"p99": None}),
        ("latency", 0.1),
        ("call_seconds", "0.1"),
        ("float32_training_seconds", 1e300),
        ("profile", [{"name": "x"}]),
        ("profile", [{"name": "x", "seconds": -1, "calls": 1}]),
        ("profile", {"name": "x", "seconds": 1, "calls": 1}),
        ("trace", 3),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(key, value, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(deployed_run(**{key: value})))

    with pytest.raises(RunError, match="is not a run of this suite") as caught:
        read_run(path)
    assert str(caught.value).count("\n") == 0
    assert main(["report", str(path), "-o", str(tmp_path / "out.html")]) == 2


def test_extreme_figures_make_a_report_all_the_same(tmp_path, capsys):
    extreme = {
        "file_bytes": 0,
        "test_accuracy": 0,
        "float32_accuracy": 1,
        "logit_difference": 1e300,
        "latency": {},
        "step_seconds": {"training": 1e-9, "conversion": None, HOSTILE: 1.0},
        "float32_training_seconds": 1e9,
        "profile": [],
    }
    path = tmp_path / "run.json"
    path.write_text(json.dumps(deployed_run(**extreme)))

    assert main(["report", str(path), "-o", str(tmp_path / "out.html")]) == 0
    assert main(["report", str(path), "--format=svg", "-o", str(tmp_path / "charts")]) == 0
    assert main(["report", str(path), "--format=markdown"]) == 0
    assert "to float32" in capsys.readouterr().out
    assert summary_lines(read_run(path).results, 80)


def test_the_stages_after_the_pipeline_come_after_it():
    assert in_order(list(reversed(STAGES))) == list(STAGES)
    assert FailOn.parse("slower:10%,inference=slower:20%").of_stage == {"inference": 0.2}


def test_a_history_follows_deployed_models(tmp_path):
    history = read_history(nightly([deployed_run() for _ in range(2)], tmp_path))

    assert history.passed_over == [f"{tmp_path}/0001.json is the same run as {tmp_path}/0000.json"]
    assert [one.stage for one in history.series] == sorted(
        (one.stage for one in history.series), key=list(STAGES).index
    )
    assert "tensorflow litert ptq" in history_page(history)


def test_a_pages_filters_name_new_axes_only_where_they_vary():
    assert set(fixed(Report([run_of("", saved_run(matrix()))]).varying)).isdisjoint(LATER)
    several = {axis for axis, values in a_report().varying.items() if len(values) > 1}
    assert {"deploy", "quantize", "batch size"} <= several
    assert "precision" not in several


def test_a_case_of_other_precision_has_the_pipelines_other_stages_from_the_plain_one():
    plain = matrix(batch_sizes=(32,), workers=(0,), cache=("on",))[0]
    half = replace(plain, precision="bfloat16")
    content = saved_run([plain])
    content["benchmarks"] += saved_run([half], stages=("training", "evaluation"))["benchmarks"]
    table = pipeline_table(Report([run_of("", content)]), "steady")

    assert [row.cells[0] for row in table.rows] == ["torch, 0w", "torch bfloat16, 0w"]
    first, second = (row.cells[1:] for row in table.rows)
    assert [a == b for a, b in zip(first, second, strict=True)] == [
        True,
        True,
        False,
        True,
        True,
        False,
        False,
    ]
    assert all(second)


def test_markdown_has_every_table_of_the_deployed_models():
    report = Report([run_of("", saved_run(matrix(batch_sizes=(32,)))), a_run()])
    text = markdown(report)

    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    for title in ("From trained to deployed", "the suite's own check", "every deployed case"):
        assert titles.count(title) == 1, title
    assert {"latency of single calls", "steps of quantization", "the quantization write-up"} <= set(titles)
    assert "int8 (ptq) by litert" in text
    assert {stage for stage in DEPLOYMENT if stage in titles} == {*DEPLOYMENT}
