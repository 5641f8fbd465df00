"""What every chart is made of: a Vega-Lite specification with its data, and the same data as a table.

A page draws them from these, and `stagebench report --format svg` does too.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stagebench.frameworks import FRAMEWORKS
from stagebench.report.report import FILTERS, Entry, Report, told
from stagebench.report.tables import Table

Values = list[dict[str, Any]]
Spec = dict[str, Any]

UNKNOWN = (("#9b59b6", ("diamond",)), ("#2e9e6b", ("cross",)), ("#b5524a", ("triangle-down",)))
"""Colours and marks of frameworks that a run of a newer version has."""
ROW_HEIGHT = 36
"""Of two lines of text, and of space that tells them from the next two."""
ON_TOP = {"orient": "top", "tickCount": {"expr": "ceil(width / 70)"}}
"""An axis of figures where it is seen at once, however many cases there are below it."""


@dataclass(frozen=True)
class Chart:
    """A picture of some data."""

    name: str
    """Its file's name, and its place in the page."""
    title: str
    caption: str
    spec: Spec
    values: Values
    """Rows; `case` in each is the index of its entry in the report."""
    table: Table
    rows_of_cases: bool = False
    """Whether each case is a row of its own, so that many cases make it tall."""


def complete(chart: Chart, report: Report) -> Spec:
    """Return a specification that stands alone: with data, title and size, in dark ink on white."""
    rows = [{**described(report.entries[row["case"]]), **row} for row in chart.values]
    data = {
        "data": {"name": "rows", "values": rows},
        "width": 560,
        "title": {"text": chart.title, "anchor": "start"},
    }
    padding = {"left": 48, "top": 12, "right": 12, "bottom": 12}  # a reader's font may be wider
    ink = {"background": "white", "padding": padding, "config": config("#222222")}
    return {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", **chart.spec, **data, **ink}


def described(entry: Entry) -> dict[str, Any]:
    """Return what charts show of a case."""
    axes = {axis.replace(" ", "_"): told(value(entry.case)) for axis, value in FILTERS.items()}
    label = f"{entry.name}\n{entry.settings}" if entry.settings else entry.name
    return {**axes, "kind": entry.case.framework, "label": label, "of": entry.settings, "run": entry.run + 1}


def config(ink: str) -> Spec:
    """Return what all charts look like, with the colour of text and lines."""
    font = "system-ui, sans-serif"
    text = {"labelColor": ink, "titleColor": ink, "labelFont": font, "titleFont": font}
    lines = {"gridColor": ink, "gridOpacity": 0.15, "domainColor": ink, "tickColor": ink}
    return {
        "axis": {**text, **lines, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
        "axisX": {"labelOverlap": "greedy", "labelSeparation": 8, "labelFlush": False},
        "axisY": {"labelLimit": 300, "labelPadding": 6},
        "legend": {**text, "labelFontSize": 12, "orient": "top", "columns": 4, "labelLimit": 300},
        "title": {"color": ink, "font": font, "fontSize": 14},
        "text": {"font": font, "fontSize": 12, "color": ink},
        "tick": {"color": ink},
        "view": {"stroke": None},
    }


def looks_of(report: Report) -> dict[str, Spec]:
    """Return what tells frameworks apart: colour and shape, the same in all charts."""
    present = {entry.case.framework for entry in report.entries}
    ordered = [name for name in FRAMEWORKS if name in present] + sorted(present - {*FRAMEWORKS})
    colours, marks = zip(*map(look, ordered), strict=True) if ordered else ((), ())
    ranges = {"color": colours, "shape": [own for own, *_ in marks]}
    return {
        channel: {
            "field": "kind",
            "type": "nominal",
            "title": None,
            "scale": {"domain": ordered, "range": [*of]},
        }
        for channel, of in ranges.items()
    }


def look(framework: str) -> tuple[str, tuple[str, ...]]:
    """Return the colour and the marks of a framework, also of one that this version does not know."""
    known = FRAMEWORKS.get(framework)
    return (known.colour, known.marks) if known else UNKNOWN[zlib.crc32(framework.encode()) % len(UNKNOWN)]


def case_axis() -> Spec:
    """Return the y axis on which each case is a row."""
    return {"field": "label", "type": "nominal", "title": None, "axis": two_lines()}


def two_lines() -> Spec:
    """Return an axis whose labels may have two lines."""
    middle = (
        r"indexof(datum.value, '\n') < 0 ? 0 : -7"  # of the first line, so that both stand beside the row
    )
    return {"labelExpr": r"split(datum.label, '\n')", "labelOffset": {"expr": middle}, "ticks": False}


def tooltip(field: Mapping[str, Any], unit: str, title: str = "") -> list[Spec]:
    """Return what a mark says of itself: its case and its figure."""
    text = f"{title or field['field']} ({unit})" if unit else title or field["field"]
    return [{"field": "label", "title": "case"}, {"field": field["field"], "title": text}]
