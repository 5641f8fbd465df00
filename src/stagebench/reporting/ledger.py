"""The ledger in Markdown: what the recipe `published` does otherwise than `matched`, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stagebench.analysis.ratio import Ratio, paired_ratio
from stagebench.case import STAGES, Case, Stage
from stagebench.measurement.differences import Difference
from stagebench.reporting.run import Run

COMMAND = "pytest benchmarks --recipes=published,matched --benchmark-json="


class LedgerError(Exception):
    """A run that no ledger can be made from; the message is one sentence with its path."""


def cost_of_published(run: Run) -> dict[tuple[Stage, Case], Ratio]:
    """Return the time of `published` divided by that of `matched`, by stage and the `matched` case.

    Raises:
        LedgerError: there is no such pair, or its rounds have no neighbours.

    """
    rounds = {(result.stage, result.case): result.rounds for result in run.results}
    ratios = {}
    for (stage, case), matched in rounds.items():
        published = rounds.get((stage, replace(case, recipe="published")))
        if case.recipe == "matched" and published is not None:
            if list(map(len, published)) != list(map(len, matched)):
                message = f"{run.label} does not hold as many rounds of {case.id} at {stage} in both recipes"
                raise LedgerError(message)
            ratios[stage, case] = paired_ratio(published, matched)
    if not ratios:
        hint = f"{COMMAND}{run.label}"
        raise LedgerError(f"{run.label} holds no case in both recipes; write one that does with `{hint}`")
    return ratios


def markdown(run: Run, differences: Sequence[Difference], measured_with: Mapping[str, str]) -> str:
    """Return the ledger.

    Args:
        run: what the run cost.
        differences: what differs between its recipes.
        measured_with: version of each framework that the differences were measured with.

    """
    costs = cost_of_published(run)
    lines = [
        f"Times: {_versions(run.versions)}, on {run.cpu}.",
        f"Differences: {_versions(measured_with)}, on the CPU.",
        "",
        "### What differs",
        "",
        *_table(
            ("choice", "framework", "published", "matched", "measured difference"),
            [(row.choice, row.framework, row.published, row.matched, row.measured) for row in differences],
        ),
        "",
        "### What it costs",
    ]
    for settings in dict.fromkeys(case.settings for _, case in costs):
        ratios = {key: ratio for key, ratio in costs.items() if key[1].settings == settings}
        rivals = list(dict.fromkeys(case for _, case in ratios))
        stages = [stage for stage in STAGES if any(stage == measured for measured, _ in ratios)]
        rows = [(stage, *(str(ratios.get((stage, case), "")) for case in rivals)) for stage in stages]
        lines += ["", f"{settings}:", "", *_table(("stage", *map(_column, rivals)), rows)]
    return "\n".join([*lines, "", *_legend(min(len(result.rounds) for result in run.results)), ""])


def _legend(processes: int) -> list[str]:
    covered = (
        "With one process for each case, it does not cover the variation from process to process."
        if processes == 1
        else f"It covers the variation between the {processes} processes of each case."
    )
    return [
        f"Time of `published` divided by that of `matched`, with its 95% interval. {covered}",
    ]


def _column(case: Case) -> str:
    """What tells the cases of a table apart."""
    return case.framework if case.workers == "auto" else f"{case.framework}, {case.workers} workers"


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{framework} {version}" for framework, version in versions.items())


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
