"""The best setting for this machine, in a sentence, with the options that measure it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stagebench.case import Case
from stagebench.results.result import Result
from stagebench.results.run import Run

BEST_OF: tuple[str, ...] = ("training", "evaluation", "data_loading")
"""Stages by which the best setting is chosen: the first of them that was measured."""


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
