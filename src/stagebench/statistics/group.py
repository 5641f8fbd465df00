"""The cases of a group against the fastest of them, and what may be said of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from stagebench.case import Case
from stagebench.results.result import Result
from stagebench.statistics.knowledge import Earlier, Memory, priors_of
from stagebench.statistics.prior import Prior, unknown
from stagebench.statistics.ranking import fastest, ratios_to_fastest, spreads_to_fastest
from stagebench.statistics.ratio import Ratio, paired_ratio
from stagebench.statistics.spread import Spread
from stagebench.statistics.verdict import SMALLEST_DIFFERENCE, Verdict, verdict, word_of


@dataclass(frozen=True)
class Group:
    """Results of one stage and of equal settings, which were measured interleaved."""

    results: Sequence[Result]
    prior: Prior = field(default_factory=unknown)
    """What other groups tell of its spreads."""
    earlier: Earlier = field(default_factory=Earlier)
    """What earlier runs on the machine tell of those of its cases."""
    smallest: float = SMALLEST_DIFFERENCE
    """The smallest difference that counts, as a share."""

    @property
    def stage(self) -> str:
        return self.results[0].stage

    @property
    def name(self) -> str:
        """Return what it is called: stage and settings."""
        return self.results[0].case.group(self.stage)

    @property
    def settings(self) -> str:
        return self.results[0].case.settings

    @cached_property
    def fastest(self) -> Result:
        return self._of_case[fastest(self.timings)]

    @cached_property
    def ratios(self) -> Mapping[Case, Ratio]:
        """Time of each case but the fastest, divided by that of the fastest."""
        return ratios_to_fastest(self.timings, self.prior, self._kin)

    def ratio(self, case: Case, other: Case) -> Ratio:
        """Return the time of any case divided by that of any other."""
        prior = self.prior.joined(self._kin(case, other))
        return paired_ratio(self.timings[case], self.timings[other], prior)

    def is_slower(self, case: Case, other: Case) -> bool:
        """Say whether a case is sure to take longer than another: than the fastest, by its verdict."""
        if other == self.fastest.case:
            judged = self.verdicts[case]
            return judged is not None and judged.word == "SLOWER"
        return word_of(self.ratio(case, other), self.smallest) == "SLOWER"

    @cached_property
    def others(self) -> list[Case]:
        """The fastest case of each side but the winner's, the nearest first.

        A side is an environment with a recipe; where there is one alone, each case is compared.
        """
        several = len({side_of(result.case) for result in self.results}) > 1
        best: dict[object, Case] = {}
        for case in sorted(self.ratios, key=lambda case: self.ratios[case].estimate):
            if not several or side_of(case) != side_of(self.fastest.case):
                best.setdefault(side_of(case) if several else case, case)
        return list(best.values())

    @cached_property
    def verdicts(self) -> Mapping[Case, Verdict | None]:
        """What may be said of every case against the fastest, and of the fastest against the others.

        The fastest is FASTER when all others are SLOWER, SAME when all are, and has no verdict else.
        """
        judged = {
            case: verdict(ratio, self.smallest, self._seconds_per_process)
            for case, ratio in self.ratios.items()
        }
        words = frozenset(verdict.word for verdict in judged.values())
        of_fastest = {frozenset({"SLOWER"}): Verdict("FASTER"), frozenset({"SAME"}): Verdict("SAME")}
        return {**dict.fromkeys(self._of_case, of_fastest.get(words)), **judged}

    @property
    def timings(self) -> Mapping[Case, Sequence[Sequence[float]]]:
        return {result.case: result.rounds for result in self.results}

    def result(self, case: Case) -> Result:
        """Return that of a case."""
        return self._of_case[case]

    @cached_property
    def _of_case(self) -> Mapping[Case, Result]:
        return {result.case: result for result in self.results}

    @property
    def _seconds_per_process(self) -> float:
        """What one more process of each case takes at least: to start it and to set up comes on top."""
        return sum(
            result.cold_seconds + sum(map(sum, result.rounds)) / len(result.rounds) for result in self.results
        )

    def _kin(self, case: Case, other: Case) -> list[Spread]:
        both = self._of_case[case].info, self._of_case[other].info
        if not all(info.kind for info in both):  # of an older run
            return Earlier.of_equal([info.noise_log_ratios for info in both])
        return self.earlier.kin(both[0].kind, both[1].kind)


def side_of(case: Case) -> tuple[str, str]:
    """Return what is compared with each other: an environment with a recipe."""
    return case.environment, case.recipe


def groups_of(
    results: Iterable[Result], memory: Memory | None = None, smallest: float = SMALLEST_DIFFERENCE
) -> list[Group]:
    """Return the groups of one run, in the order in which their first results come.

    Args:
        results: of the run.
        memory: what earlier runs on the machine tell.
        smallest: the smallest difference that counts, as a share.

    """
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.case.group(result.stage), []).append(result)
    if not found:
        return []
    groups = [Group(group) for group in found.values()]
    of_stage = [(memory or Memory()).of(group.stage) for group in groups]
    kinds = [[result.info.kind or "" for result in group.results] for group in groups]
    priors = priors_of(
        [spreads_to_fastest(group.timings).values() for group in groups],
        [earlier.others(own) for earlier, own in zip(of_stage, kinds, strict=True)],
    )
    return [
        Group(group.results, prior, earlier, smallest)
        for group, prior, earlier in zip(groups, priors, of_stage, strict=True)
    ]
