"""A run in the tables and columns of the article: times of training and evaluation by setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stagebench.frameworks import FRAMEWORKS
from stagebench.report.best_settings import is_slower
from stagebench.report.formats import duration
from stagebench.report.report import Report
from stagebench.report.tables import Row, Table
from stagebench.results.result import Result
from stagebench.statistics.group import Group

COLUMNS = ("Framework", "Batch Size", "Num Workers", "Caching", "Training Time", "Eval Time")
AUGMENTATIONS = {"on": "with augmentations", "off": "without augmentations"}
WINNER = "\N{HUNDRED POINTS SYMBOL}"
NOTE = (
    f"{WINNER}: the shortest training time, and sure to be shorter than that of every other row: by the "
    "verdict on cases of a group, which were measured interleaved; else by 95% intervals that lie apart. "
    "Where no row has the mark, it is inconclusive."
)


def article_tables(report: Report) -> list[Table]:
    """Return a table for each run, recipe and setting but batch size and cache, with a training time."""
    rows: dict[tuple[int, str, str], list[tuple[int, Result]]] = {}
    for entry, result, _ in report.results("training"):
        settings = replace(entry.case, batch_size=1, cache="on").settings
        rows.setdefault((entry.run, entry.case.recipe, settings), []).append((entry.index, result))
    evaluations = {entry.index: result for entry, result, _ in report.results("evaluation")}
    return [_table(report, run, found, evaluations) for (run, *_), found in rows.items()]


def _table(
    report: Report,
    run: int,
    trainings: Sequence[tuple[int, Result]],
    evaluations: dict[int, Result],
) -> Table:
    winner = winner_of([result for _, result in trainings], report.runs[run].groups)
    rows = []
    for index, result in trainings:
        mark = f" {WINNER}" if result is winner else ""
        evaluation = evaluations.get(index)
        cells = (
            f"{name(result)}{mark}",
            *axes_of(result),
            duration(result.median_seconds),
            duration(evaluation.median_seconds) if evaluation else "",
        )
        rows.append(Row(cells, index))
    case, device_name = trainings[0][1].case, trainings[0][1].info.device_name or ""
    several = [report.run_name(run)] if len(report.runs) > 1 else []
    parts = [f"{case.device} ({device_name})", AUGMENTATIONS[case.augment], case.recipe]
    title = ", ".join([*parts, *case.settings_of({"network"}), *several])
    return Table(title, COLUMNS, rows, NOTE)


def name(result: Result) -> str:
    """Name a framework as the article does; what the article does not have keeps its own name."""
    case = result.case
    return " ".join([_title(case.environment), *case.variant])


def _title(environment: str) -> str:
    return FRAMEWORKS[environment].title if environment in FRAMEWORKS else environment


def axes_of(result: Result) -> tuple[str, str, str]:
    """Write batch size, workers and caching as the article does."""
    case = result.case
    workers = "NA" if case.workers == "auto" else str(case.workers)
    return str(case.batch_size), workers, str(case.cache == "on")


def winner_of(results: Sequence[Result], groups: Sequence[Group]) -> Result | None:
    """Return the fastest result of a run's stage, if it is sure to be faster than all others."""
    first = min(results, key=lambda result: result.median_seconds)
    others = [result for result in results if result is not first]
    return first if others and all(is_slower(other, first, groups) for other in others) else None
