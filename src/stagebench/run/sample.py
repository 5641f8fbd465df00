"""What a measurement yields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stagebench.frameworks.contract import RuntimeInfo


@dataclass(frozen=True)
class Sample:
    """One execution of a stage in a worker process."""

    seconds: float
    """Wall-clock time of the stage alone, device synchronised at both ends, garbage collection off."""
    cpu_seconds: float
    """User and system time of the worker process and its finished child processes, meanwhile."""
    page_faults: int
    """Pages that the worker process touched for the first time, or had to read back, meanwhile."""
    involuntary_switches: int
    """How often the system took the processor from one of the worker process's threads, meanwhile."""
    outcome: dict[str, Any]
    """What the stage did, for its checks; see `stages.stage.Stage.outcome`."""
    idle_seconds: float | None = None
    """How long of this time the process computed nothing, seen from outside, so that shorter waits than some
    50 ms are not in it; None of a cold execution."""
    began: float | None = None
    """On the system's monotonic clock; None from an older version of this package."""


@dataclass(frozen=True)
class ProcessRecord:
    """What one worker process measured of one case."""

    runtime: RuntimeInfo
    cold: Sample
    """The first execution: tracing, compiling and cache filling included."""
    rounds: list[Sample]
    peak_rss_bytes: int
    """Highest resident memory of the worker process; its loader processes are not in it."""
    peak_gpu_bytes: int | None
    """Most GPU memory that the framework held at once for tensors; None on the CPU."""
    pictures: dict[str, str] | None = None
    """Of data loading, in the first process: what its images look like; see `pictures.py`."""
    fresh: bool = True
    """Whether nothing was executed in it before: else its cold execution and its memory tell little."""
    interleave: str = "rounds"
    """How its rounds took turns with those of the group's other cases: in `slices`, or as whole `rounds`."""
    profile: list[dict[str, Any]] | None = None
    """With `--profile`, in the first process: the costliest `contract.Operation`s."""
    trace: str | None = None
    """How the path of its trace begins."""
    conditions: dict[str, Any] | None = None
    """What else changes its speed, as a `machine.conditions.SpeedConditions`; None from an older version."""

    @property
    def executions(self) -> list[Sample]:
        """The cold one first."""
        return [self.cold, *self.rounds]


@dataclass(frozen=True)
class Measurement:
    """What all worker processes of one case measured at one stage."""

    processes: list[ProcessRecord]
    stopped_by: str | None = None
    """With `--within`: `precision` or `max_time`, whichever ended the measurement."""
    rates: dict[str, float] = field(default_factory=dict)
    """What this machine did at best meanwhile; see `peak.py`. Empty where no peak is known."""

    @property
    def rounds(self) -> list[Sample]:
        """The rounds of all processes, in the order in which they were taken."""
        return [sample for process in self.processes for sample in process.rounds]

    @property
    def seconds(self) -> list[list[float]]:
        """Seconds of every round, by process."""
        return [[sample.seconds for sample in process.rounds] for process in self.processes]

    @property
    def executions(self) -> list[Sample]:
        """Every execution, the cold ones first: the checks hold for all of them."""
        return [process.cold for process in self.processes] + self.rounds


@dataclass(frozen=True)
class Failure:
    """Why a case has no measurement."""

    reason: str
    unavailable: bool = False
    """The machine lacks what the case needs, e.g. its device: nothing went wrong."""
