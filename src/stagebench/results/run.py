"""A run: what was measured in one session and what is known of it, from a saved file or as it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from msgspec import Struct

from stagebench.case import Case
from stagebench.results.info import Count, KnownDrift, KnownSpread, Text
from stagebench.results.result import Result
from stagebench.stages import STAGES
from stagebench.statistics.group import Group, groups_of
from stagebench.statistics.knowledge import Earlier, Memory, Pair, pair_of
from stagebench.statistics.spread import Spread
from stagebench.statistics.verdict import SMALLEST_DIFFERENCE


class Processor(Struct):
    """Whose names and numbers are those of `machine.info`."""

    brand_raw: Text
    cores: Count | None = None
    threads: Count | None = None
    usable_threads: Count | None = None


class Machine(Struct):
    """What reports read of pytest-benchmark's `machine_info`; see `machine.info`."""

    cpu: Processor
    memory_bytes: Count = 0
    gpus: list[Text] | None = None
    system: Text = ""
    release: Text = ""
    python_version: Text = ""
    libraries: dict[str, Text | None] | None = None
    thread_variables: dict[str, Text | None] | None = None
    speed_variables: dict[str, Text] | None = None


class Pictures(Struct):
    """Sixteen images as an environment's recipe delivers them, twice; see `run.pictures`."""

    environment: Text
    framework: Text
    recipe: Text
    prepared: Text
    flipped: Text


class Difference(Struct):
    """One choice in which a framework's `published` pipeline differs from its `matched` one."""

    choice: Text
    framework: Text
    published: Text
    matched: Text
    measured: Text
    """What the choice changes, with its unit."""


@dataclass(frozen=True)
class NotMeasured:
    """A case that failed or was skipped at a stage."""

    stage: str
    case: Case
    outcome: str
    """`failed` or `skipped`."""
    reason: str


@dataclass(frozen=True)
class Run:
    """One session's results and its record."""

    label: str
    """What tells the run apart from others in a report."""
    machine: Machine
    datetime: str
    results: Sequence[Result]
    not_measured: Sequence[NotMeasured] = ()
    command: Sequence[str] = ()
    """Arguments of the command line."""
    preset: str = ""
    """Name of the preset, where it is known."""
    pictures: Sequence[Pictures] = ()
    differences: Sequence[Difference] = ()

    smallest: float = SMALLEST_DIFFERENCE
    """The smallest difference that counts, as a share."""
    known: Sequence[KnownSpread] = ()
    """What was known of spreads when the run was judged, from earlier ones on its machine."""
    drifts: Sequence[KnownDrift] = ()

    @cached_property
    def groups(self) -> list[Group]:
        return groups_of(self.results, self.memory, self.smallest)

    @cached_property
    def memory(self) -> Memory:
        """What earlier runs tell, as the statistics take it."""
        spreads: dict[str, dict[Pair, list[Spread]]] = {}
        for one in self.known:
            of_stage = spreads.setdefault(one.stage, {})
            of_stage.setdefault(pair_of(*one.kinds), []).append(Spread(one.spread, one.freedom))
        drifts = {one.stage: Spread(one.spread, one.freedom) for one in self.drifts}
        return Memory({stage: Earlier(found) for stage, found in spreads.items()}, drifts)

    @property
    def cpu(self) -> str:
        return self.machine.cpu.brand_raw

    @property
    def versions(self) -> dict[str, str]:
        """Framework version by environment."""
        return {r.case.environment: r.info.framework_version for r in self.results}

    @property
    def cases(self) -> list[Case]:
        """Every case once, measured at any stage or not."""
        return list(dict.fromkeys([*(r.case for r in self.results), *(n.case for n in self.not_measured)]))


def in_order(stages: Sequence[str]) -> list[str]:
    """Return the stages that occur, once each, in the order in which a model passes them."""
    return [stage for stage in STAGES if stage in stages]
