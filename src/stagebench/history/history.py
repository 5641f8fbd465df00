"""A history: saved runs in the order of their dates, and of each case's time the series over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import log
from pathlib import Path
from typing import Literal

from packaging.version import InvalidVersion, Version

from stagebench.case import Case
from stagebench.report import tables
from stagebench.report.tables import Table
from stagebench.results.file import RunError, read_run
from stagebench.results.result import Result
from stagebench.results.run import Run
from stagebench.stages import STAGES
from stagebench.statistics.change_points import ChangePoint, find_change_points

Order = Literal["date", "version"]
OF_A_RUN = ("date", "command line")
"""What an environment's table says that is another in every run."""
SHORTEST, LONGEST = 1e-12, 1e12
"""Seconds. What is shorter or longer comes from a damaged file."""


@dataclass(frozen=True)
class Saved:
    """A run that can be shown."""

    path: Path
    run: Run
    date: datetime
    """In UTC."""
    environment: Table
    """Machine, versions, command and data set, as the report lists them."""

    @property
    def facts(self) -> dict[str, str]:
        """The environment by name, without what is another in every run."""
        facts = {row.cells[0]: row.cells[1] for row in self.environment.rows}
        return {name: fact for name, fact in facts.items() if name not in OF_A_RUN}

    @property
    def machine(self) -> str:
        """What runs must have in common for their times to be compared."""
        machine = self.run.machine
        threads = machine.cpu.usable_threads or "?"
        return "; ".join([f"{self.run.cpu}, {threads} threads", *(machine.gpus or ())])


@dataclass(frozen=True)
class Subject:
    """Of what the time is followed: equal in all runs of a series."""

    case: Case
    """Its environment is named without what follows `@`, unless runs have several of one name."""
    machine: str
    workload: str
    """What was computed, and on which data set."""


@dataclass(frozen=True)
class Point:
    """A case's time in one run."""

    saved: int
    """Index of its run in the history."""
    result: Result

    @property
    def version(self) -> str:
        return self.result.info.framework_version


@dataclass(frozen=True)
class Series:
    """The times of a case at a stage, in order."""

    stage: str
    subject: Subject
    points: Sequence[Point]
    steps: Sequence[ChangePoint] | None = None
    """None where there are too few points to tell."""


@dataclass(frozen=True)
class Found:
    """A step of a series, with the points before and after it as far as its next steps."""

    series: Series
    step: ChangePoint
    before: Sequence[Point]
    after: Sequence[Point]

    @property
    def between(self) -> tuple[int, int]:
        """The indices of the runs after the step and before it."""
        return self.after[0].saved, self.before[-1].saved


@dataclass(frozen=True)
class History:
    """All that a page of history shows."""

    runs: Sequence[Saved]
    """By date."""
    passed_over: Sequence[str]
    """Of each file that is not shown, its path and the reason, as a sentence."""
    series: Sequence[Series]
    axis: Order

    @property
    def found(self) -> list[Found]:
        """Every step, those between the same runs next to each other, the newest first."""
        found = []
        for one in self.series:
            bounds = [0, *(step.at for step in one.steps or ()), len(one.points)]
            for number, step in enumerate(one.steps or ()):
                start, end = bounds[number], bounds[number + 2]
                found.append(Found(one, step, one.points[start : step.at], one.points[step.at : end]))
        return sorted(found, key=lambda one: one.between, reverse=True)


def read_history(paths: Sequence[Path], axis: Order = "date") -> History:
    """Read runs from files, and from folders all `*.json` at any depth; what is no run is passed over."""
    runs: dict[str, Saved] = {}
    passed_over = []
    for path in _files(paths):
        try:
            saved = _read(path)
            times = repr([(result.stage, result.case, result.rounds) for result in saved.run.results])
            if saved.run.results and times in runs:
                raise RunError(f"{path} is the same run as {runs[times].path}")
        except RunError as error:
            passed_over.append(str(error))
        else:
            runs[times if saved.run.results else str(path)] = saved
    in_order = sorted(runs.values(), key=lambda saved: (saved.date, saved.path))
    series = _series(in_order, axis)
    values = [[log(point.result.median_seconds) for point in one.points] for one in series]
    found = zip(series, find_change_points(values), strict=True)
    return History(in_order, passed_over, [replace(one, steps=steps) for one, steps in found], axis)


def _files(paths: Sequence[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in paths:
        inside = sorted(file for file in path.rglob("*.json") if file.is_file()) if path.is_dir() else ()
        for file in inside or [path]:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _read(path: Path) -> Saved:
    """Read a run and all that is shown of it.

    Raises:
        RunError: it cannot be.

    """
    if path.is_dir():
        raise RunError(f"{path} holds no *.json")
    run = read_run(path)
    try:
        date = datetime.fromisoformat(run.datetime)
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (OverflowError, ValueError):
        raise RunError(f"{path} has no date: its `datetime` is {run.datetime[:40]!r}") from None
    return Saved(path, run, date, tables.environment_table(run))


def _series(runs: Sequence[Saved], axis: Order) -> list[Series]:
    """Return the series, those of a stage next to each other, in the order in which they first come."""
    found: dict[tuple[str, Subject], list[Point]] = {}
    for number, saved in enumerate(runs):
        for result in saved.run.results:
            case = replace(result.case, environment=result.case.environment.split("@")[0])
            subject = Subject(case, saved.machine, _workload(result))
            found.setdefault((result.stage, subject), []).append(Point(number, result))
    series = [
        Series(stage, subject, points)
        for (stage, subject), all_points in found.items()
        for subject, points in _told_apart(subject, all_points, axis)
    ]
    return sorted(series, key=lambda one: list(STAGES).index(one.stage))


def _told_apart(subject: Subject, points: list[Point], axis: Order) -> Iterator[tuple[Subject, list[Point]]]:
    """Yield a series, in order; by date several where one run has several environments of a framework."""
    if axis == "version":
        yield subject, sorted(points, key=lambda point: (version_order(point.version), point.saved))
    elif len({point.saved for point in points}) == len(points):
        yield subject, points
    else:
        for environment in dict.fromkeys(point.result.case.environment for point in points):
            of_it = [point for point in points if point.result.case.environment == environment]
            yield replace(subject, case=of_it[0].result.case), of_it


def version_order(version: str) -> tuple[bool, Version, str]:
    """Order versions by PEP 440; what is no version comes first, as text."""
    try:
        return True, Version(version), ""
    except InvalidVersion:
        return False, Version("0"), version


def _workload(result: Result) -> str:
    """Write what was computed, and on which data."""
    parts = [f"{name} {value}" for name, value in (result.info.workload or {}).items()]
    return ", ".join([*parts, f"data set {result.info.dataset_fingerprint or '?'}"])
