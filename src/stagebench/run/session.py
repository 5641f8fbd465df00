"""The groups of a session: measured one after the other, or taken from the journal of an interrupted one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from statistics import mean
from time import monotonic
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from stagebench.case import Case
from stagebench.datasets.watch import Watch
from stagebench.frameworks.contract import UnavailableError
from stagebench.machine.errors import ShortageError
from stagebench.machine.memory import shortage
from stagebench.run.aa_copy import aa_copy, is_aa_copy
from stagebench.run.conditions import Conditions, Status
from stagebench.run.fingerprint import fingerprint
from stagebench.run.journal import Journal, Results
from stagebench.run.machine_lock import machine_lock
from stagebench.run.peak import PeakRates
from stagebench.run.pool import WorkerPool
from stagebench.run.process import WorkerError
from stagebench.run.sample import Failure, Measurement
from stagebench.run.schedule import Means, Width, measure_group
from stagebench.stages import STAGES

MARGIN = 1.2
"""How much longer processes may take than those before, so that a budget is kept to."""


class Need(NamedTuple):
    """What a group that is undecided needs."""

    step: int
    """Processes of each case before it is looked at again."""
    settles: int
    """Processes that would decide it, if all stays as it is."""


Undecided = Callable[[Mapping[str, Results]], Mapping[str, Need]]
"""Takes what was measured of each group; returns those that are undecided and may yet be decided."""
Trained = Callable[[Sequence[Case], Callable[[str], None]], Path]
"""Makes the trained weights of some cases of deployment; is told where to say so."""


class Observer(Protocol):
    """Where the user sees how far the session is."""

    def finish(self, text: str) -> None:
        """Leave a line."""

    def measuring(self, title: str, status: Status, seconds_left: float | None) -> None:
        """Show what is measured now, and how long all may go on."""

    def measured(self, title: str, results: Results, conditions: Conditions) -> None:
        """Leave a line that says what a group came to."""

    def remaining(self, seconds: float, groups: int, unknown: int) -> None:
        """Leave a line on how long `groups` may take, and how many of them nothing is known."""


class Session:
    """Measures a group when the first of its cases is asked for, all its cases interleaved."""

    def __init__(
        self,
        cases: Sequence[tuple[str, Case]],
        conditions: Conditions,
        folder: Path,
        journal: Journal | None,
        observer: Observer,
        width: Width,
        undecided: Undecided,
        trained: Trained | None = None,
        against_itself: bool = False,
        estimated: bool = False,
    ) -> None:
        """Keep what is to be measured.

        Args:
            cases: every stage and case that may be asked for.
            conditions: what is equal for all of them.
            folder: where sessions of this user on this machine meet.
            journal: where finished groups are kept, and those of an interrupted session are found; or None.
            observer: where the user sees how far it is.
            width: takes what was measured of a group; returns the widest +- of its ratios.
            undecided: takes what was measured of all groups; see `Undecided`.
            trained: makes the trained weights of deployment, given its cases and where to say so.
            against_itself: measure each case together with an A/A copy.
            estimated: tell how long the rest will take after the first group of each stage.

        Raises:
            ShortageError: a group takes more memory than the machine has.

        """
        self._groups: dict[str, list[Case]] = {}
        self._stages = {case.group(stage): stage for stage, case in cases}
        for stage, case in cases:
            self._groups.setdefault(case.group(stage), []).append(case)
        if against_itself:
            # Copies are as far apart as other cases are, so that the machine may change as much between them.
            self._groups = {group: [*own, *map(aa_copy, own)] for group, own in self._groups.items()}
            environments = conditions.environments
            copies = {aa_copy(case).environment: environments[case.environment] for _, case in cases}
            conditions = replace(conditions, environments={**environments, **copies})
        self._conditions = conditions
        self._trained = trained
        self._weights: dict[str, Path] = {}
        self._folder = folder
        self._journal = journal
        self._observer = observer
        self._undecided = undecided
        self._pool = WorkerPool()
        files = conditions.manifest.paths("train")
        peak = PeakRates(conditions.workload, files, conditions.schedule.threads, self._pool)
        self._means = Means(self._pool, peak, width)
        self._watch = Watch(conditions.manifest)
        for group, own in self._groups.items():
            if lack := shortage(STAGES[self._stages[group]], own, conditions.workload, conditions.manifest):
                raise ShortageError(lack)
        self._results: dict[str, Results] = {}
        self._spent: dict[str, list[float]] = {}
        self._seconds: dict[str, float] = {}
        """What a process of each case of a group took, start and set-up included."""
        self._estimated = estimated

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def measured(self, stage: str, case: Case, timed: bool = True) -> Measurement | Failure:
        """Return the case's measurement at the stage; if it is not `timed`, its cold execution alone.

        Where there is a budget, all groups are measured before the first of them is returned: what is left of
        it goes where it decides.

        Raises:
            StorageError: what was measured cannot be kept, or the machine's lock cannot be taken.

        """
        if timed and self._conditions.schedule.budget and not self._results:
            self._measure_within(self._conditions.schedule.budget)
        return self._of_group(case.group(stage), timed)[case]

    def _of_group(self, group: str, timed: bool = True) -> Results:
        if group not in self._results:
            known = len(self._spent)
            self._results[group] = results = self._once(group, timed)
            self._observer.measured(f"{self._number(group)} {group}", results, self._conditions)
            if self._estimated and len(self._spent) > known:  # the first group of its stage was measured
                self._say_how_long()
        return self._results[group]

    def _once(self, group: str, timed: bool) -> Results:
        """Measure a group; if that is ended, all its cases have failed: the next test must not begin anew."""
        stage, cases = self._stages[group], self._groups[group]
        try:
            return self._timed(group, stage, cases) if timed else self._measure(group, stage, cases, False)
        except BaseException as error:  # pytest.fail raises no Exception
            why = str(error) or type(error).__name__
            self._results[group] = dict.fromkeys(cases, Failure(f"its group was not measured: {why}"))
            raise

    def _measure_within(self, budget: float) -> None:
        """Measure all groups, then give undecided ones more processes until the seconds are spent.

        First those that are nearest to a decision, by what their processes have taken so far.
        """
        began = monotonic()
        for group in self._groups:
            self._of_group(group)
        while needs := self._undecided(self._results):
            left = budget - (monotonic() - began)
            costs = {group: self._process_seconds(group) for group in needs}
            nearest = sorted(needs, key=lambda group: needs[group].settles * costs[group])
            fits = (group for group in nearest if MARGIN * needs[group].step * costs[group] <= left)
            chosen = next(fits, None)
            told = f"{len(needs)} of {len(self._groups)} groups inconclusive"
            if chosen is None:
                self._observer.finish(f"{told}; what is left of the budget of {budget:g} s is too short")
                return
            step = needs[chosen].step
            self._observer.finish(f"{told}; starting {step} more processes of each case of {chosen}")
            self._continue(chosen, step)

    def _continue(self, group: str, more: int) -> None:
        """Measure a group in so many more processes."""
        stage, cases, began = self._stages[group], self._groups[group], monotonic()
        earlier = self._results[group]
        results = self._measure(group, stage, cases, True, earlier, more)
        if results is earlier:  # memory is short now, which was said
            self._seconds[group] = inf
            return
        self._seconds[group] = (monotonic() - began) / more
        self._results[group] = results
        if self._journal:
            self._journal.keep(group, fingerprint(stage, cases, self._conditions), results)
        self._observer.measured(f"{self._number(group)} {group}", results, self._conditions)

    def _process_seconds(self, group: str) -> float:
        """Return what one more process of each case of a group takes, about."""
        if group in self._seconds:
            return self._seconds[group]
        results = self._results[group].values()
        processes = [one for r in results if isinstance(r, Measurement) for one in r.processes[-1:]]
        return sum(sample.seconds for one in processes for sample in one.executions)

    def aa_copy(self, stage: str, case: Case) -> Measurement | Failure | None:
        """Return what was measured of the copy of a case that was asked for, or None if it has none."""
        return self._results[case.group(stage)].get(aa_copy(case))

    @property
    def failures(self) -> list[Failure]:
        """Everything that has failed so far, A/A copies included."""
        everything = [result for results in self._results.values() for result in results.values()]
        return [result for result in everything if isinstance(result, Failure)]

    def _say_how_long(self) -> None:
        left = [self._stages[group] for group in self._groups if group not in self._results]
        if left:
            known = [mean(self._spent[stage]) for stage in left if stage in self._spent]
            self._observer.remaining(sum(known), len(left), len(left) - len(known))

    def _seconds_left(self, share: float, stage: str, spent: float) -> float | None:
        """Return how long all may go on, where `share` of a group took `spent` seconds; None: not known."""
        if not share:
            return None
        now = spent / share
        others = [s for group, s in self._stages.items() if group not in self._results][1:]
        costs = {name: mean(seconds) for name, seconds in self._spent.items()}
        return now * (1 - share) + sum(costs.get(other, now) for other in others)

    def _timed(self, group: str, stage: str, cases: list[Case]) -> Results:
        now = fingerprint(stage, cases, self._conditions)
        earlier = self._journal.take(group, now, cases) if self._journal else None
        if isinstance(earlier, Mapping):
            unprofiled = any(
                isinstance(r, Measurement) and not r.processes[0].trace for r in earlier.values()
            )
            but = ", which has no profile of it" if self._conditions.profiles and unprofiled else ""
            self._observer.finish(f"{self._number(group)} {group}: taken from the interrupted run{but}")
            return earlier
        if earlier:
            self._observer.finish(f"{self._number(group)} {group}: not taken, measured again: {earlier}")
        began = monotonic()
        results = self._measure(group, stage, cases, True)
        self._spent.setdefault(stage, []).append(monotonic() - began)
        self._seconds[group] = self._spent[stage][-1] / self._conditions.schedule.processes
        if self._journal:
            self._journal.keep(group, now, results)
        return results

    def _measure(
        self,
        group: str,
        stage: str,
        cases: list[Case],
        timed: bool,
        earlier: Results | None = None,
        more: int = 0,
    ) -> Results:
        conditions = self._conditions
        if not timed:
            schedule = replace(conditions.schedule, rounds=0, processes=1, within=None)
            conditions = replace(conditions, schedule=schedule)
        number, began = self._number(group), monotonic()

        def report(status: Status) -> None:
            left = self._seconds_left(status.share, stage, monotonic() - began)
            self._observer.measuring(f"{number} {stage}", status, left)

        def waiting() -> None:
            self._observer.finish(f"{number} {group}: waiting for another session, which measures here now")

        with machine_lock(self._folder, waiting):
            needed = STAGES[stage], cases, conditions.workload, conditions.manifest
            if shortage(*needed, "now"):
                self._pool.close_idle()
            if short := shortage(*needed, "now"):
                if earlier:
                    self._observer.finish(f"{number} {group}: no further processes: {short}")
                return earlier or dict.fromkeys(cases, Failure(short))
            if self._trained and "deploys" in STAGES[stage].traits:
                try:
                    conditions = replace(conditions, weights=self._weights_of(cases[0].network))
                except (WorkerError, UnavailableError) as error:
                    return dict.fromkeys(cases, Failure(f"the model to deploy could not be trained: {error}"))
            change = self._watch.change()
            results: Results = {}
            if not change:
                results = measure_group(stage, cases, conditions, self._means, report, earlier, more)
            change = change or self._watch.change()
        if change:
            return dict.fromkeys(cases, Failure(f"{change}; what is measured on other data does not count"))
        return results

    def _weights_of(self, network: str) -> Path:
        """Return the file of trained weights from which every case of deployment of a network starts."""
        if network not in self._weights and self._trained:
            deployed = [
                case
                for group, cases in self._groups.items()
                for case in cases
                if "deploys" in STAGES[self._stages[group]].traits
                if case.network == network and not is_aa_copy(case)
            ]
            self._weights[network] = self._trained(deployed, self._observer.finish)
        return self._weights[network]

    def _number(self, group: str) -> str:
        return f"[{list(self._groups).index(group) + 1}/{len(self._groups)}]"
