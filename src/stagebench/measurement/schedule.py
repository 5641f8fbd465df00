"""The order in which the cases of a group are measured."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from stagebench.case import Case, Stage, Workload
from stagebench.dataset import Manifest
from stagebench.measurement.process import WorkerError, WorkerProcess
from stagebench.measurement.sample import Failure, Measurement, ProcessRecord, Sample
from stagebench.pipelines.contract import Facts, UnavailableError

T = TypeVar("T")
Report = Callable[[str], None]
"""Takes a few words on what happens now."""


def measure_group(
    stage: Stage,
    cases: Sequence[Case],
    workload: Workload,
    manifest: Manifest,
    rounds: int,
    processes: int,
    report: Report,
) -> dict[Case, Measurement | Failure]:
    """Measure a stage for rival cases, in `processes` fresh processes each: one cold execution, then rounds.

    A case that fails takes no further part, and leaves the others alone.
    """
    records: dict[Case, list[ProcessRecord]] = {case: [] for case in cases}
    failures: dict[Case, Failure] = {}
    for repeat in range(processes):
        with tempfile.TemporaryDirectory(prefix="stagebench-") as folder, ExitStack() as stack:
            runs = [
                _CaseRun(case, stage, workload, manifest, Path(folder, str(number)), stack, report)
                for number, case in enumerate(_in_turn(cases, repeat))
                if case not in failures
            ]
            for run in runs:
                run.attempt(run.open)
            for run in runs:
                run.attempt(run.execute_cold)
            for run in interleave(runs, rounds):
                run.attempt(run.execute_round)
            for run in runs:
                run.attempt(run.finish)
        for run in runs:
            if run.failure:
                failures[run.case] = run.failure
            else:
                records[run.case].append(run.record)
    return {case: failures.get(case) or Measurement(records[case]) for case in cases}


def interleave(rivals: Sequence[T], rounds: int) -> Iterator[T]:
    """Yield the rivals in the order A B, B A, A B ...: a drift of the machine then hits them alike."""
    for round_ in range(rounds):
        yield from _in_turn(rivals, round_)


def _in_turn(rivals: Sequence[T], turn: int) -> Sequence[T]:
    return rivals if turn % 2 == 0 else rivals[::-1]


class _CaseRun:
    """One case in one fresh worker process. After a failure it does nothing more."""

    record: ProcessRecord

    def __init__(
        self,
        case: Case,
        stage: Stage,
        workload: Workload,
        manifest: Manifest,
        folder: Path,
        stack: ExitStack,
        report: Report,
    ) -> None:
        self.case = case
        self.stage = stage
        self.folder = folder
        self.report = report
        self.failure: Failure | None = None
        self.rounds: list[Sample] = []
        folder.mkdir()
        self.attempt(lambda: self._start(workload, manifest, stack))

    def attempt(self, step: Callable[[], None]) -> None:
        if self.failure:
            return
        try:
            step()
        except UnavailableError as reason:
            self.failure = Failure(str(reason), unavailable=True)
        except WorkerError as error:
            self.failure = Failure(str(error))

    def _start(self, workload: Workload, manifest: Manifest, stack: ExitStack) -> None:
        """Start the process and let it import its framework, while its rivals do the same."""
        self.worker = stack.enter_context(WorkerProcess(self.case.id, self.folder))
        self.worker.send_open(self.case, workload, manifest)

    def open(self) -> None:
        self.report(f"{self.case.rival}: starting")
        self.facts = Facts(**self.worker.receive())

    def execute_cold(self) -> None:
        self.report(f"{self.case.rival}: cold")
        self.worker.request("set_up", stage=self.stage, folder=self.folder)
        self.cold = Sample(**self.worker.request("execute"))

    def execute_round(self) -> None:
        self.report(f"{self.case.rival}: round {len(self.rounds) + 1}")
        self.rounds.append(Sample(**self.worker.request("execute")))

    def finish(self) -> None:
        peak = self.worker.request("peak_rss_bytes")
        self.record = ProcessRecord(self.facts, self.cold, self.rounds, peak)
