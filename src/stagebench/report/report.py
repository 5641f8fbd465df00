"""What a report is about: runs, their cases, and how a case is named where space is short."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from stagebench.case import Case, Stage
from stagebench.report.figures import name
from stagebench.results.result import Result
from stagebench.results.run import NotMeasured, Run, in_order
from stagebench.statistics.group import Group

NONE = "none"
AXES: dict[str, Callable[[Case], Any]] = {
    "framework": lambda case: case.environment,
    "recipe": lambda case: case.recipe,
    "device": lambda case: case.device,
    "batch size": lambda case: case.batch_size,
    "workers": lambda case: case.workers,
    "cache": lambda case: case.cache,
    "augment": lambda case: case.augment,
    "precision": lambda case: case.precision,
    "execution": lambda case: case.execution,
    "deploy": lambda case: case.deploy or NONE,
    "quantize": lambda case: case.quantize,
}
"""The axes that a report can be filtered by, as they are called in it."""
LATER = {"precision": "float32", "execution": "default", "deploy": NONE, "quantize": NONE}
"""The defaults of axes of which nothing is said where no case leaves them."""


def fixed(axes: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the value of each axis that has one alone, given the values of all; no later one's default."""
    alone = {axis: values[0] for axis, values in axes.items() if len(values) == 1}
    return {axis: value for axis, value in alone.items() if LATER.get(axis) != value}


@dataclass(frozen=True)
class Entry:
    """A case of a run, by its place in the report."""

    index: int
    run: int
    case: Case
    name: str
    """What tells it apart from its rivals: `torch, 2w`."""
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
            Entry(index, number, case, name(case, self.by_recipe), self._settings(number, case))
            for index, (number, case) in enumerate(pairs)
        ]

    @cached_property
    def varying(self) -> dict[str, list[Any]]:
        """The values of each axis in this report, in order."""
        cases = [case for run in self.runs for case in run.cases]
        return {
            axis: sorted({value(case) for case in cases}, key=lambda v: (isinstance(v, str), v))
            for axis, value in AXES.items()
        }

    @property
    def stages(self) -> list[Stage]:
        return in_order([result.stage for run in self.runs for result in run.results])

    def results(self, stage: Stage) -> Iterator[tuple[Entry, Result, Group]]:
        """Yield every result of a stage with its group, rivals next to each other."""
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

    def _settings(self, run: int, case: Case) -> str:
        several = {axis for axis, values in self.varying.items() if len(values) > 1}
        parts = [f"run {run + 1}"] if len(self.runs) > 1 else []
        parts += [str(AXES[axis](case)) for axis in ("device",) if axis in several]
        parts += [f"batch {case.batch_size}"] if "batch size" in several else []
        data = () if case.deploy else ("cache", "augment")  # no data is loaded where a model is deployed
        parts += [f"{axis} {AXES[axis](case)}" for axis in data if axis in several]
        return ", ".join(parts)
