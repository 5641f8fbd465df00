"""The record of a session as it goes: what the report says beside times, and what is saved of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from stagebench.case import plain
from stagebench.machine.info import machine_info
from stagebench.results.result import Result
from stagebench.results.run import SCHEMA, NotMeasured, Run
from stagebench.run.pictures import Pictures


@dataclass(frozen=True)
class Difference:
    """One choice in which a framework's `published` pipeline deviates from its `matched` one."""

    choice: str
    framework: str
    published: str
    matched: str
    measured: str
    """What the choice changes, with its unit."""


@dataclass
class Record:
    """Grows while the tests run."""

    command: Sequence[str]
    preset: str
    results: list[Result] = field(default_factory=list)
    not_measured: list[NotMeasured] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    pictures: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def add(self, result: Result, pictures: Pictures | None) -> None:
        """Add a measured case; of each environment's recipe the first pictures stay."""
        self.results.append(result)
        case = result.case
        if pictures:
            names = {"environment": case.environment, "framework": case.framework, "recipe": case.recipe}
            self.pictures.setdefault((case.environment, case.recipe), {**names, **pictures})

    def section(self) -> dict[str, Any]:
        """Return what is saved of it, beside what pytest-benchmark saves."""
        return {
            "schema": SCHEMA,
            "command": list(self.command),
            "preset": self.preset,
            "not_measured": [
                {"stage": n.stage, **plain(n.case), "outcome": n.outcome, "reason": n.reason}
                for n in self.not_measured
            ],
            "pictures": list(self.pictures.values()),
            "differences": [asdict(difference) for difference in self.differences],
        }

    def run(self) -> Run:
        """Return the session as it would be read from its file."""
        return Run(
            label="this run",
            machine=machine_info(),
            datetime=datetime.now(UTC).isoformat(),
            results=self.results,
            not_measured=self.not_measured,
            command=self.command,
            preset=self.preset,
            pictures=list(self.pictures.values()),
            differences=[asdict(difference) for difference in self.differences],
        )
