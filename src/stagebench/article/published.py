"""What was measured beside what the article published, and where the ranking agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from stagebench.article.published_results import Dataset, PublishedResult, published_results
from stagebench.article.tables import AUGMENTATIONS, axes_of, name
from stagebench.report.formats import duration
from stagebench.report.report import Report
from stagebench.report.tables import Row, Table
from stagebench.results.result import Result
from stagebench.results.run import Run

OF_PRESET: dict[str, Dataset] = {"article": "cifar100", "large": "deepfashion"}
NEAR = 0.05
"""Rows whose times differ by less are near: their order may be chance."""


@dataclass(frozen=True)
class Pair:
    """A row of the article, and what was measured of the same case."""

    entry: int
    published: PublishedResult
    training: Result
    evaluation: Result | None

    @property
    def whole_size(self) -> bool:
        """Whether as many images were trained on and evaluated as the article had."""
        row, epochs = self.published, self.training.info.epochs
        evaluated = self.evaluation is None or self.evaluation.images == row.test_images
        return row.epochs == epochs and self.training.images == epochs * row.train_images and evaluated


@dataclass(frozen=True)
class PublishedTable:
    """One of the article's tables beside the same cases here."""

    sentences: Sequence[str]
    table: Table


def comparisons(report: Report) -> list[PublishedTable]:
    """Return one for each of the article's tables of which a run of its preset has two rows or more."""
    found: dict[tuple[int, str, str, str], list[Pair]] = {}
    for number, run in enumerate(report.runs):
        for pair in _pairs(report, number, run):
            case = pair.training.case
            found.setdefault((number, case.device, case.augment, case.recipe), []).append(pair)
    return [
        _comparison(f"{device}, {AUGMENTATIONS[augment]}, recipe {recipe}", pairs)
        for (_, device, augment, recipe), pairs in found.items()
        if len(pairs) > 1
    ]


def _pairs(report: Report, number: int, run: Run) -> list[Pair]:
    dataset = OF_PRESET.get(run.preset)
    rows = published_results(dataset) if dataset else ()
    evaluations = {result.case: result for result in run.results if result.stage == "evaluation"}
    pairs = []
    for result in run.results:
        case = result.case
        row = next((row for row in rows if row.is_of(case)), None)
        if result.stage == "training" and row and not case.variant:
            pairs.append(Pair(report.entry(number, case).index, row, result, evaluations.get(case)))
    return pairs


def _comparison(title: str, pairs: Sequence[Pair]) -> PublishedTable:
    whole = all(pair.whole_size for pair in pairs)
    here = _ranks([pair.training.median_seconds for pair in pairs])
    there = _ranks([float(pair.published.training_seconds) for pair in pairs])
    rows = []
    for pair, rank_here, rank_there in zip(pairs, here, there, strict=True):
        seconds = (
            f"{pair.published.training_seconds:,} s" if whole else "",
            duration(pair.training.median_seconds),
            f"{pair.published.evaluation_seconds:,} s" if whole else "",
            duration(pair.evaluation.median_seconds) if pair.evaluation else "",
        )
        first = duration(pair.training.cold_seconds)
        shown = (*seconds[:2], first, *seconds[2:]) if whole else (seconds[1], first, seconds[3])
        cells = (name(pair.training), *axes_of(pair.training), str(rank_there), str(rank_here), *shown)
        rows.append(Row(cells, pair.entry))
    training = ("Training Time, published", "Training Time, here", "first execution, here")
    evaluation = ("Eval Time, published", "Eval Time, here")
    times = (*training, *evaluation) if whole else (*training[1:], evaluation[1])
    ranks = ("training rank, published", "training rank, here")
    columns = ("Framework", "Batch Size", "Num Workers", "Caching", *ranks, *times)
    device = pairs[0].published.device_name
    table = Table(f"{title}; the article's machine: {device}", columns, rows)
    return PublishedTable(list(_sentences(pairs, whole)), table)


def _sentences(pairs: Sequence[Pair], whole: bool) -> list[str]:
    agreeing, told = agreement(pairs)
    all_pairs = len(pairs) * (len(pairs) - 1) // 2
    fastest_here = min(pairs, key=lambda pair: pair.training.median_seconds)
    fastest_there = min(pairs, key=lambda pair: pair.published.training_seconds)
    same = "the same row" if fastest_here is fastest_there else _called(fastest_there)
    sentences = [
        f"Of {all_pairs} pairs of rows, {told} differ by {NEAR:.0%} or more in training time both in the "
        f"article and here; {agreeing} of these stand in the same order.",
        f"The shortest training here is that of {_called(fastest_here)}; in the article it is {same}.",
    ]
    if not whole:
        sentences.append(_size(pairs))
    return sentences


def _size(pairs: Sequence[Pair]) -> str:
    """Say how the workload differs from the article's."""
    row, result = pairs[0].published, pairs[0].training
    epochs = result.info.epochs
    wanted = "epochs that it does not state" if row.epochs is None else f"{row.epochs} epochs"
    return (
        f"Seconds are not compared: {(result.images or 0) // epochs:,} images were trained on for {epochs} "
        f"epoch{'s' if epochs > 1 else ''} here, in the article {row.train_images:,} for {wanted}."
    )


def agreement(pairs: Sequence[Pair]) -> tuple[int, int]:
    """Return how many pairs of rows are in the order of the article, and how many are told apart."""
    agreeing = told = 0
    for a, b in combinations(pairs, 2):
        here = a.training.median_seconds / b.training.median_seconds
        there = a.published.training_seconds / b.published.training_seconds
        if all(ratio >= 1 + NEAR or ratio <= 1 / (1 + NEAR) for ratio in (here, there)):
            told += 1
            agreeing += (here > 1) == (there > 1)
    return agreeing, told


def _ranks(values: Sequence[float]) -> list[int]:
    return [1 + sum(other < value for other in values) for value in values]


def _called(pair: Pair) -> str:
    batch, workers, caching = axes_of(pair.training)
    return f"{name(pair.training)}, batch size {batch}, {workers} workers, caching {caching}"
