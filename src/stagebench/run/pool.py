"""Worker processes that live on from one group to the next, so that start and import are paid once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from stagebench.case import AXES, Case
from stagebench.machine.memory import memory_bytes
from stagebench.run.process import WorkerProcess
from stagebench.run.scratch import scratch_folder

FREE_SHARE = 0.5
"""Of the machine's memory, which is left to what is measured and to the file cache."""


class WorkerPool:
    """Starts worker processes and keeps some of those that are done. Use it as a context manager.

    What a case sets before its framework is imported, and what the framework keeps for a whole process (its
    device, threads, malloc's settings, compiler), must be equal for another case to take its process over.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._folders = count()
        self._shared: dict[Case, Path] = {}
        self._idle: dict[Case, list[WorkerProcess]] = {}
        self._served: dict[WorkerProcess, set[str]] = {}
        """The groups that each has measured."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(
        self,
        name: str,
        python: str,
        threads: int | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> WorkerProcess:
        """Start a process, which ends with the pool if not before.

        Raises:
            WorkerError: it cannot be started.

        """
        return self._stack.enter_context(WorkerProcess(name, self._new_folder(), python, threads, variables))

    def shared_folder(self, case: Case) -> Path:
        """Return where the processes of cases that train the same model may find it."""
        alike = replace(case.complete, cache=AXES["cache"].default, workers=AXES["workers"].default)
        if alike not in self._shared:
            self._shared[alike] = self._new_folder()
        return self._shared[alike]

    def take(self, case: Case, stage: str) -> WorkerProcess | None:
        """Return a process that was kept and that the case can use, or None.

        One that has measured the stage in this group before is no independent evidence.
        """
        idle = self._idle.get(_home(case), [])
        for worker in idle:
            if case.group(stage) not in self._served[worker] and worker.lives:
                idle.remove(worker)
                worker.name = case.id
                return worker
        return None

    def keep(self, case: Case, worker: WorkerProcess, measured: str | None, most: int) -> None:
        """Keep a process that has measured a stage, if fewer than `most` of its kind are and memory is ample.

        Else it ends.
        """
        idle = self._idle.setdefault(_home(case), [])
        served = self._served.setdefault(worker, set())
        if measured:
            served.add(case.group(measured))
        if len(idle) < most and memory_bytes("now") > FREE_SHARE * memory_bytes("ever"):
            idle.append(worker)
        else:
            worker.close()

    def _new_folder(self) -> Path:
        if self._folder is None:
            self._folder = self._stack.enter_context(scratch_folder())
        folder = self._folder / str(next(self._folders))
        folder.mkdir()
        return folder

    def close_idle(self) -> None:
        """End what is kept, where memory is short."""
        for workers in self._idle.values():
            while workers:
                workers.pop().close()


def _home(case: Case) -> Case:
    """Return what is equal of all cases that can use one process."""
    free = {name: axis.default for name, axis in AXES.items() if axis.separates and name != "device"}
    return replace(case.complete, **free)
