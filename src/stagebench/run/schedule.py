"""The order in which the cases of a group are measured, and when they have been measured enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic
from typing import TypeVar

from stagebench.case import Case
from stagebench.run.case_run import CaseRun
from stagebench.run.conditions import Conditions, Status
from stagebench.run.peak import PeakRates
from stagebench.run.pool import WorkerPool
from stagebench.run.sample import Failure, Measurement, ProcessRecord
from stagebench.run.scratch import scratch_folder
from stagebench.run.slices import execute_in_slices
from stagebench.stages import STAGES

T = TypeVar("T")

MAXIMUM_ROUNDS = 200
ROUND_SECONDS = 0.5
"""Where the number of rounds is not given, they and their checks go on until they took this long per case."""
PRECISE_PROCESSES = 8
"""Fresh processes before which `within` ends nothing: of fewer, an interval can be narrow by chance.

In 20,000 simulated comparisons, intervals that end so cover the truth in 93 to 95%; with 5 in 92 to 95%.
"""


Report = Callable[[Status], None]
Width = Callable[[Mapping[Case, Measurement]], float]
"""Takes what was measured of a group's cases; returns the widest +- of their ratios."""


@dataclass(frozen=True)
class Means:
    """What the groups of a session are measured with."""

    pool: WorkerPool
    peak: PeakRates
    width: Width


def measure_group(
    stage: str,
    cases: Sequence[Case],
    conditions: Conditions,
    means: Means,
    report: Report,
    earlier: Mapping[Case, Measurement | Failure] | None = None,
    more: int = 0,
) -> dict[Case, Measurement | Failure]:
    """Measure a stage for the cases of a group, each in several processes: once cold, then in rounds.

    A case that fails takes no further part, and leaves the others alone. What was measured `earlier` is
    continued with so many `more` processes.
    """
    schedule = conditions.schedule
    records: dict[Case, list[ProcessRecord]] = {case: [] for case in cases}
    failures: dict[Case, Failure] = {}
    for case, result in (earlier or {}).items():
        if isinstance(result, Failure):
            failures[case] = result
        else:
            records[case] += result.processes
    began = monotonic()
    stopped_by = None
    done = max(map(len, records.values()))
    wanted = done + more if earlier else schedule.processes
    with scratch_folder() as folder:
        folders = {case: folder / str(number) for number, case in enumerate(cases)}
        if STAGES[stage].starts_trained:
            folders = {case: means.pool.shared_folder(case) for case in cases if case not in failures}
            failures |= _train(stage, folders, conditions, means, report)
        for repeat in count(done + 1):
            started = monotonic()

            def share(within: float, repeat: int = repeat) -> float:
                if schedule.within and not earlier:
                    return min(1.0, (monotonic() - began) / schedule.max_time)
                return (repeat - done - 1 + within) / (wanted - done)

            runs = [
                CaseRun(case, stage, folders[case], schedule, repeat == 1, _seconds_of(records[case]))
                for case in _in_turn(cases, repeat - 1)
                if case not in failures
            ]
            if not runs:
                break
            try:
                _measure_once(runs, conditions, means, report, repeat, share)
            finally:
                for run in runs:
                    run.leave(means.pool)
            for run in runs:
                if run.failure:
                    failures[run.case] = run.failure
                else:
                    records[run.case].append(run.record)
            left = {case: Measurement(records[case]) for case in cases if case not in failures}
            if schedule.within and len(left) > 1 and not earlier:
                if repeat >= max(PRECISE_PROCESSES, wanted) and means.width(left) <= schedule.within:
                    stopped_by = "precision"
                    break
                if 2 * monotonic() - started - began > schedule.max_time:  # one more would not end in time
                    stopped_by = "max_time"
                    break
            elif repeat >= wanted:
                break
    rates = means.peak.rates
    return {case: failures.get(case) or Measurement(records[case], stopped_by, rates) for case in cases}


def _train(
    stage: str, folders: Mapping[Case, Path], conditions: Conditions, means: Means, report: Report
) -> dict[Case, Failure]:
    """Have the models trained that the stage starts from, by processes which measure nothing meanwhile."""
    failures = {}
    for case, folder in folders.items():
        if any(folder.iterdir()):
            continue
        run = CaseRun(case, stage, folder, conditions.schedule, first=False, expected=None)
        run.doing = "set-up of another process"
        report(Status(case, run.doing, {}, 0.0))
        try:
            run.attempt(run.start, conditions, means.pool)
            run.attempt(run.wait_until_open)
            run.attempt(run.set_up)
            run.ended_well = not run.failure
        finally:
            run.leave(means.pool)
        if run.failure:
            failures[case] = run.failure
            for part in folder.iterdir():
                part.unlink()
    return failures


def _seconds_of(records: Sequence[ProcessRecord]) -> float | None:
    """Return what the latest round of a case took, if there was one."""
    return records[-1].rounds[-1].seconds if records and records[-1].rounds else None


def turns(cases: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the cases in the orders A B, B A, A B ...: a drift of the machine then hits them alike."""
    return (_in_turn(cases, turn) for turn in count())


def _in_turn(cases: Sequence[T], turn: int) -> Sequence[T]:
    return cases if turn % 2 == 0 else cases[::-1]


def _measure_once(
    runs: Sequence[CaseRun],
    conditions: Conditions,
    means: Means,
    report: Report,
    repeat: int,
    share: Callable[[float], float],
) -> None:
    """Measure each case in one process, all of which are there at the same time and compute one at a time."""
    schedule, stage = conditions.schedule, runs[0].stage
    process = f"process {repeat}, " if repeat > 1 or schedule.processes > 1 or schedule.within else ""
    rounds = STAGES[stage].minimum_rounds if schedule.rounds is None else schedule.rounds
    expected = len(runs) * (1 + rounds)
    latest: dict[Case, float] = {}

    def tell(run: CaseRun, doing: str) -> None:
        run.doing = doing
        done = sum(len(run.rounds) for run in runs) + len(latest)
        report(Status(run.case, process + doing, latest, share(min(0.95, done / expected))))

    first = repeat == 1
    for run in runs:
        run.attempt(run.start, conditions, means.pool)
    for run in runs:
        tell(run, "starting")
        run.attempt(run.wait_until_open)
    for run in runs:
        tell(run, "cold")
        run.attempt(run.set_up)
        run.attempt(run.execute_cold)
        if not run.failure:
            latest[run.case] = run.cold.seconds
    if first:
        means.peak.measure(stage, {run.case: run.cold.outcome for run in runs if not run.failure})
    sliced = schedule.interleave == "slices" and all(run.can_be_sliced for run in runs if not run.failure)
    began = monotonic()
    for number, turn in enumerate(turns(runs)):
        if _enough(stage, number, turn, schedule.rounds, monotonic() - began):
            break
        left = [run for run in turn if not run.failure]
        for run in left:
            tell(run, f"round {number + 1}")
            if not sliced or len(left) == 1:
                run.attempt(run.execute_round)
        if sliced and len(left) > 1:
            _execute_in_slices(left)
        latest |= {run.case: run.rounds[-1].seconds for run in left if not run.failure}
    for run in runs:
        run.attempt(run.finish)
        if conditions.profiles and first:
            tell(run, "profile")
            run.attempt(run.profile, conditions.profiles)


def _enough(stage: str, rounds: int, runs: Sequence[CaseRun], wanted: int | None, spent: float) -> bool:
    """Say whether so many rounds of all cases, which took `spent` seconds, are enough."""
    running = [run for run in runs if not run.failure]
    if not running or rounds == wanted:
        return True
    if wanted is not None or rounds < STAGES[stage].minimum_rounds:
        return False
    return rounds >= MAXIMUM_ROUNDS or spent >= ROUND_SECONDS * len(running)


def _execute_in_slices(runs: Sequence[CaseRun]) -> None:
    executions = [run.execution() for run in runs]
    execute_in_slices(executions)
    for run, execution in zip(runs, executions, strict=True):
        run.attempt(run.take_round, execution)
