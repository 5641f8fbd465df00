"""Sessions made up, whose truth is known: what the statistics promise is checked on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stagebench.statistics.knowledge import priors_of
from stagebench.statistics.ranking import fastest, ratios_to_fastest, spreads_to_fastest
from stagebench.statistics.stopping import LOOKS
from stagebench.statistics.verdict import word_of

ROUNDS = 5
DRIFT, DRIFT_SECONDS = 0.1, 60.0
"""How far a shared machine's speed wanders, and how long it remembers where it was."""


def typical(generator, shape):
    """As measured: from 1.5% to 8%, and one in eleven 30% (tf.data's autotuning)."""
    usual = np.exp(generator.uniform(np.log(0.015), np.log(0.08), shape))
    return np.where(generator.random(shape) < 1 / 11, 0.3, usual)


def alike(generator, shape):
    return np.full(shape, 0.03)


def quiet(generator, shape):
    return np.full(shape, 0.01)


def loud(generator, shape):
    return np.full(shape, 0.12)


def of_many_machines(generator, shape):
    """Each session on a machine of its own, some three times as noisy as others."""
    machine = generator.normal(np.log(0.04), 0.6, (shape[0],) + (1,) * (len(shape) - 1))
    return np.exp(machine + generator.normal(0, 0.6, shape))


@dataclass(frozen=True)
class Sessions:
    """Sessions of several groups."""

    cases: int = 2
    groups: int = 8
    count: int = 150
    spreads: object = typical
    """Draws the standard deviation of a ratio from process to process."""
    truth: Sequence[float] = ()
    """Of the cases after the first, how many times as long they take; none: all are equal."""
    apart: bool = False
    """Whether every case of a group scatters as much as it likes; else all of one group do alike."""
    drifting: bool = False
    """Whether the machine's speed goes wanders, as that of a shared one does."""
    seed: int = 0

    def logs(self, processes: int) -> np.ndarray:
        """Return the logarithm of each process's median: [session, group, case, process]."""
        generator = np.random.default_rng(self.seed)
        shape = (self.count, self.groups, self.cases if self.apart else 1)
        spread = self.spreads(generator, shape)[..., None] / 2**0.5
        logs = spread * generator.normal(size=(self.count, self.groups, self.cases, processes))
        logs[:, :, 1:] += np.log(self.truth or [1.0] * (self.cases - 1))[:, None]
        return logs + self._medians_of_drift(generator, processes) if self.drifting else logs

    def _medians_of_drift(self, generator, processes) -> np.ndarray:
        """Return what of the machine's drift is left in medians: rounds take a second each, A B B A."""
        slots = np.arange(self.cases * ROUNDS).reshape(ROUNDS, self.cases)
        slots[1::2] = slots[1::2, ::-1]  # round, case
        speed, speeds = np.zeros((self.count, self.groups)), []
        for _ in range(processes * slots.size):
            kept = np.exp(-1 / DRIFT_SECONDS)
            speed = kept * speed + DRIFT * (1 - kept**2) ** 0.5 * generator.normal(size=speed.shape)
            speeds.append(speed)
        by_process = np.moveaxis(np.array(speeds), 0, -1).reshape(self.count, self.groups, processes, -1)
        return np.median(by_process[..., slots.T], axis=-1).swapaxes(2, 3)


@dataclass(repr=False)
class Outcome:
    """What came of all groups."""

    covered: list[bool] = field(default_factory=list)
    """Of each ratio."""
    alarms: list[bool] = field(default_factory=list)
    """Of each group, whether a case got SLOWER that is not."""
    found: list[bool] = field(default_factory=list)
    """Of each group, whether all have a verdict."""
    processes: list[int] = field(default_factory=list)

    @property
    def coverage(self) -> float:
        return float(np.mean(self.covered))

    @property
    def false(self) -> float:
        return float(np.mean(self.alarms))

    @property
    def power(self) -> float:
        return float(np.mean(self.found))

    def __repr__(self) -> str:
        return (
            f"coverage {self.coverage:.1%}, false {self.false:.2%}, decided {self.power:.1%} after "
            f"{np.mean(self.processes):.1f} processes, of {len(self.alarms)} groups"
        )


def judge(sessions: Sessions, processes: int, smallest: float = 0.05) -> Outcome:
    """Judge sessions in which every group had so many processes."""
    return _judge(sessions, [processes], smallest)


def judge_until_decided(sessions: Sessions, smallest: float = 0.05) -> Outcome:
    """Judge sessions that go on with the groups that are undecided, at each look of the stopping rule."""
    return _judge(sessions, LOOKS, smallest)


def _judge(sessions: Sessions, looks: Sequence[int], smallest: float) -> Outcome:
    truth = np.log([1.0, *(sessions.truth or [1.0] * (sessions.cases - 1))])
    outcome = Outcome()
    for session in sessions.logs(looks[-1]):
        processes = dict.fromkeys(range(sessions.groups), looks[0])
        for look in looks:
            going_on = [group for group, count in processes.items() if count == look]
            timings = {g: timings_of(session[g, :, :count]) for g, count in processes.items()}
            spreads = [spreads_to_fastest(of_group).values() for of_group in timings.values()]
            priors = dict(zip(timings, priors_of(spreads), strict=True))
            for group in going_on:
                ratios = ratios_to_fastest(timings[group], priors[group])
                if look == looks[-1] or all(word_of(r, smallest) != "UNKNOWN" for r in ratios.values()):
                    _count(outcome, ratios, truth - truth[fastest(timings[group])], smallest, look)
                else:
                    processes[group] = looks[looks.index(look) + 1]
    return outcome


def timings_of(logs: np.ndarray) -> Mapping[int, list[list[float]]]:
    """Return a group's timings: one round for each process, which stands for the median of several."""
    return {case: [[seconds] for seconds in row] for case, row in enumerate(np.exp(logs).tolist())}


def _count(outcome, ratios, truth, smallest, processes) -> None:
    words = {case: word_of(ratio, smallest) for case, ratio in ratios.items()}
    for case, ratio in ratios.items():
        low, high = np.log(ratio.interval)
        outcome.covered.append(low <= truth[case] <= high)
    outcome.alarms.append(any(words[case] == "SLOWER" and truth[case] <= 1e-9 for case in words))
    outcome.found.append("UNKNOWN" not in words.values())
    outcome.processes.append(processes)
