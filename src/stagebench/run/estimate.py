"""How long a session will take: each kind of case is tried on a few images, the schedule says the rest.

A worker process sets every stage up and executes it as in the session, on a small and on a larger part of the
data set. What a step takes is then a fixed part and one that grows with the images. Training goes over them
`epochs` times, but is tried for one epoch.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mode
from time import monotonic

from stagebench.case import Case, Stage
from stagebench.datasets import Manifest
from stagebench.datasets.manifest import MANIFEST_NAME, fingerprint_of
from stagebench.frameworks.contract import UnavailableError
from stagebench.machine.info import usable_threads
from stagebench.run.process import WorkerProcess
from stagebench.run.schedule import Conditions
from stagebench.run.scratch import scratch_folder
from stagebench.stages.pipeline import STAGE_RUNS
from stagebench.stages.stage import STEPS, Step

PROBED_IMAGES = (192, 768)
"""Training images of the small and of the larger part; as much of the test split goes with them."""
TIMEOUT = 120.0
"""Seconds that a step may take, before the estimate is given up."""
MARGIN = 1.25
"""By how much a session may be faster or slower than the probe; see the README."""

Groups = Sequence[tuple[Stage, Sequence[Case]]]


@dataclass(frozen=True)
class Cost:
    """Seconds that a step takes, by how much of the data set it is given."""

    fixed: float
    whole: float
    """What all images add."""

    @classmethod
    def through(cls, small: tuple[float, float], large: tuple[float, float]) -> Cost:
        """Return the line through two points: share of the data set, seconds. No image takes less than 0."""
        whole = 0.0
        if large[0] > small[0]:
            whole = max(0.0, (large[1] - small[1]) / (large[0] - small[0]))
        return cls(max(0.0, large[1] - whole * large[0]), whole)


@dataclass(frozen=True)
class CaseCosts:
    """What a worker process of one case takes."""

    start: float
    """Seconds until its framework is imported, on a processor of its own."""
    first_model: float
    """Seconds that its first model takes, with all that the framework loads for it."""
    steps: Mapping[tuple[Stage, Step], Cost]
    """For one epoch over the whole data set."""

    def working(self, stage: Stage, epochs: int, rounds: int) -> float:
        """Return the seconds that it works on a stage once it has started."""
        times: Mapping[Step, int] = {"set_up": 1, "cold": 1, "round": rounds}
        return self.first_model + sum(times[step] * self._step(stage, step, epochs) for step in STEPS)

    def _step(self, stage: Stage, step: Step, epochs: int) -> float:
        cost = self.steps[stage, step]
        seconds = cost.fixed + cost.whole
        if step in STAGE_RUNS[stage].trains_in:
            epoch = self.steps["training", "round"]
            seconds += (epochs - 1) * (epoch.fixed + epoch.whole)
        return seconds


@dataclass(frozen=True)
class Estimate:
    """How long a session will take."""

    least: float
    """In seconds, as `most`."""
    most: float
    probed: float
    """What the probe itself took."""


def estimate(groups: Groups, conditions: Conditions, report: Callable[[str], None]) -> Estimate:
    """Return how long these groups will take.

    Raises:
        WorkerError: a worker process of the probe died, or its pipeline raised.

    """
    began = monotonic()
    stages = list(dict.fromkeys(stage for stage, _ in groups))
    cases = [case for _, rivals in groups for case in rivals]
    costs: dict[Case, CaseCosts] = {}
    with scratch_folder() as folder:
        for similar in kinds(cases, conditions):
            probes: dict[int | str, CaseCosts] = {}
            with contextlib.suppress(UnavailableError):  # such cases end at once
                for case in representatives(similar):
                    report(case.rival)
                    probes[case.workers] = probe(case, stages, conditions, folder)
                costs |= {case: between(case.workers, probes) for case in similar}
    least = most = 0.0
    for stage, rivals in groups:
        if available := [costs[case] for case in rivals if case in costs]:
            ends = group_seconds(stage, available, conditions)
            least, most = least + ends[0], most + ends[1]
    return Estimate(least / MARGIN, most * MARGIN, monotonic() - began)


def kinds(cases: Iterable[Case], conditions: Conditions) -> list[list[Case]]:
    """Return the cases by what is probed once for all of them; a case in several groups comes repeatedly."""
    found: dict[object, list[Case]] = {}
    for case in cases:
        environment = conditions.environments[case.environment]
        found.setdefault((environment, case.device, case.recipe, case.cache), []).append(case)
    return list(found.values())


def representatives(similar: Sequence[Case]) -> list[Case]:
    """Return the case with the fewest loader processes, and that with the most common number of more."""
    typical = replace(
        similar[0],
        batch_size=mode(case.batch_size for case in similar),
        augment=mode(case.augment for case in similar),
    )
    counts = [case.workers for case in similar if case.workers != "auto"]
    if not counts:
        return [typical]
    more = [count for count in counts if count > min(counts)]
    return [replace(typical, workers=count) for count in (min(counts), *([mode(more)] if more else []))]


def between(workers: int | str, probes: Mapping[int | str, CaseCosts]) -> CaseCosts:
    """Return the costs of a case with so many loader processes, of which two numbers were probed.

    Each takes its time to start; what they do together, a few do as fast as many.
    """
    if workers in probes:
        return probes[workers]
    (few, first), (more, second) = sorted((int(count), costs) for count, costs in probes.items())
    share = (int(workers) - few) / (more - few)
    steps = {}
    for step, cost in second.steps.items():
        fixed = first.steps[step].fixed
        steps[step] = Cost(max(0.0, fixed + share * (cost.fixed - fixed)), cost.whole)
    return replace(second, steps=steps)


def group_seconds(stage: Stage, costs: Sequence[CaseCosts], conditions: Conditions) -> tuple[float, float]:
    """Return what a group takes at least and at most: its processes start together and work in turn."""
    schedule = conditions.schedule
    processors = _processors(conditions)
    starts = [cost.start for cost in costs]
    once = max(max(starts), sum(starts) / processors)
    once += sum(cost.working(stage, conditions.workload.epochs, schedule.expected_rounds) for cost in costs)
    least, most = schedule.repeats(len(costs), once)
    return least * once, most * once


def _processors(conditions: Conditions) -> int:
    return conditions.schedule.threads or usable_threads()


def probe(case: Case, stages: Sequence[Stage], conditions: Conditions, folder: Path) -> CaseCosts:
    """Measure what a worker process of a case takes, on two parts of the data set.

    Raises:
        WorkerError: a worker process died, or its pipeline raised.
        UnavailableError: the machine lacks what the case needs.

    """
    if any(STAGE_RUNS[stage].trains_in for stage in stages):
        stages = list(dict.fromkeys(["training", *stages]))  # its rounds say what another epoch takes
    conditions = replace(conditions, workload=replace(conditions.workload, epochs=1))
    with ExitStack() as stack:
        began = monotonic()
        trials = [_Trial(case, images, conditions, folder, stack) for images in PROBED_IMAGES]
        for trial in trials:
            trial.receive("starting")
        start = (monotonic() - began) * min(1.0, _processors(conditions) / len(trials))
        for trial in trials:
            first_model = sum(trial.times("model_building").values())
        small, large = ({stage: trial.times(stage) for stage in stages} for trial in trials)
        points = [trial.share for trial in trials]
    steps = {
        (stage, step): Cost.through((points[0], small[stage][step]), (points[1], large[stage][step]))
        for stage in stages
        for step in STEPS
    }
    return CaseCosts(start, first_model, steps)


class _Trial:
    """A worker process of a case that is given a part of the data set."""

    def __init__(
        self, case: Case, images: int, conditions: Conditions, folder: Path, stack: ExitStack
    ) -> None:
        self._case, self._conditions, whole = case, conditions, conditions.manifest
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        self._part = part_of(whole, images, self._folder / MANIFEST_NAME)
        self.share = len(self._part.train) / len(whole.train)
        python = conditions.environments[case.environment].python
        self._worker = stack.enter_context(
            WorkerProcess(f"probe of {case.id}", self._folder, python, conditions.schedule.threads)
        )
        self._open()

    def _open(self) -> None:
        """Ask for a fresh pipeline: no cache of its is filled."""
        schedule = self._conditions.schedule
        self._worker.send_open(
            self._case,
            self._conditions.workload,
            self._part,
            threads=schedule.threads,
            retain_memory=schedule.retain_memory,
        )

    def receive(self, doing: str) -> None:
        self._worker.receive(TIMEOUT, doing, option="")

    def times(self, stage: Stage) -> dict[Step, float]:
        """Return the seconds of each step of a stage, checks included, in a pipeline of its own."""
        seconds: dict[Step, float] = {}
        self._open()
        self.receive(f"{stage}, opening")
        for step in STEPS:
            began = monotonic()
            if step == "set_up":
                self._worker.send("set_up", stage=stage, folder=self._folder)
            else:
                self._worker.send("execute")
            self.receive(f"{stage}, {step}")
            seconds[step] = monotonic() - began
        return seconds


def part_of(manifest: Manifest, train_images: int, file: Path) -> Manifest:
    """Store and return so many training images, of all classes, and the same share of the test split."""
    share = min(1.0, train_images / len(manifest.train))
    train, test = (
        tuple(images[int(number / share)] for number in range(max(1, int(len(images) * share))))
        for images in (manifest.train, manifest.test)
    )
    part = replace(manifest, train=train, test=test, fingerprint=fingerprint_of(train, test), file=file)
    part.save()
    return part
