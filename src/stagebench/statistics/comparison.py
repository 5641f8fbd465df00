"""From a base to a head: what became of each stage and case, and whether that must stop a change."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from stagebench.case import Case
from stagebench.results.info import Info, apart
from stagebench.results.result import Result
from stagebench.stages import STAGES
from stagebench.statistics.knowledge import Memory, priors_of
from stagebench.statistics.ratio import Ratio, independent_ratio, paired_ratio
from stagebench.statistics.spread import Logs, Spread, log_ratios, logs_of, spread_of, spread_of_equal
from stagebench.statistics.verdict import LEAST_SMALLEST, SMALLEST_DIFFERENCE, verdict

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

UNSEEN = 1.0
"""A slow-down so large, as a share, that where it would not be seen nothing can be told: twice the time."""


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
    """Whether the times could be compared; an UNKNOWN in which no slow-down of `UNSEEN` hides is judged."""
    second: Ratio | None = None
    """Of a regression, the ratio in the second measurement that was to confirm it."""

    @property
    def key(self) -> Key:
        return self.stage, self.case


@dataclass(frozen=True)
class FailOn:
    """From which size on a case that is SLOWER stops a change."""

    overall: float = 0.0
    """As a share; every SLOWER has the smallest difference that counts."""
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
                    f"{part!r} is not slower, slower:PERCENT% (of {LEAST_SMALLEST:.1%} or more) or "
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
        limit = max(self.of_stage.get(change.stage, self.overall), change.floor or 0.0)
        return bool(ratio and ratio.interval[0] > 1 and ratio.estimate > 1 + limit)


def _share(text: str) -> float | None:
    try:
        value = float(text.removesuffix("%")) / 100
    except ValueError:
        return None
    return value if text.endswith("%") and LEAST_SMALLEST <= value < float("inf") else None


def compare(
    base: Side,
    head: Side,
    again: Side | None = None,
    together: bool = False,
    memory: Memory | None = None,
    smallest: float = SMALLEST_DIFFERENCE,
) -> list[Change]:
    """Return what became of every stage and case of either side, in the order of the base.

    Args:
        base: what it was.
        head: what it is.
        again: the base measured once more in the same groups, which tells what equal cases differ by.
        together: whether all were measured in one session, process `i` of each at the same time.
        memory: what earlier runs on the machine tell.
        smallest: the smallest difference that counts, as a share.

    """
    again, memory = again or {}, memory or Memory()
    both = [key for key in base if key in head]
    if together:
        ratios = _of_one_session(both, base, head, again, memory)
    else:
        ratios = _of_two_sessions(both, base, head, memory)
    changes = []
    for key in dict.fromkeys([*base, *head]):
        stage, case = key
        if key not in ratios:
            word: Literal["ADDED", "REMOVED"] = "ADDED" if key not in base else "REMOVED"
            changes.append(Change(stage, case, word, base.get(key), head.get(key)))
            continue
        aa = paired_ratio(again[key].rounds, base[key].rounds) if key in again else None
        change = Change(stage, case, "UNKNOWN", base[key], head[key], ratios[key], aa)
        changes.append(_judged(change, base[key].info, head[key].info, smallest))
    return changes


def _judged(change: Change, base: Info, head: Info, smallest: float) -> Change:
    ratio = change.ratio
    assert ratio  # noqa: S101  # it is there where both sides are
    different = [name for item, name in EQUAL.items() if getattr(base, item) != getattr(head, item)]
    if base.conditions and head.conditions:  # else one is older, and they are not known
        different += apart(base.conditions, head.conditions)
    if different:
        return replace(change, reason=f"base and head differ in {' and '.join(different)}", judged=False)
    found = verdict(ratio, smallest)
    judged = found.word != "UNKNOWN" or ratio.interval[1] < 1 + UNSEEN
    return replace(change, word=found.word, reason=found.reason, floor=ratio.floor, judged=judged)


def _of_one_session(
    keys: Sequence[Key], base: Side, head: Side, again: Side, memory: Memory
) -> dict[Key, Ratio]:
    """Return ratios of what was measured in turns: of pairs of processes."""
    logs = {key: log_ratios(head[key].rounds, base[key].rounds) for key in keys}
    priors = priors_of([_seen(logs[key]) for key in keys]) if keys else []
    ratios = {}
    for key, prior in zip(keys, priors, strict=True):
        kin = memory.of(key[0]).kin(base[key].info.kind, head[key].info.kind)
        if key in again:
            kin.append(spread_of_equal(log_ratios(again[key].rounds, base[key].rounds)))
        ratios[key] = paired_ratio(head[key].rounds, base[key].rounds, prior.joined(kin))
    return ratios


def _of_two_sessions(keys: Sequence[Key], base: Side, head: Side, memory: Memory) -> dict[Key, Ratio]:
    """Return ratios of what was measured at two times: the machine's drift in between is in them."""
    if not keys:
        return {}
    priors = [priors_of([_seen(logs_of(side[key].rounds)) for key in keys]) for side in (head, base)]
    return {
        key: independent_ratio(head[key].rounds, base[key].rounds, known, memory.drift(key[0]))
        for key, *known in zip(keys, *priors, strict=True)
    }


def _seen(logs: Logs) -> list[Spread]:
    return [spread for spread in [spread_of(logs)] if spread]


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
