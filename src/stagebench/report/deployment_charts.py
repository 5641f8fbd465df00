"""What a deployed model loses and what it gains: accuracy against latency and against size."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from stagebench.report.chart_parts import Chart, Spec, Values, looks_of
from stagebench.report.deployment_tables import Deployed, deployed, file_size, latency
from stagebench.report.formats import duration, short
from stagebench.report.label_places import placed
from stagebench.report.report import Entry, Report
from stagebench.report.tables import Row, Table

HEIGHT = 340
WIDTH = 480
"""Of the narrowest picture that has labels, in pixels."""
PADDING = {"x": 40, "y": 60}
"""Pixels between the outermost points and the edge, for labels."""

Points = list[tuple[Entry, float, float, str]]
"""The case, its place on the x axis, its accuracy in percent and its label."""


def deployment_charts(report: Report) -> list[Chart]:
    """Return a chart of accuracy against latency for each batch size, and one against size."""
    models = [one for one in deployed(report) if one.figure("test_accuracy") is not None]
    batches = sorted({batch for one in models for batch in one.inference})
    found = [_latency_chart(report, models, batch) for batch in batches]
    return [*found, _size_chart(report, models)]


def _latency_chart(report: Report, models: Sequence[Deployed], batch: int) -> Chart:
    points: Points = []
    rows = []
    for one in models:
        result = one.inference.get(batch)
        if result is None or not (seconds := latency(result).get("median")):
            continue
        entry = next(entry for entry in one.entries if entry.case.batch_size == batch)
        accuracy = 100 * one.figure("test_accuracy")
        points.append((entry, 1e3 * seconds, accuracy, _label(report, one)))
        rows.append(Row((one.name, f"{accuracy:.1f}%", duration(seconds)), entry.index))
    return _scatter(
        report,
        f"accuracy_latency_batch_{batch}",
        f"accuracy against latency, batch {batch}",
        f"Each point is a deployed model; left is faster: the median of single calls of {batch} "
        f"image{'s' if batch > 1 else ''}, on a logarithmic axis.",
        f"latency of a call, batch {batch} (ms)",
        points,
        Table("accuracy and latency", ("deployment", "accuracy", "latency"), rows),
    )


def _size_chart(report: Report, models: Sequence[Deployed]) -> Chart:
    points: Points = []
    rows = []
    for one in models:
        if size := one.figure("file_bytes"):
            accuracy = 100 * one.figure("test_accuracy")
            points.append((one.entry, size / 1e6, accuracy, _label(report, one)))
            rows.append(Row((one.name, f"{accuracy:.1f}%", file_size(size)), one.entry.index))
    return _scatter(
        report,
        "accuracy_size",
        "accuracy against size",
        "Each point is a deployed model, by the size of what is on disk, on a logarithmic axis.",
        "size (MB)",
        points,
        Table("accuracy and size", ("deployment", "accuracy", "size"), rows),
    )


def _label(report: Report, one: Deployed) -> str:
    """Name a model where space is short: colour and shape tell frameworks apart that have one environment."""
    prefix = f"{one.case.environment} "
    plain = one.case.environment == one.case.framework and len(report.runs) == 1 and not report.by_recipe
    return one.name.removeprefix(prefix) if plain else one.name


def _scatter(
    report: Report, name: str, title: str, caption: str, axis: str, points: Points, table: Table
) -> Chart:
    labels = placed(_pixels(points), WIDTH, HEIGHT)
    values: Values = [
        {
            "case": entry.index,
            "at": short(at),
            "accuracy": short(accuracy),
            "text": label.text,
            "dx": label.dx,
            "dy": label.dy,
            "align": label.align,
        }
        for (entry, at, accuracy, _), label in zip(points, labels, strict=True)
    ]
    scales = {
        "x": {"type": "log", "nice": False, "padding": PADDING["x"]},
        "y": {"zero": False, "nice": False, "padding": PADDING["y"]},
    }
    x = {"field": "at", "type": "quantitative", "title": axis, "scale": scales["x"], "axis": {"tickCount": 8}}
    y = {"field": "accuracy", "type": "quantitative", "title": "test accuracy (%)", "scale": scales["y"]}
    moved = {"dx": {"expr": "datum.dx"}, "dy": {"expr": "datum.dy"}}
    wide = {"expr": f"width < {WIDTH} ? 0 : 1"}
    shown = [("label", "case"), ("accuracy", "accuracy (%)"), ("at", axis)]
    tooltip = [{"field": field, "title": told} for field, told in shown]
    lines: Spec = {
        "mark": {
            "type": "rule",
            "color": "#808080",
            "x2Offset": moved["dx"],
            "y2Offset": moved["dy"],
            "opacity": wide,
        },
        "transform": [{"filter": "datum.dy !== 0"}],
        "encoding": {"x": x, "y": y, "x2": {"field": "at"}, "y2": {"field": "accuracy"}},
    }
    marks: Spec = {
        "mark": {"type": "point", "filled": True, "opacity": 1, "size": 80},
        "encoding": {"x": x, "y": y, **looks_of(report), "tooltip": tooltip},
    }
    texts: Spec = {
        "mark": {
            "type": "text",
            "baseline": "middle",
            "align": {"expr": "datum.align"},
            "opacity": wide,
            **moved,
        },
        "encoding": {"x": x, "y": y, "text": {"field": "text"}},
    }
    return Chart(name, title, caption, {"height": HEIGHT, "layer": [lines, marks, texts]}, values, table)


def _pixels(points: Points) -> list[tuple[float, float, str]]:
    """Return where the points are drawn in the narrowest picture."""
    across = _places([log(at) for _, at, _, _ in points], WIDTH, PADDING["x"])
    down = _places([-accuracy for _, _, accuracy, _ in points], HEIGHT, PADDING["y"])
    return [(x, y, text) for x, y, (*_, text) in zip(across, down, points, strict=True)]


def _places(values: Sequence[float], length: float, padding: float) -> list[float]:
    """Return the pixels on an axis that fits the values."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    inner = length - 2 * padding
    return [padding + (value - low) / (high - low) * inner if high > low else length / 2 for value in values]
