"""What is known of a spread before it is measured: from the spreads of other cases, or from none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stagebench.statistics.spread import Spread

Values = NDArray[np.float64]

TYPICAL_SPREAD = 0.04
"""Of the ratio of two cases from process to process, where nothing is known: 1.5% to 8% were measured on
machines of two and four shared cores (see README.md); half of all machines are taken to be within a factor
of 1.5 of it (`SPREADS_OF_MACHINES`)."""
SPREADS_OF_MACHINES = 0.6
"""Standard deviation of the logarithm of what is typical of a machine."""
TYPICAL_WORTH = 4.0
"""How alike the groups of a machine are, where nothing is known: a group's own spread is known from the
typical one as if from so many processes more. 95% of groups are then within a factor of 0.6 to 2.9 of it."""
WORTHS_OF_MACHINES = 0.8
"""Standard deviation of the logarithm of that."""
KIN_WORTH = 10.0
"""The most that spreads of the same two cases in earlier runs, or of other cases of the same group, are
worth, however many there are: a spread is not quite the same from run to run, nor from case to case."""

RARE = 0.05
"""Share of spreads that are too large for what is known of others to be known of them."""


@dataclass(frozen=True)
class Prior:
    """What is known of a spread, as if it had been seen in `worth` processes more."""

    spread: float
    """The typical one."""
    worth: float
    """In degrees of freedom."""

    def joined(self, kin: Iterable[Spread]) -> Prior:
        """Return what is known once the spreads of its kin are known: of the same cases in earlier runs, say.

        Each is worth its degrees of freedom, but never `KIN_WORTH` or more, and nor are all together.
        """
        known = [(self.spread, self.worth)]
        known += [(one.value, one.weight * _discounted(one.freedom)) for one in kin]
        if len(known) == 1:
            return self
        worth = sum(of for _, of in known)
        return Prior((sum(of * spread**2 for spread, of in known) / worth) ** 0.5, _discounted(worth))

    def moderate(self, seen: Spread | None) -> Spread:
        """Return the spread that one seen is taken for: the mean of both variances, by their worth.

        One so large that fewer than `RARE` would be, if this prior held for it, is none of those that the
        prior tells of, and the prior counts the less for it the rarer it is.
        """
        if seen is None:
            return Spread(self.spread, self.worth)
        worth = self.worth
        if seen.value > self.spread:
            from scipy.special import fdtrc

            worth *= min(1.0, float(fdtrc(seen.freedom, worth, (seen.value / self.spread) ** 2)) / RARE)
        freedom = worth + seen.freedom
        variance = (worth * self.spread**2 + seen.freedom * seen.value**2) / freedom
        return Spread(variance**0.5, freedom)


def _discounted(worth: float) -> float:
    return worth * KIN_WORTH / (worth + KIN_WORTH)


def fit_prior(known: Iterable[Spread]) -> Prior:
    """Return what the spreads of other groups tell of one that is not among them.

    Variances of groups are taken to be s0^2 * nu0 / chi^2(nu0), as in Smyth's moderated t (Statistical
    Applications in Genetics and Molecular Biology 3, 2004): s0 is what is typical, nu0 how alike they are.
    One seen with d degrees of freedom is then s0^2 times a variable of F(d, nu0). Of a grid of s0 and nu0
    each point is as likely as that makes it, times how likely it was where nothing is known
    (`TYPICAL_SPREAD` and what follows it). The answer stands for the whole grid: its logarithm of a variance
    has the mean and the variance of all points together. So few spreads, or some that differ much, are
    worth little.
    """
    return prior_of(sum((likelihood(spread) for spread in known), np.zeros_like(_grid().chance)))


@cache
def unknown() -> Prior:
    """Return what is known of a spread where nothing is: see `TYPICAL_SPREAD`."""
    return fit_prior(())


class _Grid(NamedTuple):
    spread: Values
    worth: Values
    chance: Values
    """Logarithm of how likely each point is where nothing is known."""
    mean: Values
    """Of the logarithm of a variance."""
    variance: Values
    constant: Values
    """What of a likelihood depends on the point alone."""


@cache
def _grid() -> _Grid:
    from scipy.special import digamma, gammaln, polygamma

    spread, worth = (
        axis.ravel()
        for axis in np.meshgrid(
            np.geomspace(0.002, 0.5, 34), [1, 1.5, 2, 3, 4, 6, 9, 14, 20, 32], indexing="ij"
        )
    )
    chance = -0.5 * (np.log(spread / TYPICAL_SPREAD) / SPREADS_OF_MACHINES) ** 2
    chance -= 0.5 * (np.log(worth / TYPICAL_WORTH) / WORTHS_OF_MACHINES) ** 2
    half = worth / 2
    mean = 2 * np.log(spread) + np.log(half) - digamma(half)
    return _Grid(spread, worth, chance, mean, polygamma(1, half), -gammaln(half))


def likelihood(seen: Spread) -> Values:
    """Return the logarithm of how likely a spread is at each point of the grid, but for a constant."""
    from scipy.special import gammaln

    grid = _grid()
    total = (seen.freedom + grid.worth) / 2
    squares = seen.freedom * (seen.value / grid.spread) ** 2 / grid.worth
    logs = -seen.freedom * (np.log(grid.spread) + np.log(grid.worth) / 2) - total * np.log1p(squares)
    found: Values = seen.weight * (logs + gammaln(total) + grid.constant)
    return found


def prior_of(likelihoods: Values) -> Prior:
    """Return the prior that stands for the grid, by the sum of the logarithms of its points' likelihoods."""
    grid = _grid()
    logs = grid.chance + likelihoods
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    mean = float(weights @ grid.mean)
    variance = float(weights @ (grid.variance + (grid.mean - mean) ** 2))
    worths, variances, means = _of_worth()
    worth = float(np.interp(-variance, -variances, worths))
    return Prior(float(np.exp((mean - np.interp(worth, worths, means)) / 2)), worth)


@cache
def _of_worth() -> tuple[Values, Values, Values]:
    """Return worths, and what variance and mean a variance's logarithm has with each, at a spread of 1."""
    from scipy.special import digamma, polygamma

    worths = np.geomspace(0.3, 300, 400)
    return worths, polygamma(1, worths / 2), np.log(worths / 2) - digamma(worths / 2)
