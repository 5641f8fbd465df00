"""Every sentence of a report's verdict, read back and checked against the rounds that it was made from."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from statistics import median

import numpy as np
import pytest

import saved_runs
from saved_runs import matrix, saved_run
from stagebench.article.published import agreement, comparisons
from stagebench.report.report import Report
from stagebench.report.sentences import (
    best_sentence,
    best_settings,
    group_sentence,
    options,
    outcome,
    outcomes_by_stage,
    reasons,
    stage_sentence,
)
from stagebench.results.file import run_of
from stagebench.results.result import Result
from stagebench.results.run import Run
from stagebench.statistics.group import Group

NUMBER = r"([\d,.]+)"
RATIO = rf"{NUMBER} times \(95% interval {NUMBER} to {NUMBER}\)"
TIME = rf"{NUMBER} (s|ms|us)"
UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
NOISES = [0.002, 0.02, 0.3]
"""Noises, as standard deviations of logarithms: differences are real, near the limit, or lost."""


def a_run(noise: float = 0.01, seed: int = 0, **options_: object) -> Run:
    return run_of("run.json", saved_run(matrix(**options_), noise=noise, seed=seed))


def result_of(group: Group, name: str) -> Result:
    (found,) = [result for result in group.results if result.case.label(by_recipe=False) == name]
    return found


@pytest.fixture(params=[0.8, 1.0], ids=["tensorflow_is_faster", "both_are_as_fast"])
def speed(request, monkeypatch):
    monkeypatch.setitem(saved_runs.FASTER, "tensorflow", request.param)
    return request.param


@pytest.mark.parametrize("noise", NOISES)
def test_a_groups_sentence_gives_ratio_and_interval_and_claims_no_more_than_the_verdict(noise, speed):
    groups = a_run(noise).groups
    if noise == min(NOISES):
        assert {outcome(group).word for group in groups} == {"faster" if speed < 1 else "same"}
    for group in groups:
        found = outcome(group)
        sentence = group_sentence(found, by_recipe=False)
        other, figures = other_in(sentence)
        winner, loser = result_of(group, found.winner.label(by_recipe=False)), result_of(group, other)
        assert winner is group.fastest
        expected = group.ratios[loser.case]
        assert figures == pytest.approx([expected.estimate, *expected.interval], rel=6e-3), sentence
        assert stated_time(sentence) == pytest.approx(winner.median_seconds, rel=6e-3), sentence
        verdict = group.verdicts[loser.case].word
        assert (" is faster " in sentence) == (verdict == "SLOWER"), sentence
        assert sentence.startswith("Inconclusive") == (verdict == "UNKNOWN"), sentence
        assert sentence.startswith("No difference above 5%") == (verdict == "SAME"), sentence


def other_in(sentence: str) -> tuple[str, list[float]]:
    """Return who is said to be slower, or as fast, and the three figures of the ratio."""
    if faster := re.search(rf"{RATIO} as fast as ([^.]+)\.$", sentence):
        return faster[4], [float(faster[n]) for n in (1, 2, 3)]
    other = re.search(rf"; (.+) t(?:akes|ook) {RATIO} as long\.$", sentence)
    assert other, sentence
    return other[1], [float(other[n]) for n in (2, 3, 4)]


def stated_time(sentence: str) -> float:
    value, unit = re.search(TIME, sentence).groups()
    return float(value.replace(",", "")) * UNIT[unit]


def test_of_several_cases_of_one_framework_the_fastest_is_compared():
    run = a_run(workers=(0, 2, 4), batch_sizes=(32,))
    for group in run.groups:
        (other,) = outcome(group).others
        same = [result for result in group.results if result.case.framework == other[0].framework]
        assert other[1].estimate == min(group.ratios[result.case].estimate for result in same)


def test_of_one_framework_alone_its_cases_are_compared():
    run = run_of("", saved_run([case for case in matrix(batch_sizes=(32,)) if case.framework == "torch"]))
    for group in run.groups:
        others = len(group.results) - 1  # of two numbers of workers, where there are workers
        assert len(outcome(group).others) == others
        assert ("nothing else" in group_sentence(outcome(group), by_recipe=False)) == (not others)


def test_a_case_alone_is_compared_with_nothing():
    (case, _) = matrix(batch_sizes=(32,), workers=(0,), cache=("on",))
    run = run_of("", saved_run([case], ["training"]))
    assert group_sentence(outcome(run.groups[0]), by_recipe=False).endswith(
        "nothing else was measured in this setting."
    )
    (sentence,) = [stage_sentence(found, by_recipe=False) for found in outcomes_by_stage(run).values()]
    assert sentence == "In the one setting there was nothing to compare with."


@pytest.mark.parametrize("noise", NOISES)
def test_the_sentence_of_a_stage_counts_its_groups_and_spans_their_ratios(noise, speed):
    for outcomes in outcomes_by_stage(a_run(noise)).values():
        sentence = stage_sentence(outcomes, by_recipe=False)
        words = Counter(found.word for found in outcomes)
        said = {"faster": r"is faster", "same": r"there is no difference", "unknown": r"it is inconclusive"}
        for word, text in said.items():
            some = r"(?:all )?(\d+)(?: of \d+)? settings|the (one) setting"
            counted = re.findall(rf"[Ii]n (?:{some}) (?:\w+ )?{text}", sentence)
            assert sum(int(many or 1) for many, _ in counted) == words[word], sentence
        won = [ratio for found in outcomes if found.word == "faster" for _, ratio in found.others]
        if won:
            low, high = re.search(rf"95% intervals from {NUMBER} to {NUMBER}\)", sentence).groups()
            assert float(low) == pytest.approx(min(ratio.interval[0] for ratio in won), rel=6e-3)
            assert float(high) == pytest.approx(max(ratio.interval[1] for ratio in won), rel=6e-3)
        if words["unknown"]:
            ahead = re.findall(r"(\w+) in (\d+)", sentence.partition("the least time: ")[2].partition(")")[0])
            winners = Counter(f.winner.framework for f in outcomes if f.word == "unknown")
            assert {who: int(count) for who, count in ahead} == dict(winners), sentence


@pytest.mark.parametrize("noise", NOISES)
def test_the_best_setting_has_the_most_images_a_second_and_names_its_equals(noise):
    run = a_run(noise, workers=(0, 2, 4))
    trainings = {result.case: result for result in run.results if result.stage == "training"}
    rates = {case: 4000 / median(np.ravel(result.rounds)) for case, result in trainings.items()}
    for best in best_settings(run):
        own = [case for case in rates if best.among in ("all", case.environment)]
        case = max(own, key=rates.get)
        sentence = best_sentence(best, by_recipe=False)
        figures = re.search(rf": {NUMBER} images/s \(95% interval {NUMBER} to {NUMBER}\)", sentence).groups()
        value, low, _ = (float(figure.replace(",", "")) for figure in figures)
        assert value == pytest.approx(rates[case], abs=0.6)
        reaching = [
            other for other in own if 4000 / trainings[other].interval[0] >= low - 0.5 and other != case
        ]
        stated = re.search(r"(\d+) other settings? cannot", sentence)
        assert int(stated[1] if stated else 0) == len(reaching), sentence
        assert f"batch {case.batch_size}, cache {case.cache}" in sentence


def test_the_options_of_the_best_setting_select_exactly_its_case(suite):
    case = replace(matrix()[0], framework="simulated", environment="simulated", workers=2)
    result = suite.run("--collect-only", "-q", "--stages=training", *options(case).split())
    result.stdout.fnmatch_lines([f"*test_training?{case.id}?"])
    assert sum("::" in line for line in result.outlines) == 1


def test_of_two_augmentations_each_has_a_best_setting():
    cases = [
        replace(case, augment=augment) for case in matrix(batch_sizes=(32,)) for augment in ("on", "off")
    ]
    found = best_settings(run_of("", saved_run(cases, ["training"])))
    assert Counter((best.among, best.result.case.augment) for best in found).keys() >= {
        ("all", "off"),
        ("all", "on"),
    }


def test_what_would_settle_what_is_inconclusive_is_said_once():
    run = run_of("", saved_run(matrix(), processes=1))
    said = reasons(run)
    assert len(said) == len(set(said)) >= 1
    assert all("would settle it, " in reason for reason in said)


def article_run(cases, preset="article", **changes) -> Report:
    content = saved_run(cases, ["training", "evaluation"], processes=1, rounds=1, **changes)
    content["stagebench"]["preset"] = preset
    return Report([run_of("", content)])


ROWS = [
    replace(case, recipe="published")
    for case in matrix(batch_sizes=(16, 32, 64), workers=(0,), cache=("on",))
]


def test_rows_of_the_article_stand_beside_what_was_measured_and_a_smaller_run_gives_no_published_seconds():
    (found,) = comparisons(article_run(ROWS))
    assert [row.cells[:2] for row in found.table.rows] == [
        ("TensorFlow", "16"),
        ("PyTorch", "32"),
        ("TensorFlow", "32"),
        ("TensorFlow", "64"),
    ], "of torch, the article has batch 32 alone with a cache and without workers"
    assert not any("published" in column and "Time" in column for column in found.table.columns)
    assert "Seconds are not compared: 2,000 images were trained on for 2 epochs here" in found.sentences[-1]


def test_a_run_of_the_articles_size_is_compared_in_seconds():
    workload = {"classes": 100, "epochs": 20}
    report = article_run(ROWS, workload=workload, images=1_000_000)
    for result in report.runs[0].results:
        if result.stage == "evaluation":
            result.info.images = 10_000
    (found,) = comparisons(report)
    published = found.table.columns.index("Training Time, published")
    assert [row.cells[published] for row in found.table.rows] == ["1,419 s", "1,217 s", "1,151 s", "1,021 s"]
    assert not any("not compared" in sentence for sentence in found.sentences)


@pytest.mark.parametrize("seed", range(5))
def test_the_agreement_of_rankings_counts_pairs_that_differ_in_both(seed):
    report = article_run(ROWS, noise=0.3, seed=seed)
    (found,) = comparisons(report)
    measured = {row.cells[:2]: stated_time(row.cells[6]) for row in found.table.rows}
    published = dict(zip(measured, (1419, 1217, 1151, 1021), strict=True))
    told = agreeing = 0
    for number, a in enumerate(measured):
        for b in list(measured)[:number]:
            here, there = measured[a] / measured[b], published[a] / published[b]
            if abs(np.log(here)) >= np.log(1.05) and abs(np.log(there)) >= np.log(1.05):
                told += 1
                agreeing += (here > 1) == (there > 1)
    assert found.sentences[0].startswith(f"Of 6 pairs of rows, {told} differ by 5% or more"), found.sentences
    assert f"; {agreeing} of these stand in the same order" in found.sentences[0]


def test_a_run_of_no_preset_is_not_compared_with_the_article():
    assert comparisons(article_run(ROWS, preset="quick")) == []
    assert agreement([]) == (0, 0)


def test_the_options_of_a_best_setting_measure_its_environment_alone():
    case = replace(matrix()[0], environment="torch@2.14.1")

    given = options(case)

    assert "--frameworks=none --env=torch@2.14.1=PYTHON --devices=cpu" in given
    assert options(matrix()[0]).startswith("--frameworks=torch --devices=cpu")
