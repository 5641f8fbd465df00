"""The ledger in Markdown: how the recipe `published` differs from `matched`, and what that costs."""

from __future__ import annotations

from dataclasses import replace

from stagebench.case import Case
from stagebench.report.markdown import escaped, table_lines
from stagebench.report.setting_sentences import setting_sentences
from stagebench.report.tables import Row, Table, difference_table
from stagebench.results.run import Run, in_order
from stagebench.statistics.ratio import Ratio, paired_ratio

COMMAND = "pytest benchmarks --recipes=published,matched --benchmark-json="


class LedgerError(Exception):
    """A run that no ledger can be made from; the message is one sentence with its path."""


def cost_of_published(run: Run) -> dict[tuple[str, Case], Ratio]:
    """Return the time of `published` divided by that of `matched`, by stage and the `matched` case."""
    rounds = {(result.stage, result.case): result.rounds for result in run.results}
    ratios = {}
    for (stage, case), matched in rounds.items():
        published = rounds.get((stage, replace(case, recipe="published")))
        if case.recipe == "matched" and published is not None:
            ratios[stage, case] = paired_ratio(published, matched)
    return ratios


def cost_tables(run: Run) -> list[Table]:
    """Return what `published` costs: a table for each setting."""
    costs, tables = cost_of_published(run), []
    for settings in dict.fromkeys(case.settings for _, case in costs):
        ratios = {key: ratio for key, ratio in costs.items() if key[1].settings == settings}
        columns = list(dict.fromkeys(case for _, case in ratios))
        stages = in_order([stage for stage, _ in ratios])
        rows = [Row((stage, *(str(ratios.get((stage, case), "")) for case in columns))) for stage in stages]
        tables.append(Table(settings, ("stage", *(case.label(by_recipe=False) for case in columns)), rows))
    return tables


def cost_legend(run: Run) -> str:
    """Say what the figures of `cost_tables` are."""
    processes = min(len(result.rounds) for result in run.results)
    return (
        "Time of `published` divided by that of `matched`, with its 95% interval: by the "
        f"{processes} processes of each case and what is known of how they scatter."
    )


def ledger(run: Run) -> str:
    """Return the ledger in Markdown.

    Raises:
        LedgerError: the run does not say what differs, or holds no case in both recipes.

    """
    costs = cost_tables(run)
    if not costs or not run.differences:
        what = "case in both recipes" if not costs else "differences between the recipes"
        hint = f"{COMMAND}{run.label}"
        raise LedgerError(f"{run.label} holds no {what}; write one that does with `{hint}`")
    versions = ", ".join(f"{environment} {version}" for environment, version in run.versions.items())
    lines = [f"{versions}, on {run.cpu}.", "", "### What differs", "", *table_lines(difference_table(run))]
    lines += ["", "### What it costs"]
    for table in costs:
        lines += ["", f"{table.title}:", "", *table_lines(table)]
    lines += ["", cost_legend(run)]
    if told := list(setting_sentences(run.groups, by_recipe=True)):
        lines += ["", "### What settings cost or gain", "", *(f"- {escaped(sentence)}" for sentence in told)]
    return "\n".join([*lines, ""])
