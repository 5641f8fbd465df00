"""One case in one worker process, from its start to its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from stagebench.case import Case, from_plain
from stagebench.frameworks import FRAMEWORKS
from stagebench.frameworks.contract import RuntimeInfo, UnavailableError
from stagebench.run.conditions import Conditions, Schedule
from stagebench.run.pool import WorkerPool
from stagebench.run.process import Patience, WorkerError, WorkerProcess
from stagebench.run.sample import Failure, ProcessRecord, Sample
from stagebench.run.slices import Execution, overlap
from stagebench.stages import STAGES

T = TypeVar("T")


class CaseRun:
    """One case in one worker process. After a failure it does nothing more."""

    record: ProcessRecord
    worker: WorkerProcess
    fresh = True
    ended_well = False

    def __init__(
        self, case: Case, stage: str, folder: Path, schedule: Schedule, first: bool, expected: float | None
    ) -> None:
        """Begin with nothing.

        Args:
            case: what runs.
            stage: where.
            folder: for model files; what another process has left there serves this one.
            schedule: its timeout counts, and how many processes live on.
            first: whether it is the case's first process. That one is fresh, and is looked at thoroughly:
                its cold start and its memory are the case's.
            expected: seconds of a round, by the case's process before.

        """
        self.case = case
        self.first = first
        self.expected = expected
        self.stage = stage
        self.folder = folder
        self.most_kept = schedule.kept
        self.timeout = inf if schedule.stage_timeout is None else schedule.stage_timeout
        self.doing = "starting"
        self.started = False
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

    def start(self, conditions: Conditions, pool: WorkerPool) -> None:
        """Let a process import the framework, while the others do the same."""
        self.folder.mkdir(exist_ok=True)
        self.weights = conditions.weights
        threads = conditions.schedule.threads
        kept = None if self.first else pool.take(self.case, self.stage)
        self.fresh = kept is None
        python = conditions.environments[self.case.environment].python
        self.worker = kept or pool.start(self.case.id, python, threads)
        self.started = True
        self.worker.send_open(
            self.case,
            conditions.workload,
            conditions.manifest,
            threads=threads,
            thorough=self.first,
        )

    def leave(self, pool: WorkerPool) -> None:
        """Keep the process for other groups, if nothing stays in it."""
        ended_well = self.ended_well and not self.failure
        stays = "deploys" in STAGES[self.stage].traits or self.case.device != "cpu"
        if self.started:
            most = self.most_kept if ended_well and not stays else 0
            pool.keep(self.case, self.worker, self.stage if self.rounds else None, most)

    def wait_until_open(self) -> None:
        answer = self.worker.receive(self._patience(""))
        self.runtime, self.conditions = self._read(RuntimeInfo, answer), answer.get("conditions")

    def set_up(self) -> None:
        """Bring the process to where the stage begins."""
        # One case after the other: two that compute at the same time take longer than in turn.
        self._request("set_up", stage=self.stage, folder=self.folder, weights=self.weights)

    def execute_cold(self) -> None:
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

    def execution(self) -> Execution:
        """Return a round that is about to begin."""
        latest = self.rounds[-1].seconds if self.rounds else self.expected or self.cold.seconds
        loads_itself = not isinstance(self.case.workers, int) or self.case.workers == 0
        return Execution(self.worker, latest, self._patience("execute"), loads_itself)

    def execute_round(self) -> None:
        execution = self.execution()
        execution.advance(inf)
        self.take_round(execution)

    def take_round(self, execution: Execution) -> None:
        """Take what was executed, without the time in which the process stood still."""
        if execution.error:
            raise execution.error
        sample = self._read(Sample, execution.answer)
        if sample.began is not None:
            ended = sample.began + sample.seconds
            paused = overlap(execution.pauses, sample.began, ended)
            idle = overlap(execution.waits, sample.began, ended)
            sample = replace(sample, seconds=sample.seconds - paused, idle_seconds=idle)
        if execution.pauses:
            self.interleave = "slices"
        self.rounds.append(sample)

    def finish(self) -> None:
        wanted = self.first and self.stage == "data_loading"
        known = {
            "runtime": self.runtime,
            "cold": self.cold,
            "rounds": self.rounds,
            "pictures": self._request("pictures") if wanted else None,
            "interleave": self.interleave,
            "fresh": self.fresh,
            "conditions": self.conditions,
        }
        self.record = self._read(ProcessRecord, {**self._request("peaks"), **known})
        self.ended_well = True

    def profile(self, folder: Path) -> None:
        """Have the stage profiled, once its times are taken."""
        trace = folder.absolute() / self.stage / self.case.id
        with suppress(UnavailableError):  # of a framework without a profiler, the times stay
            operations = self._request("profile", path=trace)
            self.record = replace(self.record, profile=operations, trace=str(trace))

    def _patience(self, method: str) -> Patience:
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
        return self.worker.receive(self._patience(method))
