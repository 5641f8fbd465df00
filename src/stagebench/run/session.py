"""The groups of a session: measured one after the other, or taken from the journal of an interrupted one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from stagebench.case import DEPLOYMENT_STAGES, Case, Stage
from stagebench.datasets.watch import Watch
from stagebench.frameworks.contract import UnavailableError
from stagebench.machine.errors import ShortageError
from stagebench.machine.memory import shortage
from stagebench.plugin.progress import Progress, live_line, span
from stagebench.report.terminal import brief
from stagebench.run.estimate import estimate
from stagebench.run.fingerprint import fingerprint
from stagebench.run.journal import Journal, Results
from stagebench.run.machine_lock import turn
from stagebench.run.noise_store import NoiseStore, is_twin, twin
from stagebench.run.process import WorkerError
from stagebench.run.sample import Failure, Measurement
from stagebench.run.schedule import Conditions, Step, measure_group
from stagebench.statistics.noise import MINIMUM_PAIRS
from stagebench.statistics.ranking import log_ratios, widest


class Session:
    """Measures a group when the first of its cases is asked for, all its cases interleaved."""

    def __init__(
        self,
        cases: Sequence[tuple[Stage, Case]],
        conditions: Conditions,
        folder: Path,
        journal: Journal | None,
        progress: Progress,
        trained: Callable[[Sequence[Case], Callable[[str], None]], Path] | None = None,
        against_itself: bool = False,
        estimated: bool = False,
    ) -> None:
        """Keep what is to be measured.

        Args:
            cases: every stage and case that may be asked for.
            conditions: what is equal for all of them.
            folder: where sessions of this user on this machine meet, and where the noise floors are kept.
            journal: where finished groups are kept, and those of an interrupted session are found; or None.
            progress: where the user sees how far it is.
            trained: makes the trained weights of deployment, given its cases and where to say so.
            against_itself: measure each case together with a twin, and keep what they differ by.
            estimated: tell how long it will take, before the first group is measured.

        Raises:
            ShortageError: a group takes more memory than the machine has.

        """
        self._groups: dict[str, list[Case]] = {}
        self._stages = {case.group(stage): stage for stage, case in cases}
        for stage, case in cases:
            self._groups.setdefault(case.group(stage), []).append(case)
        if against_itself:
            # Twins are as far apart as rivals are, so that the machine may change as much between them.
            self._groups = {group: [*own, *map(twin, own)] for group, own in self._groups.items()}
            environments = conditions.environments
            twins = {twin(case).environment: environments[case.environment] for _, case in cases}
            conditions = replace(conditions, environments={**environments, **twins})
        self._conditions = conditions
        self._trained = trained
        self._weights: Path | None = None
        self._folder = folder
        self._journal = journal
        self._progress = progress
        self._noise = NoiseStore(folder, conditions)
        self._watch = Watch(conditions.manifest)
        for group, own in self._groups.items():
            if lack := shortage(self._stages[group], own, conditions.workload, conditions.manifest):
                raise ShortageError(lack)
        self._results: dict[str, Results] = {}
        self._taken = 0
        self._estimated = estimated and not progress.quiet
        self._began = monotonic()

    def measured(self, stage: Stage, case: Case, timed: bool = True) -> Measurement | Failure:
        """Return the case's measurement at the stage; if it is not `timed`, its cold execution alone.

        Raises:
            StorageError: what was measured cannot be kept, or the turn to measure cannot be taken.

        """
        group = case.group(stage)
        if group not in self._results:
            if self._estimated and timed:
                self._say_how_long()
            cases = self._groups[group]
            results = self._timed(group, stage, cases) if timed else self._measure(group, stage, cases, False)
            self._results[group] = results
            self._progress.finish(f"{self._number(group)} {group}; {self._brief(results)}")
        return self._results[group][case]

    @property
    def failures(self) -> list[Failure]:
        """Everything that has failed so far, twins included."""
        everything = [result for results in self._results.values() for result in results.values()]
        return [result for result in everything if isinstance(result, Failure)]

    def noise(self, stage: Stage, case: Case) -> dict[str, Any]:
        """Return what is known of the noise of cases like this one, by the keys of `extra_info`."""
        found = self._noise.log_ratios(stage, case)
        missing = isinstance(found, str)
        return {"noise_log_ratios": None if missing else found, "noise_missing": found if missing else None}

    def _say_how_long(self) -> None:
        """Leave a line that says how long the groups take that no interrupted session has finished."""
        self._estimated = False
        left = [
            (stage, cases)
            for group, cases in self._groups.items()
            for stage in [self._stages[group]]
            if stage not in DEPLOYMENT_STAGES  # a part of the data set says nothing of them
            if not self._journal
            or not self._journal.holds(group, fingerprint(stage, cases, self._conditions), cases)
        ]
        if not left:
            return

        def report(what: str) -> None:
            self._progress.draw(f"estimate: trying {what}")

        def waiting() -> None:
            self._progress.finish("estimate: waiting for another session, which measures here now")

        try:
            with turn(self._folder, waiting):
                found = estimate(left, self._conditions, report)
        except (WorkerError, OSError) as error:
            first, *others = str(error).splitlines()
            self._progress.finish(f"estimate: none, {' ... '.join([first, *others[-1:]])}")
        else:
            taken = len(self._groups) - len(left)
            words = [
                f"estimate: {span(found.least, found.most)} for {sum(len(cases) for _, cases in left)} cases "
                f"in {len(left)} groups",
                *([f"beside {taken} taken from the interrupted run"] if taken else []),
                f"(probed in {found.probed:.0f} s)",
            ]
            resumed = "; interrupted, it goes on with --resume" if self._journal else ""
            self._progress.finish(" ".join(words) + resumed)
        self._began = monotonic()

    def _timed(self, group: str, stage: Stage, cases: list[Case]) -> Results:
        now = fingerprint(stage, cases, self._conditions)
        earlier = self._journal.take(group, now, cases) if self._journal else None
        if isinstance(earlier, Mapping):
            results = earlier
            self._taken += 1
            self._progress.finish(f"{self._number(group)} {group}: taken from the interrupted run")
        else:
            if earlier:
                self._progress.finish(f"{self._number(group)} {group}: not taken, measured again: {earlier}")
            results = self._measure(group, stage, cases, True)
            if self._journal:
                self._journal.keep(group, now, results)
        for case in cases:
            found, again = results[case], results.get(twin(case))
            if not isinstance(found, Measurement) or not isinstance(again, Measurement):
                continue
            if len(found.processes) >= MINIMUM_PAIRS:
                self._noise.keep(stage, case, log_ratios(found.seconds, again.seconds))
        return results

    def _measure(self, group: str, stage: Stage, cases: list[Case], timed: bool) -> Results:
        conditions = self._conditions
        if not timed:
            schedule = replace(conditions.schedule, rounds=0, processes=1, within=None)
            conditions = replace(conditions, schedule=schedule)
        number = self._number(group)

        def report(step: Step) -> None:
            measured = len(self._results) - self._taken + step.share
            left = len(self._groups) - len(self._results) - step.share
            rate = measured / (monotonic() - self._began)
            self._progress.draw(live_line(f"{number} {stage}", step, left / rate if measured else None))

        def waiting() -> None:
            self._progress.finish(f"{number} {group}: waiting for another session, which measures here now")

        with turn(self._folder, waiting):
            if lack := shortage(stage, cases, conditions.workload, conditions.manifest, "now"):
                return dict.fromkeys(cases, Failure(lack))
            if stage in DEPLOYMENT_STAGES and self._trained:
                try:
                    self._weights = self._weights or self._trained(self._deployed, self._progress.finish)
                except (WorkerError, UnavailableError) as error:
                    return dict.fromkeys(cases, Failure(f"the model to deploy could not be trained: {error}"))
                conditions = replace(conditions, weights=self._weights)
            change = self._watch.change()
            results = {} if change else measure_group(stage, cases, conditions, report, _widest)
            change = change or self._watch.change()
        if change:
            return dict.fromkeys(cases, Failure(f"{change}; what is measured on other data does not count"))
        return results

    @property
    def _deployed(self) -> list[Case]:
        """Every case of deployment, all of which start from one file of weights."""
        of = [cases for group, cases in self._groups.items() if self._stages[group] in DEPLOYMENT_STAGES]
        return [case for cases in of for case in cases if not is_twin(case)]

    def _number(self, group: str) -> str:
        return f"[{list(self._groups).index(group) + 1}/{len(self._groups)}]"

    def _brief(self, results: Results) -> str:
        shown = {c: r for c, r in results.items() if not is_twin(c) or isinstance(r, Failure)}
        words = [brief(case, result) for case, result in shown.items()]
        measured = {case: result for case, result in results.items() if isinstance(result, Measurement)}
        for result in list(measured.values())[:1]:
            schedule, processes = self._conditions.schedule, len(result.processes)
            if result.stopped_by == "precision":
                words.append(f"within +-{100 * (schedule.within or 0):g}% after {processes} processes")
            if result.stopped_by == "max_time":
                spent = f"when --max-time={schedule.max_time:g} was spent, after {processes} processes"
                words.append(f"+-{_widest(measured):.1%} {spent}")
        return "; ".join(words)


def _widest(measurements: Mapping[Case, Measurement]) -> float:
    """Return the widest interval among the user's cases; of one that has a twin alone, that with the twin."""
    of_user = {case: result for case, result in measurements.items() if not is_twin(case)}
    rivals = of_user if len(of_user) > 1 else measurements
    return widest({case: result.seconds for case, result in rivals.items()})
