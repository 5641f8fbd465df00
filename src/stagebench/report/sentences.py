"""What a run comes to, in sentences: who is faster at each stage, and the best setting for this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from stagebench.case import Case
from stagebench.report.formats import share, time_of
from stagebench.results.result import Result
from stagebench.results.run import Run, in_order
from stagebench.statistics.group import Group
from stagebench.statistics.ratio import Ratio, digits

BEST_OF: tuple[str, ...] = ("training", "evaluation", "data_loading")
"""Stages by which the best setting is chosen: the first of them that was measured."""


@dataclass(frozen=True)
class GroupFinding:
    """What a group says of the frameworks (and recipes) in it, each by its fastest case."""

    group: Group
    word: Literal["faster", "same", "unknown", "alone"]
    others: Sequence[tuple[Case, Ratio]]
    """The fastest case of every other side, and its time divided by the group's fastest."""
    sides: bool
    """Whether there are several sides, frameworks and recipes; of one alone, each case is compared."""

    @property
    def winner(self) -> Case:
        return self.group.fastest.case

    def winner_name(self, by_recipe: bool) -> str:
        """Name the winning side."""
        return " ".join(_side(self.winner)[: 1 + by_recipe]) if self.sides else self.winner.label(by_recipe)


def outcome(group: Group) -> GroupFinding:
    """Compare the group's fastest case with the fastest of each other framework and recipe."""
    winner = group.fastest.case
    sides = len({_side(result.case) for result in group.results}) > 1
    best: dict[object, Case] = {}
    for case in sorted(group.ratios, key=lambda case: group.ratios[case].estimate):
        if not sides or _side(case) != _side(winner):
            best.setdefault(_side(case) if sides else case, case)
    others = [(case, group.ratios[case]) for case in best.values()]
    words = {verdict.word for case in best.values() if (verdict := group.verdicts[case])}
    if not others:
        return GroupFinding(group, "alone", others, sides)
    if words == {"SLOWER"}:
        return GroupFinding(group, "faster", others, sides)
    return GroupFinding(group, "same" if words == {"SAME"} else "unknown", others, sides)


def _side(case: Case) -> tuple[str, str]:
    return case.environment, case.recipe


def group_sentence(found: GroupFinding, by_recipe: bool) -> str:
    """Say who is faster in a group by how much, with the interval, or that it is inconclusive."""
    winner, median = found.winner.label(by_recipe), time_of(found.group.fastest)
    if found.word == "alone":
        return f"{winner} takes {median}; nothing else was measured in this setting."
    if found.word == "faster":
        parts = [f"{_ratio(ratio)} as fast as {case.label(by_recipe)}" for case, ratio in found.others]
        return f"{winner} is faster ({median}): {', '.join(parts)}."
    if found.word == "same":
        parts = [f"{case.label(by_recipe)} takes {_ratio(ratio)} as long" for case, ratio in found.others]
        allowed = share(found.group.smallest)
        return f"No difference above {allowed}: {winner} takes {median}; {', '.join(parts)}."
    parts = [f"{case.label(by_recipe)} took {_ratio(ratio)} as long" for case, ratio in found.others]
    return f"Inconclusive: {winner} took {median}; {', '.join(parts)}."


def _ratio(ratio: Ratio) -> str:
    low, high = map(digits, ratio.interval)
    return f"{digits(ratio.estimate)} times (95% interval {low} to {high})"


def stage_sentence(outcomes: Sequence[GroupFinding], by_recipe: bool) -> str:
    """Count what the settings of a stage say: who is faster in how many, and by how much."""
    parts = []
    for who in dict.fromkeys(_who(found, outcomes, by_recipe) for found in outcomes):
        won = [f for f in outcomes if f.word == "faster" and _who(f, outcomes, by_recipe) == who]
        if won:
            parts.append(f"in {_of(won, outcomes)} {who} is faster, {_by_how_much(won)}")
    told = {
        "same": f"there is no difference above {share(outcomes[0].group.smallest)}",
        "unknown": f"it is inconclusive ({_ahead(outcomes, by_recipe)})",
        "alone": "there was nothing to compare with",
    }
    for word, text in told.items():
        if those := [found for found in outcomes if found.word == word]:
            parts.append(f"in {_of(those, outcomes)} {text}")
    told_in_all = "; ".join(parts)
    return f"{told_in_all[0].upper()}{told_in_all[1:]}."


def _ahead(outcomes: Sequence[GroupFinding], by_recipe: bool) -> str:
    """Say whose time was the least where it is inconclusive, in how many settings."""
    ahead = Counter(_who(found, outcomes, by_recipe) for found in outcomes if found.word == "unknown")
    return f"the least time: {', '.join(f'{who} in {count}' for who, count in ahead.most_common())}"


def _who(found: GroupFinding, outcomes: Sequence[GroupFinding], by_recipe: bool) -> str:
    """Name the winning side, and what it won against if that is not what others won against."""
    one_of_several = any(other.sides for other in outcomes) and not found.sides
    among = f" among {found.winner.environment}'s own" if one_of_several else ""
    return found.winner_name(by_recipe) + among


def _of(some: Sequence[GroupFinding], outcomes: Sequence[GroupFinding]) -> str:
    """Write how many of the settings these are."""
    if len(some) == len(outcomes):
        return f"all {len(some)} settings" if len(some) > 1 else "the one setting"
    return f"{len(some)} of {len(outcomes)} settings"


def _by_how_much(won: Sequence[GroupFinding]) -> str:
    """Write the range of the ratios of several groups, and that of their intervals."""
    ratios = [ratio for found in won for _, ratio in found.others]
    estimates = [ratio.estimate for ratio in ratios]
    bounds = [bound for ratio in ratios for bound in ratio.interval]
    by = " to ".join(dict.fromkeys((digits(min(estimates)), digits(max(estimates)))))
    return f"{by} times as fast (95% intervals from {digits(min(bounds))} to {digits(max(bounds))})"


def outcomes_by_stage(run: Run) -> dict[str, list[GroupFinding]]:
    """Return what each group says, by stage in the order of the pipeline."""
    stages = in_order([group.stage for group in run.groups])
    return {stage: [outcome(group) for group in run.groups if group.stage == stage] for stage in stages}


def reasons(run: Run) -> list[str]:
    """Return why verdicts are UNKNOWN, each reason once."""
    verdicts = [verdict for group in run.groups for verdict in group.verdicts.values()]
    return list(dict.fromkeys(verdict.reason for verdict in verdicts if verdict and verdict.reason))


@dataclass(frozen=True)
class Best:
    """The setting with the most images a second."""

    among: str
    """`all`, or the environment whose cases were compared."""
    result: Result
    as_good: Sequence[Result]
    """Others that cannot be told apart from it: their intervals overlap."""


def best_settings(run: Run) -> list[Best]:
    """Return the best setting of all and of each environment, of each augmentation and network."""
    stage = next((stage for stage in BEST_OF if any(r.stage == stage for r in run.results)), None)
    results = [result for result in run.results if result.stage == stage and result.images_per_second]
    found: list[Best] = []
    for apart in dict.fromkeys((result.case.augment, result.case.network) for result in results):
        alike = [result for result in results if (result.case.augment, result.case.network) == apart]
        environments = list(dict.fromkeys(result.case.environment for result in alike))
        if len(environments) > 1:
            found.append(_best("all", alike))
        for environment in environments:
            own = [result for result in alike if result.case.environment == environment]
            best = _best(environment, own)
            if all(best.result is not other.result for other in found):
                found.append(best)
    return found


def _best(among: str, results: Sequence[Result]) -> Best:
    first = max(results, key=lambda result: result.images_per_second or 0)
    others = [result for result in results if result is not first and _overlap(result, first)]
    return Best(among, first, others)


def _overlap(result: Result, first: Result) -> bool:
    """Say whether a setting may be as good."""
    own, best = result.images_per_second_interval, first.images_per_second_interval
    return own is None or best is None or own[1] >= best[0]


def best_sentence(best: Best, by_recipe: bool) -> str:
    """Say which setting is the best, by how many images a second, and what cannot be told apart from it."""
    result, case = best.result, best.result.case
    what = result.stage.replace("_", " ")
    who = "of all" if best.among == "all" else f"of {best.among}"
    interval = result.images_per_second_interval
    sure = f" (95% interval {interval[0]:,.0f} to {interval[1]:,.0f})" if interval else ""
    others = len(best.as_good)
    also = ""
    if others:
        also = f" {others} other setting{'s' if others > 1 else ''} cannot be told apart from it."
    return (
        f"Fastest {what} {who}: {case.label(by_recipe)}, {case.settings}: {result.images_per_second:,.0f} "
        f"images/s{sure}.{also}"
    )


def options(case: Case) -> str:
    """Return the options that measure a case again, and it alone."""
    own = case.environment == case.framework
    who = f"--frameworks={case.framework}" if own else f"--frameworks=none --env={case.environment}=PYTHON"
    return " ".join([who, *case.options])
