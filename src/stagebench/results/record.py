"""The record of a session as it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from msgspec import convert

from stagebench.machine.info import machine_info
from stagebench.results.info import KnownDrift, KnownSpread
from stagebench.results.result import Result
from stagebench.results.run import Difference, Machine, NotMeasured, Pictures, Run
from stagebench.statistics.verdict import SMALLEST_DIFFERENCE


@dataclass
class Record:
    """Grows while the tests run."""

    command: Sequence[str]
    preset: str
    smallest: float = SMALLEST_DIFFERENCE
    known: Sequence[KnownSpread] = ()
    drifts: Sequence[KnownDrift] = ()
    results: list[Result] = field(default_factory=list)
    saved: list[dict[str, Any]] = field(default_factory=list)
    """Of each result pytest-benchmark's `extra_info`, which is filled in at the end."""
    not_measured: list[NotMeasured] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    pictures: dict[tuple[str, str], Pictures] = field(default_factory=dict)

    def add(self, result: Result, pictures: Mapping[str, str] | None, saved: dict[str, Any]) -> None:
        """Add a measured case; of each environment's recipe the first pictures stay."""
        self.results.append(result)
        self.saved.append(saved)
        case = result.case
        if pictures:
            names = case.environment, case.framework, case.recipe
            found = Pictures(*names, pictures["prepared"], pictures["flipped"])
            self.pictures.setdefault((case.environment, case.recipe), found)

    def miss(self, missing: NotMeasured) -> None:
        """Add a case that was not measured; one that fails again, or in its teardown too, stands once."""
        if (missing.stage, missing.case) not in {(one.stage, one.case) for one in self.not_measured}:
            self.not_measured.append(missing)

    def run(self) -> Run:
        """Return the session as it would be read from its file."""
        machine, now = convert(machine_info(), Machine), datetime.now(UTC).isoformat()
        told = self.command, self.preset, list(self.pictures.values()), self.differences
        judged_by = self.smallest, self.known, self.drifts
        return Run("this run", machine, now, self.results, self.not_measured, *told, *judged_by)
