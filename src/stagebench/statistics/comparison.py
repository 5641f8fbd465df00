"""From a base to a head: what became of each stage and case, and whether that must stop a change."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from stagebench.case import Case
from stagebench.results.result import Result
from stagebench.stages import STAGES
from stagebench.statistics.group import floor_of
from stagebench.statistics.noise_floor import noise_floor
from stagebench.statistics.ranking import log_ratios
from stagebench.statistics.ratio import Ratio, independent_ratio, paired_ratio
from stagebench.statistics.verdict import MINIMUM_PROCESSES, SMALLEST_DIFFERENCE, verdict

Key = tuple[str, Case]
Side = Mapping[Key, Result]
"""What was measured of a base, a head, or the base once more, by what they have in common."""
EQUAL = {
    "workload": "workload",
    "dataset_fingerprint": "data set",
    "device_name": "device",
    "threads": "number of threads",
}
"""Keys of `extra_info` that must be equal for times to be comparable, and what they are called."""


@dataclass(frozen=True)
class Change:
    """What may be said of a stage and case from the base to the head."""

    stage: str
    case: Case
    word: Literal["FASTER", "SLOWER", "SAME", "UNKNOWN", "ADDED", "REMOVED"]
    base: Result | None = None
    head: Result | None = None
    ratio: Ratio | None = None
    """Time of the head divided by that of the base."""
    again: Ratio | None = None
    """Time of the base, measured once more under another name, divided by that of the base (A/A)."""
    floor: float | None = None
    """The noise floor, as a share."""
    reason: str = ""
    """Why it is UNKNOWN."""
    judged: bool = True
    """Whether the times could be compared at all; an UNKNOWN that more processes may end is judged."""
    second: Ratio | None = None
    """Of a regression, the ratio in the second measurement that was to confirm it."""

    @property
    def key(self) -> Key:
        return self.stage, self.case


@dataclass(frozen=True)
class FailOn:
    """From which size on a case that is SLOWER stops a change."""

    overall: float = 0.0
    """As a share; below the smallest difference that a verdict tells, every SLOWER does."""
    of_stage: Mapping[str, float] = field(default_factory=dict)
    """Where a stage has a limit of its own."""

    @classmethod
    def parse(cls, text: str) -> FailOn:
        """Take `slower`, `slower:10%`, and for a stage `training=slower:20%`, separated by commas."""
        found = cls()
        for part in text.split(","):
            stage, _, limit = part.strip().rpartition("=")
            word, colon, percent = limit.partition(":")
            share = _share(percent) if colon else 0.0
            if word != "slower" or share is None or (stage and stage not in STAGES):
                raise ArgumentTypeError(
                    f"{part!r} is not slower, slower:PERCENT% (of {SMALLEST_DIFFERENCE:.0%} or more) or "
                    f"STAGE=slower:PERCENT%, with a stage of {', '.join(STAGES)}"
                )
            if stage:
                found = replace(found, of_stage={**found.of_stage, stage: share})
            else:
                found = replace(found, overall=share)
        return found

    def fails(self, change: Change) -> bool:
        """Say whether a change is a regression that must be stopped, if it is confirmed."""
        return change.word == "SLOWER" and self._beyond(change, change.ratio)

    def confirmed(self, change: Change) -> bool:
        """Say whether a regression is one in its second measurement too, or had none."""
        return self.fails(change) and (change.second is None or self._beyond(change, change.second))

    def _beyond(self, change: Change, ratio: Ratio | None) -> bool:
        limit = max(self.of_stage.get(change.stage, self.overall), SMALLEST_DIFFERENCE, change.floor or 0.0)
        return bool(ratio and ratio.interval and ratio.interval[0] > 1 and ratio.estimate > 1 + limit)


def _share(text: str) -> float | None:
    try:
        value = float(text.removesuffix("%")) / 100
    except ValueError:
        return None
    return value if text.endswith("%") and SMALLEST_DIFFERENCE <= value < float("inf") else None


def compare(base: Side, head: Side, again: Side | None = None, together: bool = False) -> list[Change]:
    """Return what became of every stage and case of either side, in the order of the base.

    Args:
        base: what it was.
        head: what it is.
        again: the base measured once more in the same groups, which tells what equal cases differ by.
        together: whether all were measured in one session, process `i` of each at the same time.

    """
    again = again or {}
    keys = dict.fromkeys([*base, *head])
    return [_change(key, base.get(key), head.get(key), again.get(key), together) for key in keys]


def _change(
    key: Key, base: Result | None, head: Result | None, again: Result | None, together: bool
) -> Change:
    stage, case = key
    if base is None or head is None:
        return Change(stage, case, "ADDED" if base is None else "REMOVED", base, head)
    together = together and len(base.rounds) == len(head.rounds)
    ratio = (
        paired_ratio(head.rounds, base.rounds) if together else independent_ratio(head.rounds, base.rounds)
    )
    aa = paired_ratio(again.rounds, base.rounds) if again else None
    floor = _floor(base, head, again)
    change = Change(stage, case, "UNKNOWN", base, head, ratio, aa)
    if different := [
        name for item, name in EQUAL.items() if getattr(base.info, item) != getattr(head.info, item)
    ]:
        return replace(change, reason=f"base and head differ in {' and '.join(different)}", judged=False)
    known = floor if isinstance(floor, float) else None
    judgement = verdict(ratio, known, "" if known is not None else str(floor))
    judged = ratio.unit == "processes" and ratio.pairs >= MINIMUM_PROCESSES and known is not None
    return replace(change, word=judgement.word, reason=judgement.reason, floor=known, judged=judged)


def _floor(base: Result, head: Result, again: Result | None) -> float | str:
    """Return the larger noise floor of both sides, or why there is none.

    The pairs of this very session count beside those that were kept of earlier ones.
    """
    own = log_ratios(base.rounds, again.rounds) if again and len(again.rounds) > 1 else []
    processes = min(len(base.rounds), len(head.rounds))
    floors: list[float] = []
    reason = ""
    for side in (base, head):
        pairs = [*(side.info.noise_log_ratios or ()), *own]
        floor = noise_floor(pairs, processes)
        if floor is not None:
            floors.append(floor)
        else:
            missing = floor_of(side.info, processes)
            reason = missing if isinstance(missing, str) else reason
    return max(floors) if len(floors) == 2 else reason


def confirm(first: Sequence[Change], second: Sequence[Change]) -> list[Change]:
    """Return the first measurement's changes, with the ratios that a second one found of the same cases."""
    ratios = {change.key: change.ratio for change in second}
    return [replace(change, second=ratios.get(change.key)) for change in first]


def exit_code(changes: Sequence[Change], fail_on: FailOn) -> int:
    """Return 1 for a confirmed regression, 2 where it cannot be told whether there is one, else 0."""
    if any(fail_on.confirmed(change) for change in changes):
        return 1
    told = [change for change in changes if change.word not in ("ADDED", "REMOVED")]
    if not told or any(change.word == "REMOVED" or not change.judged for change in changes):
        return 2
    return 0
