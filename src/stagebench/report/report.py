"""What a report is about: runs, their cases, and how a case is named where space is short."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from stagebench import case
from stagebench.case import Case
from stagebench.results.result import Result
from stagebench.results.run import NotMeasured, Run, in_order
from stagebench.statistics.group import Group

NONE = "none"


def _value(name: str, of: Case) -> Any:
    value = getattr(of, name)
    return NONE if value == "" else value


FRAMEWORK = "framework"
FILTERS: dict[str, Callable[[Case], Any]] = {
    FRAMEWORK: lambda case: case.environment,
    **{axis.title: partial(_value, axis.name) for axis in case.AXES.values()},
}
"""What a report can be filtered by, as it is called in it; None where an axis does not apply."""
LATER = {axis.title: axis.default or NONE for axis in case.AXES.values() if axis.later}
"""The defaults of axes of which nothing is said where no case leaves them."""


def fixed(axes: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the value of each axis that has one alone, given the values of all; no later one's default."""
    alone = {axis: values[0] for axis, values in axes.items() if len(values) == 1}
    return {axis: value for axis, value in alone.items() if LATER.get(axis) != value}


def told(value: object) -> str:
    """Write an axis's value; nothing where it does not apply, so that no filter hides the case."""
    return "" if value is None else str(value)


def in_order_of_values(values: Iterable[Any]) -> list[Any]:
    """Return values of an axis once each, numbers before words; None, where it does not apply, is none."""
    return sorted({*values} - {None}, key=lambda value: (isinstance(value, str), value))


@dataclass(frozen=True)
class Entry:
    """A case of a run, by its place in the report."""

    index: int
    run: int
    case: Case
    name: str
    """What tells it apart within its group: `torch, 2w`."""
    settings: str
    """What tells its group apart from other groups: `batch 32, cache on`; empty where there is one only."""

    @property
    def label(self) -> str:
        return f"{self.name} ({self.settings})" if self.settings else self.name


@dataclass(frozen=True)
class Report:
    """Some runs. What is compared is compared within a run."""

    runs: Sequence[Run]

    @cached_property
    def by_recipe(self) -> bool:
        """Whether recipes tell cases apart."""
        return len({case.recipe for run in self.runs for case in run.cases}) > 1

    @cached_property
    def entries(self) -> list[Entry]:
        """Every case of every run."""
        pairs = [(number, case) for number, run in enumerate(self.runs) for case in run.cases]
        return [
            Entry(index, number, case, case.label(self.by_recipe), self.settings(number, case))
            for index, (number, case) in enumerate(pairs)
        ]

    @cached_property
    def varying(self) -> dict[str, list[Any]]:
        """The values of each axis in this report, in order."""
        cases = [case for run in self.runs for case in run.cases]
        return {axis: in_order_of_values(value(case) for case in cases) for axis, value in FILTERS.items()}

    @property
    def stages(self) -> list[str]:
        return in_order([result.stage for run in self.runs for result in run.results])

    def results(self, stage: str) -> Iterator[tuple[Entry, Result, Group]]:
        """Yield every result of a stage with its group, those of a group next to each other."""
        for number, run in enumerate(self.runs):
            for group in run.groups:
                if group.stage == stage:
                    for result in group.results:
                        yield self.entry(number, result.case), result, group

    def not_measured(self) -> Iterator[tuple[Entry, NotMeasured]]:
        for number, run in enumerate(self.runs):
            for missing in run.not_measured:
                yield self.entry(number, missing.case), missing

    def entry(self, run: int, case: Case) -> Entry:
        return self._entry_of[run, case]

    @cached_property
    def _entry_of(self) -> dict[tuple[int, Case], Entry]:
        return {(entry.run, entry.case): entry for entry in self.entries}

    def run_name(self, number: int) -> str:
        """Name a run by its file, and by its number where there are several."""
        file = Path(self.runs[number].label).name
        return f"run {number + 1}: {file}" if len(self.runs) > 1 else file

    def settings(self, run: int, case: Case, but: str = "") -> str:
        """Name a case's run and settings where there are several, but one axis's."""
        several = {axis for axis, values in self.varying.items() if len(values) > 1 and axis != but}
        parts = [f"run {run + 1}"] if len(self.runs) > 1 else []
        return ", ".join([*parts, *case.settings_of(several)])
