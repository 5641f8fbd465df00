"""The report as Markdown, for a pull request: the article's tables in its columns, and every stage's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from stagebench.reporting import published, sentences, tables
from stagebench.reporting.article import article_tables
from stagebench.reporting.figures import about
from stagebench.reporting.report import Report
from stagebench.reporting.tables import Table

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
        if len(report.runs) > 1:
            yield from ("", f"### {escaped(report.run_name(number))}")
        yield from ("", escaped(about(run)), "")
        for stage, outcomes in sentences.outcomes_by_stage(run).items():
            told = (
                sentences.stage_sentence(outcomes, report.by_recipe)
                if len(outcomes) > 1
                else sentences.group_sentence(outcomes[0], report.by_recipe)
            )
            yield f"- **{tables.words(stage)}**: {escaped(told)}"
        for reason in sentences.reasons(run):
            yield f"- Nobody can tell: {escaped(reason)}."
        for best in sentences.best_settings(run):
            told = sentences.best_sentence(best, report.by_recipe)
            options = sentences.options(best.result.case).translate(NOT_IN_CODE)
            yield f"- {escaped(told)} `pytest benchmarks {options}`"
    missing = tables.not_measured_table(report)
    if missing.rows:
        yield from _titled(missing)
    for comparison in published.comparisons(report):
        yield from _titled(comparison.table, comparison.sentences)
    for table in article_tables(report):
        yield from _titled(table)
    for stage in report.stages:
        yield from _titled(tables.stage_table(report, stage))


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
