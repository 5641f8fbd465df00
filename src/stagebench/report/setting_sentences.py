"""What settings cost or gain on this machine, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stagebench.report.formats import share
from stagebench.report.tables import words
from stagebench.report.verdicts import floor_note, setting, varied_axes
from stagebench.statistics.group import Group
from stagebench.statistics.settings import SettingCost, setting_costs

JUDGED = {
    "FASTER": "takes {ratio} times as long as {default}: it is faster",
    "SLOWER": "takes {ratio} times as long as {default}: it is slower",
    "SAME": "takes as long as {default} within {smallest}: {ratio} times",
    "UNKNOWN": "takes {ratio} times as long as {default}: inconclusive",
}


def setting_sentences(groups: Sequence[Group], by_recipe: bool) -> Iterator[str]:
    """Yield a sentence for each setting that was measured beside its default."""
    varied = varied_axes(groups)
    for group in groups:
        where = ", ".join(part for part in (words(group.stage), setting(group, varied)) if part)
        for cost in setting_costs(group):
            yield f"{where}, {cost.default.label(by_recipe)}: {_told(cost)}"


def _told(cost: SettingCost) -> str:
    default = f"{cost.axis.option}={cost.axis.default}"
    judged = JUDGED[cost.word].format(ratio=cost.ratio, default=default, smallest=share(cost.smallest))
    value = getattr(cost.case, cost.axis.name)
    return f"{cost.axis.option}={value} {judged}{floor_note(cost.ratio, cost.smallest)}."
