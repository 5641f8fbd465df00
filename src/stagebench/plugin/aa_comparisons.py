"""The noise floors of a session: its own A/A comparisons are kept, those of earlier ones are found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from stagebench.case import Case, plain
from stagebench.machine.noise_store import NoiseStore
from stagebench.results.result import Result
from stagebench.run.sample import Failure, Measurement
from stagebench.run.schedule import Conditions
from stagebench.statistics.group import floor_of
from stagebench.statistics.noise_floor import MINIMUM_PAIRS
from stagebench.statistics.ranking import log_ratios

NOISE = pytest.StashKey["NoiseFloors"]()
"""Of a session that measures."""


class NoiseFloors:
    """What equal cases differ by under the conditions of a session."""

    def __init__(self, folder: Path, conditions: Conditions) -> None:
        schedule = conditions.schedule
        self._environments = conditions.environments
        self._store = NoiseStore(
            folder,
            workload={**plain(conditions.workload), "data set": conditions.manifest.fingerprint},
            schedule={name: getattr(schedule, name) for name in ("rounds", "threads", "retain_memory")},
        )

    def keep(self, stage: str, case: Case, result: Measurement | Failure, copy: object) -> None:
        """Keep what a case and its A/A copy differed by, if both have enough processes.

        Raises:
            StorageError: it cannot be kept.

        """
        if not isinstance(result, Measurement) or not isinstance(copy, Measurement):
            return
        if len(result.processes) >= MINIMUM_PAIRS and result.rounds:
            self._store.keep(stage, case, self._versions(case), log_ratios(result.seconds, copy.seconds))

    def complete(self, results: Sequence[Result]) -> None:
        """Add to each result what is known of the noise of cases like it."""
        cases = [(result.stage, result.case, self._versions(result.case)) for result in results]
        for result, found in zip(results, self._store.log_ratios(cases), strict=True):
            if isinstance(found, str):
                result.info.noise_missing = found
            else:
                result.info.noise_log_ratios = found

    def lines(self, results: Sequence[Result]) -> Iterator[str]:
        """Say what the floors are, for comparisons of two cases with as many processes as were measured."""
        for result in results:
            floor = floor_of(result.info, len(result.rounds))
            told = floor if isinstance(floor, str) else f"{floor:.1%}"
            yield f"noise floor of {result.stage}, {result.case.id}, {len(result.rounds)} processes: {told}"

    def _versions(self, case: Case) -> dict[str, str]:
        return self._environments[case.environment].versions()
