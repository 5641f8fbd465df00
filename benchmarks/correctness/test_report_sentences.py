"""Every sentence of a report, read back and checked against the rounds that it was made from."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import replace
from statistics import median

import numpy as np
import pytest

from saved_runs import matrix, saved_run
from stagebench.article.published import agreement, comparisons
from stagebench.article.tables import winner_of
from stagebench.case import Case
from stagebench.report.best_settings import best_sentence, best_settings, options
from stagebench.report.report import Report
from stagebench.report.setting_sentences import setting_sentences
from stagebench.results.file import run_of
from stagebench.results.result import Result
from stagebench.results.run import Run
from stagebench.statistics.verdict import word_of

NUMBER = r"([\d,.]+)"
TIME = rf"{NUMBER} (s|ms|us)"
UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
NOISES = [0.002, 0.02, 0.3]
"""Noises, as standard deviations of logarithms: differences are real, near the limit, or lost."""


def a_run(noise: float = 0.01, seed: int = 0, **options_: object) -> Run:
    return run_of("run.json", saved_run(matrix(**options_), noise=noise, seed=seed))


def stated_time(sentence: str) -> float:
    value, unit = re.search(TIME, sentence).groups()
    return float(value.replace(",", "")) * UNIT[unit]


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
            other
            for other in own
            if other != case and not told_apart(run, trainings[other], trainings[case], low - 0.5)
        ]
        stated = re.search(r"(\d+) other settings? cannot", sentence)
        assert int(stated[1] if stated else 0) == len(reaching), sentence
        assert f"batch {case.batch_size}, cache {case.cache}" in sentence


def told_apart(run: Run, slower: Result, best: Result, low: float) -> bool:
    """Say whether the best setting is sure to be the faster: of a group, as its verdict says."""
    groups = [group for group in run.groups if group.results[0].case.settings == best.case.settings]
    (group,) = [group for group in groups if group.stage == "training"]
    if slower.case not in group.timings:
        return 4000 / slower.interval[0] < low
    if best.case == group.fastest.case:
        return group.verdicts[slower.case].word == "SLOWER"
    return word_of(group.ratio(slower.case, best.case), run.smallest) == "SLOWER"


@pytest.mark.parametrize("workers", [(0,), (0, 2, 4)])
def test_neither_the_best_setting_nor_the_articles_mark_is_surer_than_the_verdict(workers):
    told = []
    for seed in range(30):
        run = a_run(0.05, seed, batch_sizes=(32,), workers=workers, cache=("on",))
        (group,) = [group for group in run.groups if group.stage == "training"]
        (best, *_) = best_settings(run)
        if best.result is not group.fastest:
            continue
        decided = all(verdict.word == "SLOWER" for verdict in map(group.verdicts.get, group.ratios))
        marked = winner_of(group.results, run.groups)
        assert (not best.as_good) == decided, best_sentence(best, False)
        assert (marked is group.fastest) == decided
        told.append(decided)
    assert {*told} == {False, True}, "of these runs, some must decide and some not"


def test_the_options_of_the_best_setting_select_exactly_its_case(suite):
    case = replace(matrix()[0], framework="simulated", environment="simulated", workers=2)
    given = ["benchmarks", "--train-images=160", "--epochs", "2", "--report=out.html", "--skip-bad-images"]
    run = replace(run_of("", saved_run([case])), command=[*given, "--dataset=a  folder", "--threads=1"])
    (best,) = best_settings(run)
    chosen = shlex.split(" ".join(options(best, run)))
    result = suite.run("--collect-only", "-q", *chosen)

    result.stdout.fnmatch_lines([f"*test_training?{case.id}?"])
    assert sum("::" in line for line in result.outlines) == 1
    of_work = [
        "--train-images=160",
        "--epochs",
        "2",
        "--skip-bad-images",
        "--dataset=a  folder",
        "--threads=1",
    ]
    assert chosen[-len(of_work) :] == of_work


def test_of_two_augmentations_each_has_a_best_setting():
    cases = [
        replace(case, augment=augment) for case in matrix(batch_sizes=(32,)) for augment in ("on", "off")
    ]
    found = best_settings(run_of("", saved_run(cases, ["training"])))
    assert Counter((best.among, best.result.case.augment) for best in found).keys() >= {
        ("all", "off"),
        ("all", "on"),
    }


def test_of_two_networks_each_has_a_best_setting_that_names_it():
    cases = [replace(case, network=name) for case in matrix(batch_sizes=(32,)) for name in ("article", "mlp")]
    found = best_settings(run_of("", saved_run(cases, ["training"])))

    told = [best_sentence(best, False) for best in found if best.among == "all"]
    assert [re.match(r"Fastest training of all with (\w+): ", one)[1] for one in told] == ["article", "mlp"]


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
    own = matrix()[0]
    runs = [run_of("", saved_run([case])) for case in (replace(own, environment="torch@2.14.1"), own)]
    elsewhere, here = (" ".join(options(*best_settings(run), run)) for run in runs)

    assert "--frameworks=none --env=torch@2.14.1=PYTHON --devices=cpu" in elsewhere
    assert here.startswith("--frameworks=torch --devices=cpu")


def test_each_setting_is_compared_with_its_default_and_nothing_else():
    plain = Case("tensorflow", "tensorflow", workers="auto")
    cases = [
        replace(plain, schedule=schedule, accumulate=accumulate)
        for schedule in ("constant", "one_cycle")
        for accumulate in (1, 4)
    ]
    saved = saved_run(cases, stages=("training",), noise=0.001)
    for benchmark in saved["benchmarks"]:
        if benchmark["extra_info"]["accumulate"] == 4:
            benchmark["stats"]["data"] = [0.5 * seconds for seconds in benchmark["stats"]["data"]]

    told = list(setting_sentences(run_of("run.json", saved).groups, by_recipe=False))

    assert [sentence.partition(" takes ")[0] for sentence in told] == [
        "training, tensorflow: --accumulate=4",
        "training, tensorflow: --schedule=one_cycle",
        "training, tensorflow accumulate 4: --schedule=one_cycle",
        "training, tensorflow one_cycle: --accumulate=4",
    ]
    assert [re.search("faster|slower|within", sentence)[0] for sentence in told] == [
        "faster",
        "within",
        "within",
        "faster",
    ]
    assert re.search("takes 0.50.* times as long as --accumulate=1: it is faster", told[0])
