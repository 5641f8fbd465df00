"""Where the time of a stage goes: the costliest operations of each framework, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, zip_longest
from pathlib import Path

from stagebench.case import Case
from stagebench.report.formats import duration
from stagebench.report.report import Entry, Report
from stagebench.report.tables import Row, Table, words
from stagebench.results.result import Result

SHOWN = 10
"""Operations of each case."""
NOTE = (
    "The costliest operations of each case, those of a group side by side, as a profiler saw them in one "
    "more execution, off the clock. time: in the operation itself, without those that it calls, summed over "
    "threads."
)

Profiled = tuple[Entry, Result]
ALIKE: tuple[Callable[[Case], Case], ...] = (
    lambda case: replace(case, framework="", environment="", workers=0),
    lambda case: replace(case, framework="", environment="", workers=0, deploy=""),
)
"""What cases have in common that stand side by side, the most first."""


def profile_tables(report: Report) -> list[Table]:
    """Return a table for every two cases of a group of which there is a profile, stage by stage."""
    return [
        _table(f"{words(stage)}, {group.settings}", pair)
        for stage in report.stages
        for group, found in groupby(report.results(stage), key=lambda one: one[2])
        for pair in _pairs([(entry, result) for entry, result, _ in found if result.info.profile])
    ]


def _pairs(found: Sequence[Profiled]) -> Iterator[list[Profiled]]:
    """Yield cases that stand side by side, one of each environment: the more alike, the earlier."""
    left = list(found)
    for alike in ALIKE:
        sets: dict[Case, dict[str, list[Profiled]]] = {}
        for one in left:
            sets.setdefault(alike(one[0].case), {}).setdefault(one[0].case.environment, []).append(one)
        for sides in sets.values():
            for pair in zip(*sides.values(), strict=False) if len(sides) > 1 else ():
                yield list(pair)
                left = [one for one in left if one not in pair]
    sides_left: dict[str, list[Profiled]] = {}
    for one in left:
        sides_left.setdefault(one[0].case.environment, []).append(one)
    for row in zip_longest(*sides_left.values()):
        yield [one for one in row if one is not None]


def _table(title: str, pair: Sequence[Profiled]) -> Table:
    columns = [column for entry, _ in pair for column in (f"{entry.name}: operation", "time", "calls")]
    sides = [
        [(one.name, duration(one.seconds), f"{one.calls:,}") for one in result.info.profile or ()]
        for _, result in pair
    ]
    rows = [
        Row(tuple(cell for side in row for cell in side or ("", "", "")))
        for row in zip_longest(*(side[:SHOWN] for side in sides))
    ]
    traces = [Path(trace).name for _, result in pair if (trace := result.info.trace)]
    note = f"Traces: {', '.join(traces)}." if traces else ""
    return Table(title, tuple(columns), rows, note)
