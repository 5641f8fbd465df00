"""The noise of a session: what earlier ones have shown of it is found, what this one shows is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from msgspec import convert

from stagebench.case import Case, plain
from stagebench.machine.errors import StorageError
from stagebench.machine.noise_store import NoiseStore, SeenLevel, SeenSpread, kind_of_case
from stagebench.results.info import KnownDrift, KnownSpread, SpeedConditions
from stagebench.results.measured import conditions_of
from stagebench.results.record import Record
from stagebench.results.result import Result
from stagebench.run.conditions import Conditions
from stagebench.run.sample import Failure, Measurement
from stagebench.statistics.drift import Level, drift_of
from stagebench.statistics.group import Group, groups_of
from stagebench.statistics.knowledge import pair_of
from stagebench.statistics.prior import unknown
from stagebench.statistics.spread import Spread, log_ratios, logs_of, spread_of, spread_of_equal

NOISE = pytest.StashKey["Noise"]()
"""Of a session that measures."""


class Noise:
    """What is known of spreads and drifts under the conditions of a session."""

    def __init__(self, folder: Path, conditions: Conditions) -> None:
        schedule = conditions.schedule
        self._environments = conditions.environments
        self._store = NoiseStore(
            folder,
            workload={**plain(conditions.workload), "data set": conditions.manifest.fingerprint},
            schedule={name: getattr(schedule, name) for name in ("rounds", "threads", "interleave")},
        )
        self._of_equal: list[SeenSpread] = []
        self._not_kept = ""

    def add_equal(self, stage: str, case: Case, result: Measurement | Failure, copy: object) -> None:
        """Take in what a case and its A/A copy differed by, if both were measured."""
        if isinstance(result, Measurement) and isinstance(copy, Measurement) and result.rounds:
            kind = self._kind(case, conditions_of(result))
            seen = spread_of_equal(log_ratios(result.seconds, copy.seconds))
            self._of_equal.append(SeenSpread(stage, (kind, kind), seen.value, seen.freedom))

    def recall(self, record: Record) -> None:
        """Add to a record what earlier sessions, and this one's A/A comparisons, tell of its noise."""
        for result in record.results:
            result.info.kind = self._kind(result.case, result.info.conditions)
        stages = {result.stage for result in record.results}
        known = [one for one in (*self._store.spreads(), *self._of_equal) if one.stage in stages]
        record.known = convert([asdict(one) for one in known], list[KnownSpread])
        drifts = drift_of(Level(one.stage, one.case, one.level, one.error) for one in self._store.levels())
        record.drifts = [KnownDrift(s, d.value, d.freedom) for s, d in drifts.items() if s in stages]

    def complete(self, record: Record, keep: bool) -> None:
        """Add to a session's record what is known of its noise, and `keep` what it has shown itself."""
        self.recall(record)
        if not keep:
            return
        groups = groups_of(record.results)
        spreads = [one for group in groups for one in _spreads_of(group)]
        try:
            self._store.keep([*spreads, *self._of_equal], map(_level_of, record.results))
        except StorageError as error:
            self._not_kept = f"what this run has shown of the machine's noise is not kept: {error}"

    def lines(self, groups: Sequence[Group], aa_compared: bool) -> Iterator[str]:
        """Say what could not be kept; after A/A comparisons, what equal cases stay below in each group."""
        if self._not_kept:
            yield self._not_kept
        for one in self._of_equal if aa_compared else ():
            told = f"spread {one.spread:.1%} from process to process, {one.freedom:.0f} pairs"
            yield f"A/A comparison of {one.stage}, {one.kinds[0].partition(',')[0]}: {told}"
        for group in groups if aa_compared else ():
            for case, ratio in group.ratios.items():
                yield (
                    f"noise floor of {group.stage}, {case.id}, {ratio.processes} processes: {ratio.floor:.1%}"
                )

    def _kind(self, case: Case, conditions: SpeedConditions | None) -> str:
        """Return the kind under which a case is kept: nothing is said of conditions where none is unusual."""
        facts = conditions.facts if conditions else {}
        facts.pop("processors", None)  # those of the machine and `--threads` are of the store
        kind = kind_of_case(case, self._environments[case.environment].versions())
        return ", ".join([kind, *(f"{name} {fact}" for name, fact in facts.items())])


def _spreads_of(group: Group) -> Iterator[SeenSpread]:
    """Yield how far each ratio to the fastest has scattered, where there are several processes."""
    first = group.fastest
    for result in group.results:
        seen = spread_of(log_ratios(result.rounds, first.rounds)) if result is not first else None
        if seen:
            kinds = pair_of(result.info.kind or "", first.info.kind or "")
            yield SeenSpread(group.stage, kinds, seen.value, seen.freedom)


def _level_of(result: Result) -> SeenLevel:
    logs = logs_of(result.rounds)
    spread: Spread = unknown().moderate(spread_of(logs))
    case = f"{result.info.kind}: {result.case.id}"
    return SeenLevel(result.stage, case, float(logs.mean()), spread.value / len(result.rounds) ** 0.5)
