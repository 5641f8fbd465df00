"""What is equal for all groups of a session, and how much of each is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stagebench.case import Case, Workload
from stagebench.datasets.manifest import Manifest
from stagebench.run.environments import Environment

INTERLEAVE = ("slices", "rounds")
KEPT_FOR_MORE = 3
"""Processes of a kind that are kept where undecided groups may take more."""


@dataclass(frozen=True)
class Schedule:
    """How much is measured of a group, and how long."""

    rounds: int | None = None
    """Timed rounds in each process; None: by `ROUND_SECONDS`."""
    processes: int = 3
    """Processes for each case; with `within` or a `budget` at least."""
    budget: float | None = None
    """Seconds for the whole session: what is left of them goes to further processes of undecided groups."""
    within: float | None = None
    """Go on with more processes until the interval of each ratio is within +- this, e.g. 0.02."""
    max_time: float = 300.0
    """Seconds after which `within` is given up for a group."""
    stage_timeout: float | None = None
    """Seconds that a worker process may take for each step: to start, to set up, to execute and check."""
    threads: int | None = None
    """Threads and processors of each worker process; None: the framework's own choice."""
    interleave: str = INTERLEAVE[0]
    """How the cases of a group take turns: in time slices of a round where possible, or by whole rounds."""

    @property
    def kept(self) -> int:
        """How many processes of a kind live on, for all but the first of a case, which is fresh."""
        return max(self.processes - 1, KEPT_FOR_MORE if self.budget else 0)


@dataclass(frozen=True)
class Conditions:
    """What is equal for all groups of a session."""

    workload: Workload
    manifest: Manifest
    environments: Mapping[str, Environment]
    schedule: Schedule
    weights: Path | None = None
    """File of the trained weights that deployment starts from; see `trained.py`."""
    profiles: Path | None = None
    """Folder for a profiler's trace of each case."""


@dataclass(frozen=True)
class Status:
    """What a group's measurement is at."""

    case: Case
    doing: str
    """`starting`, `cold` or `round 3`, and in which process."""
    seconds: Mapping[Case, float]
    """The latest time of each case."""
    share: float
    """How much of the group is done, from 0 to 1; an estimate."""
