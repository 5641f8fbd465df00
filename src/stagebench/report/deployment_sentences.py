"""What deployments come to, in sentences: the suite's check on itself, and what int8 gains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from stagebench.case import Case
from stagebench.report.formats import ratio_with_interval, share
from stagebench.report.tables import Row, Table
from stagebench.statistics.group import Group
from stagebench.statistics.speedups import (
    WANTED_SPEEDUP,
    SanityCheck,
    Speedup,
    best_speedups,
    sanity_checks,
    speedups,
)

SANITY = ("the suite's own check", "x the other's time (95%)", "finding")
SANITY_NOTE = (
    "Two frameworks' float32 models of the same network, both as ONNX files, do the same work in the same "
    "runtime. A difference here is none of the frameworks': it is in the files, or in how it was measured."
)


def sanity_table(groups: Sequence[Group], by_recipe: bool) -> Table:
    """The time of one framework's model against the other's where one runtime runs both, a row a setting."""
    rows = []
    for check in sanity_checks(groups):
        which = f"{check.first.label(by_recipe)} against {check.second.label(by_recipe)}, float32"
        cells = (f"{which}, {check.first.settings}", ratio_with_interval(check.ratio), sanity_finding(check))
        rows.append(Row(cells))
    return Table(SANITY[0], SANITY, rows, SANITY_NOTE)


def sanity_lines(groups: Sequence[Group], by_recipe: bool) -> Iterator[str]:
    """Yield the same as sentences, one for each setting."""
    for check in sanity_checks(groups):
        first, second = check.first.label(by_recipe), check.second.label(by_recipe)
        ratio = ratio_with_interval(check.ratio)
        yield (
            f"check: {first} takes {ratio} times as long as {second}, one runtime: {sanity_finding(check)}"
        )


def sanity_finding(check: SanityCheck) -> str:
    """Say whether two equal models take the same time."""
    if check.passed:
        return f"no difference (within {share(check.smallest)})"
    if not check.failed:
        return "inconclusive: give more --processes"
    apart = max(check.ratio.estimate, 1 / check.ratio.estimate) - 1
    return f"they DIFFER by {apart:.0%}, though the work is the same: trust no small difference in this run"


def deployment_sentences(groups: Sequence[Group], by_recipe: bool) -> Iterator[str]:
    """Say how much faster int8 is, and of each framework whether that is enough in any form."""
    found = speedups(groups)
    for case, gains in groupby(found, key=lambda one: one.quantized):
        which = f"{_who(case, by_recipe)}, {case.settings}: int8 ({case.quantize}) by {case.deploy}"
        than = (
            f"{ratio_with_interval(one.ratio)} times as fast as float32 by {one.float32.deploy}"
            for one in gains
        )
        yield f"{which} is {' and '.join(than)}."
    for best in best_speedups(found):
        yield _enough(best, by_recipe)


def _enough(best: Speedup, by_recipe: bool) -> str:
    case = best.quantized
    against = "in the same form" if best.same_form else f"by {best.float32.deploy}, the framework's own form"
    enough = best.ratio.estimate >= WANTED_SPEEDUP
    who = ", ".join([_who(case, by_recipe), *case.settings_of({"network"})])
    return (
        f"{who}: int8 {'reaches' if enough else 'does NOT reach'} {WANTED_SPEEDUP} times "
        f"the speed of float32 {against}{':' if enough else '; the most is'} "
        f"{ratio_with_interval(best.ratio)} by {case.deploy} ({case.quantize})."
    )


def _who(case: Case, by_recipe: bool) -> str:
    return f"{case.environment} {case.recipe}" if by_recipe else case.environment
