"""What a stage is to a worker process: set it up, prepare an execution, run it, say what it did."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal, get_args

from stagebench.case import Workload
from stagebench.frameworks.contract import Operation, Pipeline, StartingPoint

Step = Literal["set_up", "cold", "round"]
"""What a worker process does with a stage: it sets it up, then executes it once, then in rounds."""
STEPS: tuple[Step, ...] = get_args(Step)


class StageRun(ABC):
    """A stage of one case. Only `run` is timed."""

    trains_in: tuple[Step, ...] = ()
    """The steps that train `workload.epochs` epochs: what they cost grows with it."""

    def __init__(
        self,
        pipeline: Pipeline,
        checker: Pipeline,
        workload: Workload,
        path: Path,
        start: StartingPoint | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.checker = checker
        """A second pipeline, so that checks leave the measured one as it is: of the same case, or of the same
        case in float32 where a deployed model is compared with it."""
        self.workload = workload
        self.path = path
        """Where the stage may keep a model file."""
        self.start = start
        """Where deployment starts from."""
        self.set_up()

    def set_up(self) -> None:  # noqa: B027  # not every stage needs what earlier stages leave behind
        """Do what the earlier stages of the pipeline would have done."""

    def prepare(self) -> None:  # noqa: B027
        """Restore the state in which every execution begins."""

    @abstractmethod
    def run(self) -> Any:
        """Run the stage itself."""

    @abstractmethod
    def outcome(self, result: Any) -> dict[str, Any]:
        """Say in plain data what the execution that returned `result` did."""

    def profile(self, path: Path) -> list[Operation]:
        """Run the stage once more under a profiler; see `Pipeline.profile`."""
        self.prepare()
        return self.pipeline.profile(path, self.run)
