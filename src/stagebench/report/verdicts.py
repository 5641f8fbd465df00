"""What a run comes to, a row for each stage and setting: who is faster, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from stagebench.case import AXES, Case
from stagebench.report.formats import share
from stagebench.report.tables import Row, Table, words
from stagebench.results.run import in_order
from stagebench.stages import STAGES
from stagebench.statistics.group import Group, side_of
from stagebench.statistics.ratio import digits

Word = Literal["faster", "same", "unknown", "alone"]
COLUMNS = ("stage", "setting", "verdict (95% interval)")
NOTHING_TO_COMPARE = "No group has two cases: there is nothing to compare."


@dataclass(frozen=True)
class VerdictRow:
    """What may be said of one group: its fastest case against the nearest of the other sides.

    A side is a framework's environment and recipe, and stands by its fastest case; where a group has one
    side alone, each of its cases is one.
    """

    stage: str
    setting: str
    """What tells the group apart from others of its run; empty where nothing does."""
    word: Word
    winner: Case
    name: str
    """The winner's."""
    before: str
    """What stands before its name: `within 5%: `."""
    after: str
    """What stands behind it: ` 1.88x faster (1.70 to 2.07)`."""

    @property
    def verdict(self) -> str:
        return f"{self.before}{self.name}{self.after}"


def verdict_rows(groups: Sequence[Group], by_recipe: bool) -> list[VerdictRow]:
    """Return a row for each group of a run, in the order of the stages; none where each has one case alone.

    Args:
        groups: of one run.
        by_recipe: whether recipes tell cases apart.

    """
    if not any(group.ratios for group in groups):
        return []
    stages, varied = in_order([group.stage for group in groups]), varied_axes(groups)
    return [_row(group, varied, by_recipe) for stage in stages for group in groups if group.stage == stage]


def verdict_table(rows: Sequence[VerdictRow]) -> Table:
    """Return rows as a table; without settings where no group has any."""
    settings = any(row.setting for row in rows)
    cells = [(row.stage, *([row.setting] if settings else []), row.verdict) for row in rows]
    columns = COLUMNS if settings else (COLUMNS[0], COLUMNS[-1])
    return Table("verdict", columns, [Row(of_row) for of_row in cells])


def varied_axes(groups: Sequence[Group]) -> set[str]:
    """Return the titles of the axes in which groups differ, beside those that do not apply to one's stage."""
    found = set()
    for axis in AXES.values():
        applies = [group for group in groups if not axis.later or axis.applies(STAGES[group.stage].traits)]
        values = {getattr(group.results[0].case, axis.name) for group in applies} - {None}
        if axis.separates and len(values) > 1:
            found.add(axis.title)
    return found


def setting(group: Group, varied: Collection[str]) -> str:
    """Name the group by the axes in which those of its run differ."""
    return ", ".join(group.results[0].case.settings_of(varied))


def shared_settings(groups: Sequence[Group]) -> str:
    """Name what all groups have in common: the axes in which they do not differ, and a recipe alone."""
    shared = {axis.title for axis in AXES.values()} - varied_axes(groups)
    cases = [result.case for group in groups for result in group.results]
    texts = dict.fromkeys(text for case in cases for text in case.settings_of(shared))
    recipes = {case.recipe for case in cases}
    return ", ".join([*texts, *(recipes if len(recipes) == 1 else ())])


def _row(group: Group, varied: Collection[str], by_recipe: bool) -> VerdictRow:
    winner, others = group.fastest.case, group.others
    judged = {case: verdict for case in others if (verdict := group.verdicts[case])}
    unknown = {case: verdict for case, verdict in judged.items() if verdict.word == "UNKNOWN"}
    same = [case for case, verdict in judged.items() if verdict.word == "SAME"]
    word: Word
    before = after = ""
    if not others:
        word, after = "alone", " alone"
    elif unknown:
        word, before = "unknown", "inconclusive: "
        settled = max(unknown.values(), key=lambda verdict: verdict.more or inf)
        after = f"{_times(group, next(iter(unknown)), others, by_recipe)}; {settled.reason}"
    elif same:
        word, before = "same", f"within {share(group.smallest)}: "
        after = _times(group, same[0], others, by_recipe)
    else:
        word, after = "faster", _times(group, others[0], others, by_recipe, faster=True)
    name = _name(winner, group, by_recipe)
    return VerdictRow(words(group.stage), setting(group, varied), word, winner, name, before, after)


def _times(group: Group, other: Case, others: Sequence[Case], by_recipe: bool, faster: bool = False) -> str:
    """Write how many times as fast the winner is, and as which other if there are several."""
    ratio = group.ratios[other]
    low, high = map(digits, ratio.interval)
    comparative, than = (" faster", " than ") if faster else ("", " as fast as ")
    named = than + _name(other, group, by_recipe) if len(others) > 1 else ""
    return f" {digits(ratio.estimate)}x{comparative}{named} ({low} to {high})"


def _name(case: Case, group: Group, by_recipe: bool) -> str:
    """Name a case of a group, without its number of workers if its side has no other case."""
    alone = sum(side_of(result.case) == side_of(case) for result in group.results) == 1
    return (replace(case, workers="auto") if alone else case).label(by_recipe)
