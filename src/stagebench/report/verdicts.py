"""What a run comes to, a row for each stage and setting: who is faster, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal

from stagebench.case import AXES, Case
from stagebench.report.formats import duration, share
from stagebench.report.tables import Row, Table, words
from stagebench.results.result import Result
from stagebench.results.run import NotMeasured, in_order
from stagebench.stages import DEPLOYMENT, STAGES
from stagebench.statistics.group import Group, side_of
from stagebench.statistics.ratio import Ratio, digits
from stagebench.statistics.verdict import below_floor

Word = Literal["faster", "same", "unknown", "alone", "failed"]
VERDICT = "verdict (95% interval)"
COLD_START = "slower cold start"
MOST_SIDES = 4
"""Up to so many, each has a column of medians."""
NOTHING_TO_COMPARE = "No group has two cases: there is nothing to compare."


@dataclass(frozen=True)
class VerdictRow:
    """What may be said of one group: its fastest case against the nearest of the other sides, and who failed.

    A side is a framework's environment and recipe, and stands by its fastest case; where a group has one
    side alone, each of its cases is one.
    """

    stage: str
    setting: str
    """What tells the group apart from others of its run; empty where nothing does."""
    word: Word
    winner: Case
    """Where all have failed, one of them."""
    name: str = ""
    """The winner's."""
    brief: str = ""
    """The same in a picture: without its settings, where the environment tells it from the others."""
    before: str = ""
    """What stands before its name: `within 5%: `."""
    after: str = ""
    """What stands behind it: ` 1.88x faster (1.70 to 2.07)`."""
    side: str = ""
    """The winner's."""
    medians: Mapping[str, str] = field(default_factory=dict)
    """Of the fastest case of each side, by the side's name, in the order of the frameworks."""
    ratio: Ratio | None = None
    """Time of the side that decides, divided by the winner's; None where it is alone."""
    cold_start: str = ""
    """How much later the winner starts, and when that has paid off; empty where it does not."""

    @property
    def title(self) -> str:
        """Stage and setting."""
        return f"{self.stage}, {self.setting}" if self.setting else self.stage

    @property
    def verdict(self) -> str:
        return f"{self.before}{self.name}{self.after}"


def verdict_rows(
    groups: Sequence[Group], by_recipe: bool, missing: Sequence[NotMeasured] = ()
) -> list[VerdictRow]:
    """Return a row for each group of a run, in the order of the stages.

    There is none where nothing has failed and each group has one case alone.

    Args:
        groups: of one run.
        by_recipe: whether recipes tell cases apart.
        missing: what was not measured; what failed of it is named.

    """
    failed: dict[str, list[NotMeasured]] = {}
    for one in failures(missing):
        failed.setdefault(one.case.group(one.stage), []).append(one)
    if not failed and not any(group.ratios for group in groups):
        return []
    varied = varied_axes(groups, missing)
    rows = [(group.stage, _row(group, varied, by_recipe, failed.pop(group.name, ()))) for group in groups]
    rows += [(of[0].stage, _failed_row(of, varied, by_recipe)) for of in failed.values()]
    return [row for stage in in_order([stage for stage, _ in rows]) for of, row in rows if of == stage]


def failures(missing: Sequence[NotMeasured]) -> list[NotMeasured]:
    """Return what failed, and was not skipped."""
    return [one for one in missing if one.outcome == "failed"]


def verdict_table(rows: Sequence[VerdictRow], figures: bool = True) -> Table:
    """Return rows as a table, without a column in which nothing stands.

    With `figures`, medians and slower cold starts stand beside the verdicts.
    """
    names = sides(rows) if figures else []
    columns = ("stage", "setting", *names, VERDICT, COLD_START)
    cells = [
        (
            row.stage,
            row.setting,
            *(row.medians.get(name, "") for name in names),
            row.verdict,
            row.cold_start if figures else "",
        )
        for row in rows
    ]
    kept = [at for at in range(len(columns)) if any(row[at] for row in cells)]
    picked = [Row(tuple(row[at] for at in kept)) for row in cells]
    return Table("verdict", tuple(columns[at] for at in kept), picked)


def sides(rows: Sequence[VerdictRow]) -> list[str]:
    """Return the names of what is compared, each with a column of medians, where these are few enough."""
    names = list(dict.fromkeys(name for row in rows for name in row.medians))
    return names if len(names) <= MOST_SIDES else []


def break_even(group: Group, other: Case) -> tuple[float, int] | None:
    """Return by how many seconds the fastest case starts later, and after how many executions it is ahead.

    None where it does not start later by more than it gains in one, and where it is not sure to be faster.
    """
    verdict = group.verdicts[other]
    if group.stage in DEPLOYMENT:
        return None  # a model is exported once, and of ten formats each would be late
    if not verdict or verdict.word != "SLOWER":
        return None
    first, second = group.fastest, group.result(other)
    behind = first.cold_seconds - second.cold_seconds
    gained = second.median_seconds - first.median_seconds
    if not 0 < gained <= behind:
        return None
    return behind, int(behind / gained) + 2


def varied_axes(groups: Sequence[Group], missing: Sequence[NotMeasured] = ()) -> set[str]:
    """Return the titles of the axes in which groups differ, beside those that do not apply to one's stage."""
    found = set()
    cases = [(group.stage, group.results[0].case) for group in groups]
    cases += [(one.stage, one.case) for one in failures(missing)]
    for axis in AXES.values():
        applies = (case for stage, case in cases if not axis.later or axis.applies(STAGES[stage].traits))
        values = {getattr(case, axis.name) for case in applies} - {None}
        if axis.separates and len(values) > 1:
            found.add(axis.title)
    return found


def recipes(groups: Sequence[Group], missing: Sequence[NotMeasured]) -> set[str]:
    """Return the recipes of what was measured, and of what failed."""
    cases = [result.case for group in groups for result in group.results]
    return {case.recipe for case in (*cases, *(one.case for one in failures(missing)))}


def tell_recipes(groups: Sequence[Group], missing: Sequence[NotMeasured]) -> bool:
    """Whether recipes tell cases apart."""
    return len(recipes(groups, missing)) > 1


def setting(group: Group, varied: Collection[str]) -> str:
    """Name the group by the axes in which those of its run differ."""
    return _setting(group.results[0].case, varied)


def _setting(case: Case, varied: Collection[str]) -> str:
    return ", ".join(case.settings_of(varied))


def shared_settings(groups: Sequence[Group], missing: Sequence[NotMeasured] = ()) -> str:
    """Name what all groups have in common: the axes in which they do not differ, and a recipe alone."""
    shared = {axis.title for axis in AXES.values()} - varied_axes(groups, missing)
    cases = [result.case for group in groups for result in group.results]
    texts = dict.fromkeys(text for case in cases for text in case.settings_of(shared))
    alone = recipes(groups, missing)
    return ", ".join([*texts, *(alone if len(alone) == 1 else ())])


def _failed_row(failed: Sequence[NotMeasured], varied: Collection[str], by_recipe: bool) -> VerdictRow:
    """Return the row of a group of which nothing was measured."""
    first = failed[0]
    return VerdictRow(
        stage=words(first.stage),
        setting=_setting(first.case, varied),
        word="failed",
        winner=first.case,
        before=_failed(failed, by_recipe),
    )


def _failed(failed: Sequence[NotMeasured], by_recipe: bool) -> str:
    return "; ".join(f"{one.case.label(by_recipe)} failed" for one in failed)


def _row(group: Group, varied: Collection[str], by_recipe: bool, failed: Sequence[NotMeasured]) -> VerdictRow:
    winner, others = group.fastest.case, group.others
    judged = {case: verdict for case in others if (verdict := group.verdicts[case])}
    unknown = {case: verdict for case, verdict in judged.items() if verdict.word == "UNKNOWN"}
    same = [case for case, verdict in judged.items() if verdict.word == "SAME"]
    word: Word
    before = after = ""
    other = None
    if not others:
        word, after = "alone", " alone"
    elif unknown:
        word, before, other = "unknown", "inconclusive: ", next(iter(unknown))
        settled = max(unknown.values(), key=lambda verdict: verdict.more or inf)
        after = _times(group, other, others, by_recipe)
        after += f"{floor_note(group.ratios[other], group.smallest)}; {settled.reason}"
    elif same:
        word, before, other = "same", f"within {share(group.smallest)}: ", same[0]
        after = _times(group, other, others, by_recipe)
    else:
        word, other = "faster", others[0]
        after = _times(group, other, others, by_recipe, faster=True)
    late = break_even(group, other) if other else None
    if failed:
        after += f"; {_failed(failed, by_recipe)}"
    return VerdictRow(
        words(group.stage),
        setting(group, varied),
        word,
        winner,
        _name(winner, group, by_recipe),
        _brief(winner, group, by_recipe),
        before,
        after,
        _side(winner, group, by_recipe),
        _medians(group, [winner, *others], by_recipe),
        group.ratios[other] if other else None,
        f"+{duration(late[0])}, break-even after {late[1]}" if late else "",
    )


def _times(group: Group, other: Case, others: Sequence[Case], by_recipe: bool, faster: bool = False) -> str:
    """Write how many times as fast the winner is, and as which other if there are several."""
    ratio = group.ratios[other]
    low, high = map(digits, ratio.interval)
    comparative, than = (" faster", " than ") if faster else ("", " as fast as ")
    named = than + _name(other, group, by_recipe) if len(others) > 1 else ""
    return f" {digits(ratio.estimate)}x{comparative}{named} ({low} to {high})"


def floor_note(ratio: Ratio, smallest: float) -> str:
    """Say, behind a ratio, that the noise floor alone makes it inconclusive; nothing where it does not."""
    return ", below the noise floor" if below_floor(ratio, smallest) else ""


def _medians(group: Group, fastest: Sequence[Case], by_recipe: bool) -> dict[str, str]:
    """Return the medians of each side's fastest case, in the order of the sides' first cases."""
    found = {_side(case, group, by_recipe): _median(group.result(case), group, by_recipe) for case in fastest}
    names = dict.fromkeys(_side(result.case, group, by_recipe) for result in group.results)
    return {name: found[name] for name in names if name in found}


def _median(result: Result, group: Group, by_recipe: bool) -> str:
    """Write a case's median, and its number of workers where its side has other cases: `151 ms, 2w`."""
    side, name = _side(result.case, group, by_recipe), _name(result.case, group, by_recipe)
    return f"{duration(result.median_seconds)}{name.removeprefix(side)}"


def _side(case: Case, group: Group, by_recipe: bool) -> str:
    """Name a case's side, in every group alike; where all cases are of one side, the case itself."""
    several = len({side_of(result.case) for result in group.results}) > 1
    return (replace(case, workers="auto") if several else case).label(by_recipe)


def _brief(case: Case, group: Group, by_recipe: bool) -> str:
    alone = all(other.environment != case.environment for other in group.others)
    return case.environment if alone else _name(case, group, by_recipe)


def _name(case: Case, group: Group, by_recipe: bool) -> str:
    """Name a case of a group, without its number of workers if its side has no other case."""
    alone = sum(side_of(result.case) == side_of(case) for result in group.results) == 1
    return (replace(case, workers="auto") if alone else case).label(by_recipe)
