"""What is known of spreads when a group is judged: by the session's other groups, and by earlier runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stagebench.statistics.prior import Prior, Values, likelihood, prior_of
from stagebench.statistics.spread import Spread

Pair = tuple[str, str]
"""The kinds of two cases, in alphabetic order; cases of one kind are taken to scatter alike."""


def pair_of(kind: str, other: str) -> Pair:
    return (min(kind, other), max(kind, other))


@dataclass(frozen=True)
class Earlier:
    """The spreads of one stage's ratios in earlier runs on this machine, by the kinds of the two cases."""

    spreads: Mapping[Pair, Sequence[Spread]] = field(default_factory=dict)

    def kin(self, kind: str, other: str) -> list[Spread]:
        """Return the spreads of two cases of these kinds.

        Where there are none, but of A/A comparisons of both, their mean variance: each is that of two
        processes of its own.
        """
        direct = self.spreads.get(pair_of(kind, other), ())
        if direct or kind == other:
            return list(direct)
        own = [self.spreads.get((one, one), ()) for one in (kind, other)]
        return [mean_of([pooled(of) for of in own])] if all(own) else []

    def others(self, kinds: Collection[str]) -> list[Spread]:
        """Return one spread of each pair that is not of two of these kinds."""
        return [pooled(spreads) for pair, spreads in self.spreads.items() if not {*pair} <= {*kinds}]


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
    return np.sum([likelihood(spread) for spread in spreads] or [likelihood(Spread(0.0, 0.0))], axis=0)
