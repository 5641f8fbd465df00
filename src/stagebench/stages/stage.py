"""What a stage is: what is set up and timed, what makes it valid, how little work it could be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from stagebench.case import Case, Trait, Workload
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks import ExportFormat
from stagebench.frameworks.contract import Operation, Pipeline, StartingPoint

Outcome = Mapping[str, Any]
"""What an execution did, in plain data."""
Amounts = Mapping[str, float]
"""How much of each resource a stage takes, by the names in `machine.peak_rates.RESOURCES`."""
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Executions:
    """What was executed of a case, and what was to be computed."""

    by_process: Sequence[Sequence[Outcome]]
    """The cold one first."""
    case: Case
    workload: Workload
    manifest: Manifest

    @property
    def outcomes(self) -> list[Outcome]:
        """Those of all processes."""
        return [outcome for process in self.by_process for outcome in process]


class Stage(ABC):
    """A stage of one case, in its worker process. Only `run` is timed.

    What is said of the stage itself is on the class, and known in the pytest process too.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    """Its place among the stages."""
    colour: ClassVar[str]
    """Of its part of a bar in charts."""
    traits: ClassVar[tuple[Trait, ...]] = ()
    minimum_rounds: ClassVar[int] = 2
    """In each process, where their number is not given."""
    keeps_time: ClassVar[bool] = False
    """Whether it takes times within `run`, which a process that is stopped meanwhile would take wrongly."""
    starts_trained: ClassVar[bool] = False
    """Whether its set-up trains a model where there is none at `path`. Another process does that beforehand,
    so that the cold execution is the first work of its process."""
    on_host: ClassVar[bool] = False
    """Whether its work is the processor's on every device."""

    def __init__(
        self,
        pipeline: Pipeline,
        checker: Pipeline,
        workload: Workload,
        path: Path,
        start: StartingPoint | None = None,
        thorough: bool = True,
    ) -> None:
        self.pipeline = pipeline
        self.checker = checker
        """A second pipeline, so that checks leave the measured one as it is: of the same case, or of the same
        case in float32 where a deployed model is compared with it."""
        self.workload = workload
        self.path = path
        """Where the stage may keep a model file, or find that of another process."""
        self.start = start
        """Where deployment starts from."""
        self.thorough = thorough
        """Whether what is the same in all processes of the case is looked at in this one."""
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

    @classmethod
    def validate(cls, ran: Executions) -> Iterator[str]:
        """Yield a sentence for everything that is wrong with what was executed."""
        yield from ()

    @classmethod
    def least_work(cls, case: Case, workload: Workload, outcome: Outcome) -> Amounts | None:
        """Return what the stage cannot do without on a CPU in float32, or None where that is not known.

        Args:
            case: decides whether files are decoded.
            workload: decides the sizes of image and model.
            outcome: of an execution: how many images it saw, how large its file was.

        """
        return None

    @classmethod
    def values(cls, axis: str, asked: Sequence[Any]) -> Sequence[Any]:
        """Return the values of an axis that the stage is measured with, of those that were asked for."""
        return asked

    @classmethod
    def as_deployed(cls, case: Case, form: ExportFormat) -> Case | None:
        """Return the case that is measured where this one is asked for, in a format; None: there is none."""
        return case


def decoded(case: Case, images: int) -> dict[str, float]:
    """Return how many files a stage must decode, of which there is nothing to say where they are cached."""
    return {"jpegs": float(images)} if case.cache == "off" else {}
