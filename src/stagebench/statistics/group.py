"""The cases of a group against the fastest of them, and what may be said of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from stagebench.case import Case
from stagebench.results.info import Info
from stagebench.results.result import Result
from stagebench.statistics.noise_floor import MINIMUM_PAIRS, noise_floor
from stagebench.statistics.ranking import fastest, ratios_to_fastest
from stagebench.statistics.ratio import Ratio
from stagebench.statistics.verdict import Verdict, verdict


@dataclass(frozen=True)
class Group:
    """Results of one stage and of equal settings, which were measured interleaved."""

    results: Sequence[Result]

    @property
    def stage(self) -> str:
        return self.results[0].stage

    @property
    def settings(self) -> str:
        return self.results[0].case.settings

    @cached_property
    def fastest(self) -> Result:
        return self._of_case[fastest(self._rounds)]

    @cached_property
    def ratios(self) -> Mapping[Case, Ratio]:
        """Time of each case but the fastest, divided by that of the fastest."""
        return ratios_to_fastest(self._rounds)

    @cached_property
    def verdicts(self) -> Mapping[Case, Verdict | None]:
        """What may be said of every case against the fastest, and of the fastest against the others.

        The fastest is FASTER when all others are SLOWER, SAME when all are, and has no verdict else.
        """
        judged = {case: self._judge(case, ratio) for case, ratio in self.ratios.items()}
        words = frozenset(verdict.word for verdict in judged.values())
        of_fastest = {frozenset({"SLOWER"}): Verdict("FASTER"), frozenset({"SAME"}): Verdict("SAME")}
        return {**dict.fromkeys(self._of_case, of_fastest.get(words)), **judged}

    def _judge(self, case: Case, ratio: Ratio) -> Verdict:
        both = (self._of_case[case], self.fastest)
        floors = [floor_of(one.info, ratio.pairs, len(self.results)) for one in both]
        no_floor = next((reason for reason in floors if isinstance(reason, str)), "")
        known = [share for share in floors if not isinstance(share, str)]
        return verdict(ratio, max(known) if not no_floor else None, no_floor)

    @cached_property
    def _of_case(self) -> Mapping[Case, Result]:
        return {result.case: result for result in self.results}

    @property
    def _rounds(self) -> Mapping[Case, Sequence[Sequence[float]]]:
        return {result.case: result.rounds for result in self.results}


def groups_of(results: Iterable[Result]) -> list[Group]:
    """Return the groups of one run, in the order in which their first results come."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.case.group(result.stage), []).append(result)
    return [Group(group) for group in found.values()]


def floor_of(info: Info, processes: int, cases: int = 2) -> float | str:
    """Return the noise floor where so many cases are compared, as a share, or why there is none.

    Args:
        info: of a case.
        processes: of each case.
        cases: how many; see `noise_floor.noise_floor`.

    """
    if info.noise_log_ratios is None:
        return info.noise_missing or "no noise floor was saved with this run"
    floor = noise_floor(info.noise_log_ratios, processes, cases)
    if floor is None:
        return f"noise floor of fewer than {MINIMUM_PAIRS} pairs of processes: give --noise --processes=5"
    return floor
