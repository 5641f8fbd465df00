"""What `stagebench compare` says of saved runs: each verdict and each exit code."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from dataclasses import replace

import numpy as np
import pytest

from saved_runs import HOSTILE, hostile, matrix, saved_run
from stagebench.cli import main
from stagebench.report.comparison import comparison_of, side_of, text_of
from stagebench.results.file import run_of
from stagebench.statistics.comparison import FailOn, compare, confirm, exit_code

TORCH = matrix(batch_sizes=(32,), workers=(0,), cache=("on",))[0]
STAGES = ("training", "evaluation")


def run_at(speeds, noise=0.005, processes=5, seed=0, steady=True, **info):
    """Return a saved run of torch in environments whose training takes so many times as long.

    Earlier runs have shown that the machine is steady, unless that is not so.
    """
    cases = {name: replace(TORCH, environment=name) for name in speeds}
    content = saved_run(list(cases.values()), STAGES, processes, noise=noise, seed=seed, **info)
    for benchmark in content["benchmarks"]:
        if benchmark["extra_info"]["stage"] == "training":
            factor = speeds[benchmark["extra_info"]["environment"]]
            benchmark["stats"]["data"] = [factor * seconds for seconds in benchmark["stats"]["data"]]
    if steady:
        drifts = [{"stage": stage, "spread": 0.01, "freedom": 20} for stage in STAGES]
        content["stagebench"]["drifts"] = drifts
    return content


@pytest.fixture
def compared(tmp_path, capsys):
    """Return a function that compares two saved runs; returns exit code, standard output and error."""

    def compare_(base, head, *options, of=("", "")):
        paths = []
        for name, content in (("base", base), ("head", head)):
            path = tmp_path / f"{'base' if head is base else name}.json"
            path.write_text(content if isinstance(content, str) else json.dumps(content))
            paths.append(f"{path}{of[len(paths)]}")
        code = main(["compare", *paths, *options])
        return code, *capsys.readouterr()

    return compare_


def changes_of(base, head, stage="training"):
    found = comparison_of(run_of("base", base), run_of("head", head))
    return [change for change in found.changes if change.stage == stage]


@pytest.mark.parametrize(
    ("factor", "word", "code"), [(1.2, "SLOWER", 1), (0.8, "FASTER", 0), (1.0, "SAME", 0), (1.02, "SAME", 0)]
)
def test_a_case_is_slower_faster_or_the_same(compared, factor, word, code):
    base, head = run_at({"torch": 1}), run_at({"torch": factor}, seed=1)

    found, text, _ = compared(base, head)
    assert found == code
    (row,) = [line for line in text.splitlines() if line.startswith("training")]
    assert row.split("  ")[-1 if code == 0 else -2].strip() == word
    (change,) = changes_of(base, head)
    assert change.word == word
    assert change.ratio.interval[0] < factor < change.ratio.interval[1]


def test_a_wide_interval_is_unknown_says_what_would_not_be_seen_and_stops_nothing(compared):
    code, text, _ = compared(run_at({"torch": 1}, noise=0.15), run_at({"torch": 1}, noise=0.15, seed=1))

    assert code == 0
    assert "2 inconclusive" in text
    assert "a slow-down of up to " in text


def test_versions_of_one_run_are_compared_by_pairs_with_the_base_measured_twice(compared):
    run = run_at({"torch@1": 1, "torch@1+again": 1, "torch@2": 1.3})

    code, text, _ = compared(run, run, of=("#torch@1", "#torch@2"))
    assert code == 1
    assert "base again / base" in text
    assert "different sessions" not in text
    assert "Regression: training, torch: 1.3" in text

    code, text, _ = compared(run, run, of=("#torch@2", "#torch@1"))
    assert code == 0
    assert "1 FASTER" in text


def test_versions_saved_in_two_files_are_one_framework(compared):
    code, text, _ = compared(run_at({"torch@1": 1}), run_at({"torch@2": 1}, seed=1))

    assert code == 0
    assert "2 SAME" in text
    assert "measured in different sessions" in text


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("slower", 1),
        ("slower:10%", 1),
        ("slower:25%", 0),
        ("slower:25%,training=slower:10%", 1),
        ("slower:10%,training=slower:25%", 0),
        ("training=slower:25%", 0),
        ("evaluation=slower:25%", 1),
    ],
)
def test_a_limit_holds_for_the_run_and_for_a_stage(compared, limit, code):
    found, *_ = compared(run_at({"torch": 1}), run_at({"torch": 1.2}, seed=1), f"--fail-on={limit}")

    assert found == code


@pytest.mark.parametrize(
    "text", ["", "faster", "slower:", "slower:10", "slower:0.2%", "slower:nan%", "fit=slower"]
)
def test_a_limit_that_is_none_is_refused(text):
    with pytest.raises(ArgumentTypeError, match="is not slower"):
        FailOn.parse(text)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"device_name": "Another CPU"}, "base and head differ in device"),
        ({"dataset_fingerprint": "f"}, "base and head differ in data set"),
        ({"workload": {"epochs": 3}}, "base and head differ in workload"),
        ({"threads": 1}, "base and head differ in number of threads"),
    ],
)
def test_what_cannot_be_compared_is_2_also_beside_what_can(compared, changed, reason):
    base, head = run_at({"torch": 1}), run_at({"torch": 1}, seed=1)
    head["benchmarks"][0]["extra_info"] |= changed

    code, text, _ = compared(base, head)
    assert code == 2
    assert "1 inconclusive" in text
    assert f": {reason}." in text
    assert "Exit 2: it cannot be told whether there is a regression." in text


def test_where_twice_the_time_may_not_be_seen_it_cannot_be_told(compared):
    code, text, _ = compared(run_at({"torch": 1}, noise=0.5), run_at({"torch": 1}, noise=0.5, seed=1))

    assert code == 2
    assert "2 inconclusive" in text


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.5, 1)])
def test_the_first_two_runs_of_three_processes_on_a_machine_are_decided(compared, factor, code):
    base, head = (run_at({"torch": f}, noise=0.03, processes=3, steady=False) for f in (1, factor))

    found, text, _ = compared(base, head)
    assert found == code
    assert "a drift of the machine in between of 5%" in text


def test_equal_code_at_two_times_is_seldom_called_different():
    generator = np.random.default_rng(0)
    words = []
    for seed in range(100):
        drift = float(np.exp(generator.normal(0, 0.05)))
        base = run_at({"torch": 1}, seed=2 * seed, steady=False)
        head = run_at({"torch": drift}, noise=0.03, seed=2 * seed + 1, steady=False)
        words += [change.word for change in changes_of(base, head)]
    assert sum(word in ("SLOWER", "FASTER") for word in words) <= 1


def test_a_case_that_is_gone_is_2_and_one_that_is_new_is_named(compared):
    one, two = run_at({"torch": 1}), run_at({"torch": 1, "torch@2": 1})

    code, text, _ = compared(two, run_at({"torch@9": 1, "torch@2": 1}))
    assert code == 2
    assert "2 REMOVED" in text
    assert "2 ADDED" in text
    assert "2 that the base has are not in the head" in text
    both = {"torch": 1, "simulated": 1}
    head = run_at(both)
    for benchmark in head["benchmarks"]:
        benchmark["extra_info"]["framework"] = benchmark["extra_info"]["environment"]
    code, text, _ = compared(one, head)
    assert code == 0
    assert "2 ADDED" in text


def test_a_regression_outweighs_what_is_gone(compared):
    base, head = run_at({"torch": 1}), run_at({"torch": 1.5}, seed=1)
    head["benchmarks"] = [b for b in head["benchmarks"] if b["extra_info"]["stage"] == "training"]

    assert compared(base, head)[0] == 1


def test_nothing_in_common_is_2(compared):
    base, head = run_at({"torch": 1}), run_at({"torch": 1})
    base["benchmarks"], head["benchmarks"] = base["benchmarks"][:1], head["benchmarks"][1:]

    assert compared(base, head)[0] == 2
    head["benchmarks"] = base["benchmarks"] = []
    code, text, _ = compared(base, head)
    assert code == 2
    assert "nothing in common" in text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: json.dumps(run)[:-40], "is not JSON"),
        (lambda run: "[]", "is not a run of this suite"),
        (lambda run: json.dumps(run).replace('"data": [', '"data": [NaN, '), "is not JSON"),
        (
            lambda run: json.dumps({**run, "stagebench": {"schema": 2}}),
            "another release of stagebench (schema 2)",
        ),
        (lambda run: json.dumps({**run, "benchmarks": 2 * run["benchmarks"]}), "more than once"),
        (lambda run: "[" * 100_000, "is not JSON"),
    ],
)
def test_a_damaged_or_foreign_file_is_one_sentence_and_2(compared, spoil, message):
    run = run_at({"torch": 1})

    code, text, error = compared(run, spoil(run))
    assert code == 2
    assert text == ""
    assert message in error
    assert "head.json" in error
    assert len(error.splitlines()) == 1


def test_an_environment_that_is_not_there_is_named_with_those_that_are(compared):
    run = run_at({"torch@1": 1, "torch@2": 1})

    code, _, error = compared(run, run, of=("#torch@1", "#torch@3"))
    assert code == 2
    assert "holds no environment 'torch@3'; it holds: torch@1, torch@2" in error


@pytest.mark.parametrize(
    ("second", "code", "said"), [(1.2, 1, "confirmed"), (1.0, 0, "Not confirmed: training")]
)
def test_a_regression_counts_when_a_second_measurement_finds_it_too(second, code, said):
    runs = [run_of("", run_at({"torch": factor}, seed=i)) for i, factor in enumerate((1, 1.2, second))]
    (base, head, again), memory = map(side_of, runs), runs[0].memory
    changes = compare(base, head, memory=memory)
    regressions = {change.key for change in changes if FailOn().fails(change)}
    assert [stage for stage, _ in regressions] == ["training"]

    confirmed = confirm(changes, [c for c in compare(base, again, memory=memory) if c.key in regressions])
    assert exit_code(confirmed, FailOn()) == code
    found = replace(
        comparison_of(run_of("a", run_at({"torch": 1})), run_of("b", run_at({"torch": 1}))), changes=confirmed
    )
    assert said in text_of(found, FailOn())


def test_json_holds_what_the_table_says_and_markdown_no_markup_of_strangers(compared, tmp_path):
    base, head = run_at({"torch": 1}), run_at({"torch": 1.2}, seed=1)
    path = tmp_path / "out.json"
    code, text, _ = compared(base, head, "--format=json", f"--output={path}")
    content = json.loads(path.read_text())
    assert (code, text, content["exit_code"]) == (1, "", 1)
    (training,) = [c for c in content["comparisons"][0]["changes"] if c["stage"] == "training"]
    assert (training["verdict"], training["regression"], training["environment"]) == ("SLOWER", True, "torch")
    low, high = training["ratio"]["interval"]
    assert low < training["ratio"]["estimate"] < high

    case = hostile(TORCH, HOSTILE)
    code, text, _ = compared(saved_run([case, TORCH]), saved_run([case, TORCH], seed=1), "--format=markdown")
    assert "<script" not in text
    assert code == 0
