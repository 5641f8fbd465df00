"""The order in which the cases of a group are measured, and when they have been measured enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import count
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from stagebench.case import Case, Workload, from_plain
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks import FRAMEWORKS
from stagebench.frameworks.contract import RuntimeInfo, UnavailableError
from stagebench.run.environments import Environment
from stagebench.run.peak import PeakRates
from stagebench.run.process import Patience, WorkerError, WorkerProcess
from stagebench.run.sample import Failure, Measurement, ProcessRecord, Sample
from stagebench.run.scratch import scratch_folder
from stagebench.run.slices import Execution, execute_in_slices
from stagebench.stages import STAGES

T = TypeVar("T")

INTERLEAVE = ("slices", "rounds")
MAXIMUM_ROUNDS = 200
ROUND_SECONDS = 2.0
"""Where the number of rounds is not given, they and their checks go on until they took this long per case."""
PRECISE_PROCESSES = 8
"""Fresh processes before which `within` ends nothing: of fewer, an interval can be narrow by chance.

In 20,000 simulated comparisons, intervals that end so cover the truth in 93 to 95%; with 5 in 92 to 95%.
"""


@dataclass(frozen=True)
class Schedule:
    """How much is measured of a group, and how long."""

    rounds: int | None = None
    """Timed rounds in each fresh process; None: by `ROUND_SECONDS`."""
    processes: int = 1
    """Fresh processes for each case; with `within` at least, unless `max_time` is spent before."""
    within: float | None = None
    """Go on with more processes until the interval of each ratio is within +- this, e.g. 0.02."""
    max_time: float = 300.0
    """Seconds after which `within` is given up for a group."""
    stage_timeout: float | None = None
    """Seconds that a worker process may take for each step: to start, to set up, to execute and check."""
    threads: int | None = None
    """Threads and processors of each worker process; None: the framework's own choice."""
    interleave: str = INTERLEAVE[0]
    """How rivals take turns: in time slices of a round where that is possible, or by whole rounds."""
    retain_memory: bool = False
    """Whether a worker process keeps what it frees; else its C library decides."""


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


Report = Callable[[Status], None]
Width = Callable[[Mapping[Case, Measurement]], float]
"""Takes what was measured of a group's cases; returns the widest +- of their ratios."""


def measure_group(
    stage: str, cases: Sequence[Case], conditions: Conditions, report: Report, width: Width
) -> dict[Case, Measurement | Failure]:
    """Measure a stage for the cases of a group, each in fresh processes: once cold, then in rounds.

    A case that fails takes no further part, and leaves the others alone.
    """
    schedule = conditions.schedule
    records: dict[Case, list[ProcessRecord]] = {case: [] for case in cases}
    failures: dict[Case, Failure] = {}
    began = monotonic()
    stopped_by = None
    files = conditions.manifest.paths("train")
    peak = PeakRates(stage, conditions.workload, files, schedule.threads)
    for repeat in count(1):
        started = monotonic()

        def share(within: float, repeat: int = repeat) -> float:
            if schedule.within:
                return min(1.0, (monotonic() - began) / schedule.max_time)
            return (repeat - 1 + within) / schedule.processes

        left_over = [case for case in _in_turn(cases, repeat - 1) if case not in failures]
        for run in _measure_in_fresh_processes(stage, left_over, conditions, peak, repeat, share, report):
            if run.failure:
                failures[run.case] = run.failure
            else:
                records[run.case].append(run.record)
        left = {case: Measurement(records[case]) for case in cases if case not in failures}
        if not left:
            break
        if schedule.within and len(left) > 1:
            if repeat >= max(PRECISE_PROCESSES, schedule.processes) and width(left) <= schedule.within:
                stopped_by = "precision"
                break
            if 2 * monotonic() - started - began > schedule.max_time:  # one more would not end in time
                stopped_by = "max_time"
                break
        elif repeat >= schedule.processes:
            break
    return {case: failures.get(case) or Measurement(records[case], stopped_by, peak.rates) for case in cases}


def turns(cases: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the cases in the orders A B, B A, A B ...: a drift of the machine then hits them alike."""
    return (_in_turn(cases, turn) for turn in count())


def _in_turn(cases: Sequence[T], turn: int) -> Sequence[T]:
    return cases if turn % 2 == 0 else cases[::-1]


def _measure_in_fresh_processes(
    stage: str,
    cases: Sequence[Case],
    conditions: Conditions,
    peak: PeakRates,
    repeat: int,
    share: Callable[[float], float],
    report: Report,
) -> list[_CaseRun]:
    """Measure each case in one fresh process, which are there at the same time and compute one at a time."""
    schedule = conditions.schedule
    process = f"process {repeat}, " if repeat > 1 or schedule.processes > 1 or schedule.within else ""
    rounds = STAGES[stage].minimum_rounds if schedule.rounds is None else schedule.rounds
    expected = len(cases) * (1 + rounds)
    latest: dict[Case, float] = {}

    def tell(run: _CaseRun, doing: str) -> None:
        run.doing = doing
        done = sum(len(run.rounds) for run in runs) + len(latest)
        report(Status(run.case, process + doing, latest, share(min(0.95, done / expected))))

    def measure_peak() -> None:
        peak.measure({run.case: run.cold.outcome for run in runs if not run.failure})

    with scratch_folder() as folder, ExitStack() as stack:
        runs = [_CaseRun(case, stage, folder / str(number), schedule) for number, case in enumerate(cases)]
        for run in runs:
            run.attempt(run.start, conditions, stack)
        peak.start(cases, folder / "peak", stack)
        for run in runs:
            tell(run, "starting")
            run.attempt(run.wait_until_open)
        for run in runs:
            tell(run, "cold")
            run.attempt(run.execute_cold)
            if not run.failure:
                latest[run.case] = run.cold.seconds
        measure_peak()
        sliced = schedule.interleave == "slices" and all(run.can_be_sliced for run in runs if not run.failure)
        began = monotonic()
        for number, turn in enumerate(turns(runs)):
            if _enough(stage, number, turn, schedule.rounds, monotonic() - began):
                break
            left = [run for run in turn if not run.failure]
            if sliced and len(left) > 1:
                for run in left:
                    tell(run, f"round {number + 1}")
                _execute_in_slices(left)
            else:
                for run in left:
                    tell(run, f"round {number + 1}")
                    run.attempt(run.execute_round)
            latest |= {run.case: run.rounds[-1].seconds for run in left if not run.failure}
        measure_peak()
        for run in runs:
            run.attempt(run.finish, repeat == 1)
            if conditions.profiles and repeat == 1:
                tell(run, "profile")
                run.attempt(run.profile, conditions.profiles)
    return runs


def _enough(stage: str, rounds: int, runs: Sequence[_CaseRun], wanted: int | None, spent: float) -> bool:
    """Say whether so many rounds of all cases, which took `spent` seconds, are enough."""
    running = [run for run in runs if not run.failure]
    if not running or rounds == wanted:
        return True
    if wanted is not None or rounds < STAGES[stage].minimum_rounds:
        return False
    return rounds >= MAXIMUM_ROUNDS or spent >= ROUND_SECONDS * len(running)


def _execute_in_slices(runs: Sequence[_CaseRun]) -> None:
    executions = [
        Execution(run.worker, [run.cold, *run.rounds][-1].seconds, run.patience("execute")) for run in runs
    ]
    execute_in_slices(executions)
    for run, execution in zip(runs, executions, strict=True):
        run.attempt(run.take_round, execution)


class _CaseRun:
    """One case in one fresh worker process. After a failure it does nothing more."""

    record: ProcessRecord

    def __init__(self, case: Case, stage: str, folder: Path, schedule: Schedule) -> None:
        self.case = case
        self.stage = stage
        self.folder = folder
        self.timeout = inf if schedule.stage_timeout is None else schedule.stage_timeout
        self.doing = "starting"
        self.failure: Failure | None = None
        self.interleave = "rounds"
        self.rounds: list[Sample] = []

    def attempt(self, step: Callable[..., None], *arguments: Any) -> None:
        if self.failure:
            return
        try:
            step(*arguments)
        except UnavailableError as reason:
            self.failure = Failure(str(reason), unavailable=True)
        except WorkerError as error:
            self.failure = Failure(str(error))

    def start(self, conditions: Conditions, stack: ExitStack) -> None:
        """Start the process and let it import its framework, while the others do the same."""
        self.folder.mkdir()
        self.weights = conditions.weights
        python = conditions.environments[self.case.environment].python
        self.worker = stack.enter_context(
            WorkerProcess(self.case.id, self.folder, python, conditions.schedule.threads)
        )
        self.worker.send_open(
            self.case,
            conditions.workload,
            conditions.manifest,
            threads=conditions.schedule.threads,
            retain_memory=conditions.schedule.retain_memory,
        )

    def wait_until_open(self) -> None:
        self.runtime = self._read(RuntimeInfo, self.worker.receive(self.patience("")))

    def execute_cold(self) -> None:
        # One case after the other: two that train at the same time take longer than in turn.
        self._request("set_up", stage=self.stage, folder=self.folder, weights=self.weights)
        self.cold = self._execute()

    @property
    def can_be_sliced(self) -> bool:
        """Whether the process may be stopped within a round: a GPU or a sleep would go on meanwhile."""
        sleeps = self.case.recipe in FRAMEWORKS[self.case.framework].sleeping_recipes
        return (
            self.case.device == "cpu"
            and not STAGES[self.stage].keeps_time
            and not (sleeps and "loads_data" in STAGES[self.stage].traits)
            and self.cold.began is not None
            and self.worker.can_pause
        )

    def execute_round(self) -> None:
        self.rounds.append(self._execute())

    def take_round(self, execution: Execution) -> None:
        """Take what was executed in slices, without the time in which the process stood still."""
        if execution.error:
            raise execution.error
        sample, self.interleave = self._read(Sample, execution.answer), "slices"
        began = sample.began or 0.0
        paused = execution.paused_within(began, began + sample.seconds)
        self.rounds.append(replace(sample, seconds=sample.seconds - paused))

    def finish(self, first: bool) -> None:
        peaks = self._request("peaks")
        pictures = self._request("pictures") if first and self.stage == "data_loading" else None
        known = {"runtime": self.runtime, "cold": self.cold, "rounds": self.rounds, "pictures": pictures}
        known["interleave"] = self.interleave
        self.record = self._read(ProcessRecord, {**peaks, **known})

    def profile(self, folder: Path) -> None:
        """Have the stage profiled, once its times are taken."""
        trace = folder.absolute() / self.stage / self.case.id
        with suppress(UnavailableError):  # of a framework without a profiler, the times stay
            operations = self._request("profile", path=trace)
            self.record = replace(self.record, profile=operations, trace=str(trace))

    def patience(self, method: str) -> Patience:
        return Patience(self.timeout, f"{self.doing}, {method}" if method else self.doing)

    def _execute(self) -> Sample:
        return self._read(Sample, self._request("execute"))

    def _read(self, cls: type[T], values: Mapping[str, Any]) -> T:
        """Return what another version of this package may have sent."""
        try:
            return from_plain(cls, values)
        except TypeError as error:
            raise WorkerError(
                f"{self.case.id}: its stagebench is too old to measure against: {error}"
            ) from None

    def _request(self, method: str, **arguments: Any) -> Any:
        self.worker.send(method, **arguments)
        return self.worker.receive(self.patience(method))
