"""The report as Markdown, for a pull request: the article's tables in its columns, and every stage's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from stagebench.article import published
from stagebench.article.tables import article_tables
from stagebench.article.write_up import write_up_table
from stagebench.report import best_settings, tables
from stagebench.report.conditions import condition_sentences
from stagebench.report.deployment_sentences import deployment_sentences, sanity_table
from stagebench.report.deployment_tables import deployed, deployment_table, latency_table, steps_table
from stagebench.report.formats import about
from stagebench.report.profiles import NOTE, profile_tables
from stagebench.report.report import Report
from stagebench.report.setting_sentences import setting_sentences
from stagebench.report.tables import Table
from stagebench.report.verdicts import NOTHING_TO_COMPARE, shared_settings, verdict_rows, verdict_table

SPECIAL = str.maketrans(
    {
        "|": r"\|",
        "<": "&lt;",
        ">": "&gt;",
        "\\": r"\\",
        "`": r"\`",
        "*": r"\*",
        "_": r"\_",
        "[": r"\[",
        "\n": " ",
        "\r": " ",
    }
)
"""What would be markup in a cell or in a sentence."""
NOT_IN_CODE = str.maketrans("", "", "`\n\r")


def markdown(report: Report) -> str:
    """Return the whole text, headings from the second level on."""
    return "\n".join([*_lines(report), ""])


def _lines(report: Report) -> Iterator[str]:
    yield "## stagebench"
    for number, run in enumerate(report.runs):
        shared = shared_settings(run.groups, run.not_measured)
        if len(report.runs) > 1:
            yield from ("", f"### {escaped(report.run_name(number))}")
        yield from ("", escaped(about(run)), "")
        if conditions := [f"- {escaped(sentence)}" for sentence in condition_sentences(run)]:
            yield from (*conditions, "")
        if shared:
            yield from (f"{escaped(shared)}:", "")
        if rows := verdict_rows(run.groups, report.by_recipe, run.not_measured):
            yield from (*table_lines(escaped_table(verdict_table(rows))), "")
        elif run.groups:
            yield from (NOTHING_TO_COMPARE, "")
        for best in best_settings.best_settings(run):
            told = best_settings.best_sentence(best, report.by_recipe)
            options = " ".join(best_settings.options(best, run)).translate(NOT_IN_CODE)
            yield f"- {escaped(told)} `pytest benchmarks {options}`"
        yield from (f"- {escaped(told)}" for told in setting_sentences(run.groups, report.by_recipe))
    missing = tables.not_measured_table(report)
    if missing.rows:
        yield from _titled(missing)
    if report.stages:
        yield from ("", "<details><summary>Details</summary>", *_details(report), "", "</details>")


def _details(report: Report) -> Iterator[str]:
    """Yield what stands below the verdicts."""
    for comparison in published.comparisons(report):
        yield from _titled(comparison.table, comparison.sentences)
    for table in article_tables(report):
        yield from _titled(table)
    for stage in report.stages:
        yield from _titled(tables.stage_table(report, stage))
    yield from _deployment(report)


def _deployment(report: Report) -> Iterator[str]:
    """Yield what became of trained models, and where the time of stages goes."""
    models = deployed(report)
    if models:
        yield from ("", "## From trained to deployed")
    for number, run in enumerate(report.runs):
        told = list(deployment_sentences(run.groups, report.by_recipe))
        if len(report.runs) > 1 and told:
            yield from ("", f"### {escaped(report.run_name(number))}")
        yield from ("", *(f"- {escaped(sentence)}" for sentence in told)) if told else ()
        if (sanity := sanity_table(run.groups, report.by_recipe)).rows:
            yield from _titled(sanity)
    of_models = (deployment_table(models), latency_table(models), steps_table(models))
    for table in (*of_models, write_up_table(report)):
        if table.rows:
            yield from _titled(table)
    if profiles := profile_tables(report):
        yield from ("", "## Where the time goes", "", escaped(NOTE))
        yield from (line for table in profiles for line in _titled(table))


def _titled(table: Table, sentences: Sequence[str] = ()) -> Iterator[str]:
    yield from ("", f"### {escaped(table.title)}", "")
    for sentence in sentences:
        yield from (escaped(sentence), "")
    yield from table_lines(escaped_table(table))
    if table.note:
        yield from ("", escaped(table.note))


def table_lines(table: Table) -> list[str]:
    """Return a table whose cells are Markdown already."""
    numeric = ["---:" if right else "---" for right in table.numeric]
    return [
        f"| {' | '.join(cells)} |" for cells in (table.columns, numeric, *(row.cells for row in table.rows))
    ]


def escaped_table(table: Table) -> Table:
    """Return a table whose cells mean themselves in Markdown."""
    return replace(table, rows=[tables.Row(tuple(map(escaped, row.cells))) for row in table.rows])


def escaped(text: str) -> str:
    """Return text that means itself in Markdown."""
    return text.translate(SPECIAL)
