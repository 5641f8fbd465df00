"""The chart that answers at a glance: who is faster at which stage, by how much, and how sure that is."""

from __future__ import annotations

from stagebench.report.chart_parts import ROW_HEIGHT, Chart, Spec, Values, look, two_lines
from stagebench.report.formats import short
from stagebench.report.report import Report
from stagebench.report.verdicts import VerdictRow, verdict_rows, verdict_table
from stagebench.statistics.ratio import Ratio, digits

UNDECIDED = "#8a8a8a"
TOLD = {"unknown": "inconclusive", "same": "the same"}
TICKS = [0.5, 0.8, 1, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 1000]
MOST_ROWS = 40
"""Of a picture that is seen at a glance; a run of more has the table alone."""


def overview_chart(report: Report) -> Chart:
    """Return a chart of the verdicts of a report's only run; one without values where it has several."""
    (run, *others) = report.runs or (None,)
    rows = verdict_rows(run.groups, report.by_recipe, run.not_measured) if run and not others else []
    compared = [(row, row.ratio) for row in rows if row.ratio]
    values: Values = [_value(*one, report) for one in compared] if len(compared) <= MOST_ROWS else []
    lower = min((value["low"] for value in values), default=1)
    x: Spec = {
        "type": "quantitative",
        "title": "times as long (95% interval)",
        "scale": {"type": "log", "domainMin": min(0.98, lower), "nice": False},
        "axis": {"orient": "top", "values": TICKS, "format": "~g"},
    }
    y = {"field": "row", "type": "nominal", "sort": None, "title": None, "axis": two_lines()}
    colour = {"field": "colour", "type": "nominal", "scale": None}
    return Chart(
        name="overview",
        title="Which is faster, and by what factor",
        caption="The bar is the ratio, the line its 95% interval; grey: inconclusive, or too small to count.",
        spec={
            "height": {"step": ROW_HEIGHT},
            "encoding": {"y": y},
            "layer": [
                {
                    "mark": {"type": "bar", "height": 14},
                    "encoding": {"x": {"field": "ratio", **x}, "x2": {"datum": 1}, "color": colour},
                },
                {
                    "mark": {"type": "rule", "strokeWidth": 2, "color": "#555555"},
                    "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}},
                },
                {
                    "mark": {"type": "text", "align": "left", "dx": 6},
                    "encoding": {"x": {"field": "high", **x}, "text": {"field": "told"}},
                },
            ],
        },
        values=values,
        table=verdict_table([row for row, _ in compared]),
    )


def _value(row: VerdictRow, ratio: Ratio, report: Report) -> dict[str, object]:
    low, high = ratio.interval
    decided = row.word == "faster"
    times = ", ".join(f"{name} {median}" for name, median in row.medians.items())
    return {
        "case": report.entry(0, row.winner).index,
        "row": f"{row.title}\n{times}",
        "ratio": short(ratio.estimate),
        "low": short(low),
        "high": short(high),
        "colour": look(row.winner.framework)[0] if decided else UNDECIDED,
        "told": f"{row.brief} {digits(ratio.estimate)}x" if decided else TOLD[row.word],
    }
