"""Every verdict that people read, taken apart and checked against the rounds that it was made from."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from msgspec import structs

import saved_runs
from saved_runs import deployed_run, matrix, saved_run
from stagebench.case import Case
from stagebench.report.chart_parts import look
from stagebench.report.html import page
from stagebench.report.markdown import markdown
from stagebench.report.overview import UNDECIDED, overview_chart
from stagebench.report.report import Report
from stagebench.report.terminal import summary_lines
from stagebench.report.verdicts import (
    NOTHING_TO_COMPARE,
    VerdictRow,
    setting,
    shared_settings,
    varied_axes,
    verdict_rows,
)
from stagebench.results.file import run_of
from stagebench.results.info import Info
from stagebench.results.result import Result
from stagebench.results.run import NotMeasured, Run
from stagebench.statistics.group import Group
from stagebench.statistics.prior import Prior

NUMBER = r"([\d,.]+)"
NOISES = [0.002, 0.02, 0.3]
"""Noises, as standard deviations of logarithms: differences are real, near the limit, or lost."""
BEFORE = {"SLOWER": "", "SAME": "within 5%: ", "UNKNOWN": "inconclusive: "}
TORCH = Case("torch", "torch")
TENSORFLOW = Case("tensorflow", "tensorflow", workers="auto")
INFO = Info(cold_seconds=1.0, framework_version="1.0", peak_rss_bytes=0, rounds_per_process=[1, 1, 1])


def a_run(noise: float = 0.01, seed: int = 0, **options: object) -> Run:
    return run_of("run.json", saved_run(matrix(**options), noise=noise, seed=seed))


def a_group(seconds: dict[Case, list[float]], stage: str = "training") -> Group:
    """Return a group whose cases have these medians, a process each, where little scatter is expected."""
    results = [
        Result(stage, case, [[median] for median in medians], INFO) for case, medians in seconds.items()
    ]
    return Group(results, Prior(0.005, 50))


def row_of(group: Group, by_recipe: bool = False) -> VerdictRow:
    (row,) = verdict_rows([group], by_recipe)
    return row


def figures_in(verdict: str) -> list[float]:
    """Return the ratio that is stated, and the ends of its interval."""
    ratio = re.search(rf" {NUMBER}x", verdict)
    interval = re.search(rf"\({NUMBER} to {NUMBER}\)", verdict)
    assert ratio, verdict
    assert interval, verdict
    return [float(figure.replace(",", "")) for figure in (ratio[1], *interval.groups())]


@pytest.fixture(params=[0.8, 1.0], ids=["tensorflow_is_faster", "both_are_as_fast"])
def speed(request, monkeypatch):
    monkeypatch.setitem(saved_runs.FASTER, "tensorflow", request.param)
    return request.param


@pytest.mark.parametrize("noise", NOISES)
def test_a_row_gives_winner_ratio_and_interval_and_claims_no_more_than_the_verdict(noise, speed):
    run = a_run(noise, workers=(0,))
    rows = verdict_rows(run.groups, by_recipe=False)
    if noise == min(NOISES):
        assert {row.word for row in rows} == {"faster" if speed < 1 else "same"}
    assert len(rows) == len(run.groups)
    for row, group in zip(rows, run.groups, strict=True):
        ((loser, ratio),) = group.ratios.items()
        word = group.verdicts[loser].word
        assert row.winner == group.fastest.case
        assert row.verdict.startswith(f"{BEFORE[word]}{row.winner.framework} "), row.verdict
        assert ("x faster (" in row.verdict) == (word == "SLOWER"), row.verdict
        assert row.verdict.endswith(")") == (word != "UNKNOWN"), row.verdict
        assert row.verdict.endswith(group.verdicts[loser].reason)
        assert figures_in(row.verdict) == pytest.approx([ratio.estimate, *ratio.interval], rel=6e-3)


def test_the_words_are_few():
    faster = a_group({TORCH: [1.2, 1.2, 1.2], TENSORFLOW: [1.0, 1.0, 1.0]})
    same = a_group({TORCH: [1.0, 1.0, 1.0], TENSORFLOW: [1.0, 1.0, 1.0]}, "model_loading")

    told = [re.sub(r"\(.*\)", "(...)", row.verdict) for row in verdict_rows([faster, same], False)]
    assert told == ["tensorflow 1.20x faster (...)", "within 5%: torch 1.00x (...)"]


def test_rows_have_the_order_of_the_stages_and_name_only_settings_in_which_groups_differ():
    run = a_run(batch_sizes=(32,), workers=(0,))
    rows = verdict_rows(list(reversed(run.groups)), by_recipe=False)

    assert [(row.stage, row.setting) for row in rows] == [
        ("data loading", "cache on"),
        ("data loading", "cache off"),
        ("model building", ""),
        ("training", "cache on"),
        ("training", "cache off"),
        ("model saving", ""),
        ("model loading", ""),
        ("evaluation", "cache on"),
        ("evaluation", "cache off"),
    ]
    assert shared_settings(run.groups) == "cpu, batch 32, augment on, matched"
    several = a_run(batch_sizes=(16, 32), cache=("on",), recipes=("published", "matched")).groups
    assert {row.setting for row in verdict_rows(several, by_recipe=True)} == {"batch 16", "batch 32", ""}
    assert shared_settings(several) == "cpu, cache on, augment on"


def test_a_network_alone_is_shared_and_of_two_each_row_that_has_a_model_names_its_own():
    other = replace(TORCH, network="other")
    loading, own, others = (
        a_group({case: [1.0] * 3}, stage)
        for case, stage in ((TORCH, "data_loading"), (TORCH, "training"), (other, "training"))
    )

    assert varied_axes([loading, others]) == set()
    assert shared_settings([loading, others]) == "cpu, batch 32, cache on, augment on, other, matched"
    varied = varied_axes([loading, own, others])
    assert [setting(group, varied) for group in (loading, own, others)] == ["", "", "other"]


def test_of_several_cases_of_one_framework_the_fastest_is_compared_and_named():
    two_workers, no_workers = replace(TORCH, workers=2), TORCH
    slow = {TENSORFLOW: [2.0, 2.0, 2.0], no_workers: [1.5, 1.5, 1.5], two_workers: [1.0, 1.0, 1.0]}
    assert row_of(a_group(slow)).verdict.startswith("torch, 2w 2.00x faster (")
    assert row_of(a_group(slow)).medians == {"torch": "1.00 s, 2w", "tensorflow": "2.00 s"}

    fast = {TENSORFLOW: [1.0, 1.0, 1.0], no_workers: [1.5, 1.5, 1.5], two_workers: [1.2, 1.2, 1.2]}
    assert row_of(a_group(fast)).verdict.startswith("tensorflow 1.20x faster (")


def test_of_one_framework_alone_its_cases_are_compared():
    seconds = {replace(TORCH, workers=workers): [1 + workers / 10] * 3 for workers in (0, 2, 4)}
    assert row_of(a_group(seconds)).verdict.startswith("torch, 0w 1.20x faster than torch, 2w (")


def test_an_interval_apart_from_1_that_decides_nothing_says_why():
    apart = row_of(a_group({TORCH: [1.21, 1.36, 1.52], TENSORFLOW: [1.0] * 3}), by_recipe=False)
    near = row_of(a_group({TORCH: [0.9, 1.02, 1.1], TENSORFLOW: [1.0] * 3}), by_recipe=False)

    assert apart.word == near.word == "unknown"
    assert figures_in(apart.verdict)[1] > 1
    assert "), below the noise floor; --processes=" in apart.verdict
    assert "noise floor" not in near.verdict


def test_of_several_recipes_the_row_is_of_the_nearest_and_names_it():
    recipes = {replace(TORCH, recipe="tuned"): [1.0] * 3, TENSORFLOW: [2.0] * 3, TORCH: [1.5] * 3}
    row = row_of(a_group(recipes), by_recipe=True)
    assert row.verdict.startswith("torch tuned 1.50x faster than torch matched (")

    recipes[TORCH] = [1.0] * 3
    row = row_of(a_group(recipes), by_recipe=True)
    assert row.verdict.startswith("within 5%: torch tuned 1.00x as fast as torch matched (")


def test_one_that_is_inconclusive_leaves_the_row_so_with_what_settles_the_hardest():
    far, near = [1.06, 1.5, 1.9], [1.3, 1.0, 1.6]
    seconds = {TENSORFLOW: [1.0] * 3, TORCH: far, replace(TORCH, recipe="tuned"): near}
    group = replace(a_group(seconds), prior=Prior(0.3, 5))
    row, verdicts = row_of(group, by_recipe=True), [group.verdicts[case] for case in group.ratios]

    assert {verdict.word for verdict in verdicts} == {"UNKNOWN"}
    assert len({verdict.more for verdict in verdicts}) == 2
    hardest = max(verdicts, key=lambda verdict: verdict.more)
    assert row.verdict.startswith("inconclusive: tensorflow matched 1.")
    assert "x as fast as torch tuned (" in row.verdict
    assert row.verdict.endswith(f"; {hardest.reason}")
    assert re.search(r"; --processes=\d+ may settle it, at least \d+ (s|min) more$", row.verdict)


def test_runs_of_one_case_alone_have_no_table_and_a_group_that_lost_the_others_a_row():
    (case, other) = matrix(batch_sizes=(32,), workers=(0,), cache=("on",))
    run = run_of("", saved_run([case], ["training"]))
    report = Report([run])
    assert verdict_rows(run.groups, by_recipe=False) == []
    assert "verdict" not in " ".join(summary_lines(run.results, 80))
    for text in (markdown(report), page(report)):
        assert NOTHING_TO_COMPARE in text
    assert '<table class="verdicts">' not in page(report)

    content = saved_run([case, other], ["training", "evaluation"])
    content["benchmarks"].pop()
    rows = verdict_rows(run_of("", content).groups, by_recipe=False)
    assert [row.verdict for row in rows][1] == "torch alone"


def test_a_row_names_who_failed_and_a_group_that_failed_as_a_whole_has_one():
    run = a_run(batch_sizes=(32,), workers=(0,), cache=("on",))
    lost = {("training", "tensorflow"), ("evaluation", "torch"), ("evaluation", "tensorflow")}
    reason = "the worker process failed\nTraceback (most recent call last):\nValueError: no such weight\n"
    kept = [one for one in run.results if (one.stage, one.case.framework) not in lost]
    missing = [NotMeasured(one.stage, one.case, "failed", reason) for one in run.results if one not in kept]
    broken = replace(run, results=kept, not_measured=missing)

    rows = {row.stage: row.verdict for row in verdict_rows(broken.groups, False, broken.not_measured)}
    assert len(rows) == 6
    assert rows["training"] == "torch alone; tensorflow failed"
    assert rows["evaluation"] == "torch, 0w failed; tensorflow failed"
    assert "failed" not in rows["model loading"]
    for text in (markdown(Report([broken])), re.sub("<.*?>", "", page(Report([broken])))):
        assert "torch alone; tensorflow failed" in text
        assert "the worker process failed: ValueError: no such weight" in text
    skipped = [replace(one, outcome="skipped") for one in missing]
    assert "failed" not in str(verdict_rows(broken.groups, False, skipped))


@pytest.mark.parametrize(
    "content",
    [
        saved_run(matrix(), noise=0.05),
        saved_run(matrix(batch_sizes=(32,), cache=("on",), recipes=("published", "matched", "tuned"))),
        deployed_run(),
    ],
    ids=["settings", "recipes", "deployed"],
)
def test_terminal_markdown_and_page_have_the_same_rows_each_once(content):
    report = Report([run_of("", content)])
    run = report.runs[0]
    rows = verdict_rows(run.groups, report.by_recipe)
    terminal = "\n".join(summary_lines(run.results, 300, run.groups))
    cells = re.sub(r"<.*?>", "", page(report).partition("<table")[2].partition("</table")[0])

    assert len(rows) == len(run.groups)
    for row in rows:
        assert len(re.findall(rf"(?m)  {re.escape(row.verdict)}$", terminal)) >= 1
    for text in (markdown(report), cells):
        told = re.findall(r"(?m)^.* \([\d.,]+ to [\d.,]+\).*$", text)
        stated = [line for line in told if any(row.verdict in line for row in rows)]
        assert len(stated) == len(rows), text


@pytest.mark.parametrize("content", [saved_run(matrix(), noise=0.1), deployed_run()])
def test_no_sentence_stands_twice(content):
    run = run_of("", content)
    told = [line for line in markdown(Report([run])).splitlines() if line and line[0] not in "|#"]
    told = [line for line in told if not line.startswith("Traces: ")]  # of tables, each of its own files
    assert len(told) == len(set(told)) > 2
    terminal = "\n".join(summary_lines(run.results, 2000, run.groups))
    legend = terminal.rpartition("\n\n")[2].splitlines()
    assert all(terminal.count(line) == 1 for line in legend)


def test_the_overview_draws_each_verdict_in_the_winners_colour_or_in_grey():
    decided, open_ = (
        a_group({TORCH: [1.0] * 3, TENSORFLOW: [2.0] * 3}),
        a_group({TORCH: [1.0, 1.2, 0.9], TENSORFLOW: [1.1, 1.0, 1.1]}, "evaluation"),
    )
    results = [result for group in (decided, open_) for result in group.results]
    report = Report([replace(a_run(workers=(0,)), results=results)])
    chart = overview_chart(report)
    rows = verdict_rows(report.runs[0].groups, by_recipe=False)

    assert [row.word for row in rows] == ["faster", "unknown"]
    assert [value["colour"] for value in chart.values] == [look("torch")[0], UNDECIDED]
    assert [value["told"] for value in chart.values] == ["torch 2.00x", "inconclusive"]
    assert [value["row"].splitlines()[0] for value in chart.values] == ["training", "evaluation"]
    for value, row in zip(chart.values, rows, strict=True):
        assert [value["ratio"], value["low"], value["high"]] == pytest.approx(
            [row.ratio.estimate, *row.ratio.interval], rel=1e-3
        )


@pytest.mark.parametrize(
    ("other", "told"), [(TENSORFLOW, "torch 2.00x"), (TORCH, "torch normalize half, 0w 2.00x")]
)
def test_the_overview_names_a_winner_in_as_few_words_as_tell_it_apart(other, told):
    group = a_group({replace(TORCH, normalize="half"): [1.0] * 3, other: [2.0] * 3})
    chart = overview_chart(Report([replace(a_run(workers=(0,)), results=group.results)]))

    assert [value["told"] for value in chart.values] == [told]


def test_a_slower_cold_start_stands_beside_the_verdict_with_its_break_even():
    late, early = structs.replace(INFO, cold_seconds=10.0), INFO
    results = [
        Result("training", TORCH, [[1.0]] * 3, late),
        Result("training", TENSORFLOW, [[2.0]] * 3, early),
    ]
    row = row_of(Group(results, Prior(0.005, 50)))

    assert row.name == "torch"
    assert row.cold_start == "+9.00 s, break-even after 11"
    assert row.medians == {"torch": "1.00 s", "tensorflow": "2.00 s"}
