"""What is known of spreads when a group is judged: by the session's other groups, and by earlier runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stagebench.statistics.prior import Prior, Values, likelihood, prior_of
from stagebench.statistics.ratio import DRIFT, LEAST_DRIFT
from stagebench.statistics.spread import Spread, spread_of_equal

Pair = tuple[str, str]
"""The kinds of two cases, in alphabetic order; cases of one kind are taken to scatter alike."""


def pair_of(kind: str, other: str) -> Pair:
    """Return two kinds as a pair."""
    return (min(kind, other), max(kind, other))


@dataclass(frozen=True)
class Earlier:
    """The spreads of one stage's ratios in earlier runs on this machine, by the kinds of the two cases."""

    spreads: Mapping[Pair, Sequence[Spread]] = field(default_factory=dict)

    def kin(self, kind: str | None, other: str | None) -> list[Spread]:
        """Return the spreads of two cases of these kinds; None: it is not known of which it is.

        Where there are none, but of A/A comparisons of both, their mean variance: each is that of two
        processes of its own.
        """
        if not kind or not other:
            return []
        direct = self.spreads.get(pair_of(kind, other), ())
        if direct or kind == other:
            return list(direct)
        own = [self.spreads.get((one, one), ()) for one in (kind, other)]
        return [mean_of([pooled(of) for of in own])] if all(own) else []

    @staticmethod
    def of_equal(ratios: Sequence[Sequence[float] | None]) -> list[Spread]:
        """Return the mean spread of cases, each by the logarithms of its A/A ratios; none if one lacks."""
        seen = [spread_of_equal(np.asarray(of_case)) for of_case in ratios if of_case]
        return [mean_of(seen)] if len(seen) == len(ratios) else []

    def others(self, kinds: Collection[str]) -> list[Spread]:
        """Return one spread of each pair that is not of two of these kinds."""
        return [pooled(spreads) for pair, spreads in self.spreads.items() if not {*pair} <= {*kinds}]


@dataclass(frozen=True)
class Memory:
    """What earlier runs on a machine tell, by stage."""

    spreads: Mapping[str, Earlier] = field(default_factory=dict)
    drifts: Mapping[str, Spread] = field(default_factory=dict)
    """How far the times of a case were apart from run to run, beyond what their processes scatter by."""

    def of(self, stage: str) -> Earlier:
        """Return what is known of a stage's spreads."""
        return self.spreads.get(stage, Earlier())

    def drift(self, stage: str) -> Prior:
        """Return what is known of the machine's drift between two runs.

        Each degree of freedom that was seen takes the place of one that the default is worth.
        """
        seen = self.drifts.get(stage, Spread(0.0, 0.0))
        left = max(0.0, DRIFT.worth - seen.freedom)
        variance = (left * DRIFT.spread**2 + seen.freedom * seen.value**2) / (left + seen.freedom)
        return Prior(max(LEAST_DRIFT, variance**0.5), left + seen.freedom)


def pooled(spreads: Sequence[Spread]) -> Spread:
    """Return the spread that several are estimates of."""
    freedom = sum(one.freedom for one in spreads)
    return Spread((sum(one.freedom * one.value**2 for one in spreads) / freedom) ** 0.5, freedom)


def mean_of(spreads: Sequence[Spread]) -> Spread:
    """Return the spread whose variance is the mean of the spreads' variances, known as badly as the worst."""
    variance = sum(one.value**2 for one in spreads) / len(spreads)
    return Spread(variance**0.5, min(one.freedom for one in spreads))


def priors_of(groups: Sequence[Iterable[Spread]], earlier: Sequence[Iterable[Spread]] = ()) -> list[Prior]:
    """Return what is known of each group's spreads by those of all others.

    Args:
        groups: the spreads of each group of a session.
        earlier: of each group, those that earlier runs tell of groups like it.

    """
    own = [_together(spreads) for spreads in groups]
    total: Values = np.sum(own, axis=0)
    before = [_together(spreads) for spreads in earlier] or [np.zeros(())] * len(own)
    return [prior_of(total - one + more) for one, more in zip(own, before, strict=True)]


def _together(spreads: Iterable[Spread]) -> Values:
    nothing = likelihood(Spread(0.0, 0.0))
    return sum((likelihood(spread) for spread in spreads), nothing)
