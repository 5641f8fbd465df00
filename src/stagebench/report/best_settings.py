"""The best setting for this machine, in a sentence, with the options that measure it again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields

from stagebench.case import Workload
from stagebench.datasets.request import DatasetRequest
from stagebench.results.result import Result
from stagebench.results.run import Run
from stagebench.statistics.group import Group

BEST_OF: tuple[str, ...] = ("training", "evaluation", "data_loading")
"""Stages by which the best setting is chosen: the first of them that was measured."""

OF_ALL = {
    "--preset",
    "--dataset",
    "--threads",
    *(f"--{field.name.replace('_', '-')}" for field in (*fields(DatasetRequest), *fields(Workload))),
}
"""Options that hold for all cases of a run: what is computed, on which data, by how many threads."""


@dataclass(frozen=True)
class Best:
    """The setting with the most images a second."""

    among: str
    """`all`, or the environment whose cases were compared."""
    network: str
    """Theirs; empty where the run has one alone."""
    result: Result
    as_good: Sequence[Result]
    """Others that cannot be told apart from it."""


def best_settings(run: Run) -> list[Best]:
    """Return the best setting of all and of each environment, of each augmentation and network."""
    stage = next((stage for stage in BEST_OF if any(r.stage == stage for r in run.results)), None)
    results = [result for result in run.results if result.stage == stage and result.images_per_second]
    several = len({result.case.network for result in results}) > 1
    found: list[Best] = []
    for apart in dict.fromkeys((result.case.augment, result.case.network) for result in results):
        network = apart[1] if several else ""
        alike = [result for result in results if (result.case.augment, result.case.network) == apart]
        environments = list(dict.fromkeys(result.case.environment for result in alike))
        if len(environments) > 1:
            found.append(_best("all", network, alike, run.groups))
        for environment in environments:
            own = [result for result in alike if result.case.environment == environment]
            best = _best(environment, network, own, run.groups)
            if all(best.result is not other.result for other in found):
                found.append(best)
    return found


def _best(among: str, network: str, results: Sequence[Result], groups: Sequence[Group]) -> Best:
    first = max(results, key=lambda result: result.images_per_second or 0)
    others = [result for result in results if result is not first and not is_slower(result, first, groups)]
    return Best(among, network, first, others)


def is_slower(result: Result, first: Result, groups: Sequence[Group]) -> bool:
    """Say whether a case is sure to take longer than another of its run and stage.

    Within a group that is their verdict; of cases that were not measured side by side, intervals lie apart.
    """
    for group in groups:
        if {result.case, first.case} <= group.timings.keys() and group.stage == first.stage:
            return group.is_slower(result.case, first.case)
    return result.interval[0] > first.interval[1]


def best_sentence(best: Best, by_recipe: bool) -> str:
    """Say which setting is the best, by how many images a second, and what cannot be told apart from it."""
    result, case = best.result, best.result.case
    what = result.stage.replace("_", " ")
    who = "of all" if best.among == "all" else f"of {best.among}"
    which = f" with {best.network}" if best.network else ""
    interval = result.images_per_second_interval
    sure = f" (95% interval {interval[0]:,.0f} to {interval[1]:,.0f})" if interval else ""
    others = len(best.as_good)
    also = ""
    if others:
        also = f" {others} other setting{'s' if others > 1 else ''} cannot be told apart from it."
    return (
        f"Fastest {what} {who}{which}: {case.label(by_recipe)}, {case.settings}: "
        f"{result.images_per_second:,.0f} images/s{sure}.{also}"
    )


def options(best: Best, run: Run) -> list[str]:
    """Return the options, quoted for a shell, that measure the best setting of a run again, and it alone."""
    case = best.result.case
    own = case.environment == case.framework
    elsewhere = ["--frameworks=none", f"--env={case.environment}=PYTHON"]
    who = [f"--frameworks={case.framework}"] if own else elsewhere
    return [*who, *case.options, f"--stages={best.result.stage}", *_of_all(run.command)]


def _of_all(command: Sequence[str]) -> list[str]:
    """Return those of a command line that hold for all of its cases."""
    found: list[str] = []
    for at, word in enumerate(command):
        flag, value_follows, _ = word.partition("=")
        if flag in OF_ALL:
            alone = value_follows or flag == "--skip-bad-images"
            found += command[at : at + 1 if alone else at + 2]
    return [shlex.quote(word) for word in found]
