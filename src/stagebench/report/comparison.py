"""What became of a base: as a table for a terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from stagebench.case import Case, plain
from stagebench.report.formats import duration, verdict_word
from stagebench.report.markdown import escaped, escaped_table, table_lines
from stagebench.report.report import FILTERS, FRAMEWORK, in_order_of_values
from stagebench.report.tables import Row, Table, words
from stagebench.results.file import RunError
from stagebench.results.run import Run
from stagebench.run.aa_copy import AGAIN
from stagebench.statistics.comparison import Change, FailOn, Side, compare, exit_code
from stagebench.statistics.ratio import Ratio

SCHEMA = 1


@dataclass(frozen=True)
class Comparison:
    """A base and a head, and what became of each case."""

    base: str
    head: str
    changes: Sequence[Change]
    together: bool
    """Whether both were measured in turns, in one session."""

    @property
    def title(self) -> str:
        return f"{self.base} to {self.head}"


def side_of(run: Run, environment: str | None = None) -> Side:
    """Return what a run measured of one environment, or of all, by stage and case.

    The name of an environment does not count where it is the only one of its framework.

    Raises:
        RunError: there is no such environment.

    """
    names = {case.environment: case.framework for case in run.cases}
    if environment is not None and environment not in names:
        known = ", ".join(names) or "none"
        raise RunError(f"{run.label} holds no environment {environment!r}; it holds: {known}")
    alone = {name for name, of in names.items() if list(names.values()).count(of) == 1 or environment}
    found = {}
    for result in run.results:
        if environment in (None, result.case.environment):
            named = result.case.environment not in alone
            case = result.case if named else replace(result.case, environment=result.case.framework)
            found[result.stage, case] = result
    return found


def comparison_of(base: Run, head: Run, of_base: str | None = None, of_head: str | None = None) -> Comparison:
    """Compare two runs, or two environments of one.

    Raises:
        RunError: there is no such environment.

    """
    together = base.label == head.label
    again = f"{of_base}{AGAIN}" if of_base else ""
    aa_copy = (
        side_of(base, again) if any(result.case.environment == again for result in base.results) else None
    )
    changes = compare(
        side_of(base, of_base), side_of(head, of_head), aa_copy, together, head.memory, head.smallest
    )
    return Comparison(of_base or base.label, of_head or head.label, changes, together)


def table_of(found: Comparison, fail_on: FailOn) -> Table:
    """Return the changes as a table; columns in which nothing stands are left out."""
    label = _labels([change.case for change in found.changes])
    rows = []
    for change in found.changes:
        cells = (
            words(change.stage),
            label[change.case],
            duration(change.base.median_seconds) if change.base else "",
            duration(change.head.median_seconds) if change.head else "",
            str(change.ratio) if change.ratio and change.judged else "",
            str(change.again) if change.again else "",
            f"{change.floor:.1%}" if change.floor is not None else "",
            verdict_word(change.word),
            _remark(change, fail_on),
        )
        rows.append(Row(cells))
    columns = (
        "stage",
        "case",
        "base",
        "head",
        "head / base (95%)",
        "base again / base",
        "floor",
        "verdict",
        "",
    )
    kept = [at for at in range(len(columns)) if any(row.cells[at] for row in rows)]
    thinner = [Row(tuple(row.cells[at] for at in kept)) for row in rows]
    return Table(found.title, tuple(columns[at] for at in kept), thinner)


def _remark(change: Change, fail_on: FailOn) -> str:
    if not fail_on.fails(change):
        return ""
    if change.second is None:
        return "REGRESSION"
    if fail_on.confirmed(change):
        return f"REGRESSION, confirmed: {change.second}"
    return f"not confirmed: {change.second}"


def _labels(cases: Sequence[Case]) -> dict[Case, str]:
    """Name each case by its environment and by what differs among the cases, as far as it applies."""
    several = [axis for axis in FILTERS if axis != FRAMEWORK and len(_values(axis, cases)) > 1]
    told = {
        case: [f"{axis} {FILTERS[axis](case)}" for axis in several if _values(axis, [case])] for case in cases
    }
    return {case: ", ".join([case.environment, *differing]) for case, differing in told.items()}


def _values(axis: str, cases: Iterable[Case]) -> list[Any]:
    return in_order_of_values(FILTERS[axis](case) for case in cases)


def sentences_of(found: Comparison, fail_on: FailOn) -> Iterator[str]:
    """Say what the verdicts come to, and what they cannot."""
    changes = found.changes
    label = _labels([change.case for change in changes])
    counts = Counter(change.word for change in changes)
    told = ", ".join(f"{n} {verdict_word(word)}" for word, n in counts.items())
    yield f"{found.title}: {told or 'nothing in common'}."
    for change in changes:
        if fail_on.confirmed(change):
            times = f"{change.ratio} times as long"
            sure = f"; confirmed by a second measurement: {change.second}" if change.second else ""
            yield f"Regression: {words(change.stage)}, {label[change.case]}: {times}{sure}."
        elif fail_on.fails(change):
            yield (
                f"Not confirmed: {words(change.stage)} took {change.ratio} times as long, and when it was "
                f"measured again {change.second}."
            )
    for reason in dict.fromkeys(change.reason for change in changes if change.reason):
        of = [f"{words(c.stage)}, {label[c.case]}" for c in changes if c.reason == reason]
        yield f"Inconclusive: {'; '.join(of)}: {reason}."
    unseen = [c.ratio.interval[1] for c in changes if c.judged and c.word == "UNKNOWN" and c.ratio]
    if unseen:
        yield f"Among what is inconclusive, a slow-down of up to {max(unseen) - 1:.0%} would not be seen."
    if gone := [change for change in changes if change.word == "REMOVED"]:
        yield f"{len(gone)} that the base has are not in the head: renamed, left out, or failed."
    if not found.together and any(change.ratio for change in changes):
        drifts = [f"{change.ratio.drift:.0%}" for change in changes if change.ratio]
        yield (
            f"Base and head were measured in different sessions: intervals hold a drift of the machine in "
            f"between of {' or '.join(dict.fromkeys(drifts))}."
        )


CODES = {
    0: "no regression was found",
    1: "a regression",
    2: "it cannot be told whether there is a regression",
}
"""What the exit codes mean."""


def text_of(found: Comparison, fail_on: FailOn) -> str:
    """Return the table for a terminal, and the sentences."""
    table = table_of(found, fail_on)
    rows = [table.columns, *(row.cells for row in table.rows)]
    widths = [max(len(cells[at]) for cells in rows) for at in range(len(table.columns))]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)) for cells in rows
    ]
    body = [line.rstrip() for line in lines] if table.rows else []
    code = exit_code(found.changes, fail_on)
    return "\n".join(
        [found.title, "", *body, "", *sentences_of(found, fail_on), f"Exit {code}: {CODES[code]}.", ""]
    )


def markdown_of(found: Comparison, fail_on: FailOn) -> str:
    """Return the same as Markdown, for a pull request."""
    table = table_of(found, fail_on)
    body = table_lines(escaped_table(table)) if table.rows else []
    sentences = [f"- {escaped(sentence)}" for sentence in sentences_of(found, fail_on)]
    return "\n".join([f"## {escaped(found.title)}", "", *sentences, "", *body, ""])


def json_of(found: Sequence[Comparison], fail_on: FailOn, code: int) -> str:
    """Return comparisons as JSON: `exit_code`, and every change with its ratios and intervals."""
    content = {
        "schema": SCHEMA,
        "exit_code": code,
        "fail_on": asdict(fail_on),
        "comparisons": [
            {
                "base": one.base,
                "head": one.head,
                "measured_together": one.together,
                "changes": [_plain(change, fail_on) for change in one.changes],
            }
            for one in found
        ],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _plain(change: Change, fail_on: FailOn) -> Mapping[str, Any]:
    return {
        "stage": change.stage,
        **plain(change.case),
        "verdict": change.word,
        "base_seconds": change.base.median_seconds if change.base else None,
        "head_seconds": change.head.median_seconds if change.head else None,
        "ratio": _ratio(change.ratio),
        "base_again": _ratio(change.again),
        "second_measurement": _ratio(change.second),
        "noise_floor": change.floor,
        "reason": change.reason or None,
        "regression": fail_on.fails(change),
        "confirmed": fail_on.confirmed(change),
    }


def _ratio(ratio: Ratio | None) -> dict[str, Any] | None:
    """Return a ratio's figures; those from which its interval follows are for who wants to check it."""
    return {**asdict(ratio), "interval": ratio.interval, "floor": ratio.floor} if ratio else None
