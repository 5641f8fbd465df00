"""What a setting costs or gains: each case beside the one that differs from it in nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stagebench.case import AXES, Axis, Case
from stagebench.statistics.group import Group
from stagebench.statistics.ratio import Ratio
from stagebench.statistics.verdict import Word, word_of


@dataclass(frozen=True)
class SettingCost:
    """A value of an axis, measured beside the axis' default."""

    case: Case
    default: Case
    """The same case with the axis at its default."""
    axis: Axis
    ratio: Ratio
    """Time of the case divided by that of the default."""
    smallest: float
    """The smallest difference that counts, as a share."""

    @property
    def word(self) -> Word:
        """The verdict on the case."""
        return word_of(self.ratio, self.smallest)


def setting_costs(group: Group) -> list[SettingCost]:
    """Return one for each case and setting off its default whose default was measured in the group.

    Deployment has comparisons of its own: see `speedups`.
    """
    axes = [a for a in AXES.values() if a.later and not a.separates and "deploys" not in a.traits]
    found = []
    for case in group.timings:
        for axis in axes:
            default = replace(case, **{axis.name: axis.default})
            if default != case and default in group.timings:
                ratio = group.ratio(case, default)
                found.append(SettingCost(case, default, axis, ratio, group.smallest))
    return found
