"""The charts of a report: of every stage, of the whole pipeline, and of what scales how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from stagebench.article.write_up import write_up_charts
from stagebench.report import tables
from stagebench.report.chart_parts import (
    ON_TOP,
    ROW_HEIGHT,
    Chart,
    Spec,
    Values,
    case_axis,
    looks_of,
    tooltip,
    two_lines,
)
from stagebench.report.deployment_charts import deployment_charts
from stagebench.report.formats import short, unit_of
from stagebench.report.overview import overview_chart
from stagebench.report.report import FILTERS, Report
from stagebench.report.tables import Table, words
from stagebench.stages import PIPELINE, STAGES

COMPUTING, WAITING = "training: computing", "training: waiting for data"
PARTS: dict[str, str] = {
    part: colour
    for name in PIPELINE
    for part, colour in (
        ((COMPUTING, STAGES[name].colour), (WAITING, "#f6c48c"), (words(name), STAGES[name].colour))
        if name == "training"
        else ((words(name), STAGES[name].colour),)
    )
}
"""What a bar is stacked from, with its colours, in order."""
SCALED = tuple(name for name in PIPELINE if "loads_data" in STAGES[name].traits)
"""Stages whose throughput in images a second can be said."""
WIDE_RANGE = 8
"""Times that are further apart than this factor stand on a logarithmic axis."""
ROUNDS_IN_ALL = 60_000
"""Rounds that a report holds. 500 cases of six stages have 45,000, at three processes with five rounds."""


def charts(report: Report) -> list[Chart]:
    """Return every chart for which the report has data."""
    shown = _rounds_shown(report)
    found = [overview_chart(report), *(_stage_chart(report, stage, shown) for stage in report.stages)]
    found += [_pipeline_chart(report, moment) for moment in ("steady", "cold")]
    found += [_wait_chart(report), _peak_chart(report)]
    found += [_scaling_chart(report, stage, axis) for axis in ("batch size", "workers") for stage in SCALED]
    found += [
        _epoch_chart(report, *of) for of in (("loss", "epoch_losses"), ("accuracy", "epoch_accuracies"))
    ]
    found += [*deployment_charts(report), *write_up_charts(report)]
    return [chart for chart in found if chart.values]


def _stage_chart(report: Report, stage: str, shown: int) -> Chart:
    found = list(report.results(stage))
    unit, scale = unit_of(result.median_seconds for _, result, _ in found)
    seconds = [s for _, result, _ in found for process in result.rounds for s in process]
    axis = {"title": f"time ({unit}); left is faster", "axis": ON_TOP, "scale": _time_scale(seconds)}
    order = {"field": "rank", "op": "min"}
    y = {"field": "label", "type": "nominal", "sort": order, "title": None, "axis": two_lines()}

    def x(name: str) -> Spec:
        return {"field": name, "type": "quantitative", **axis}

    interval = {
        "mark": {"type": "rule", "strokeWidth": 9, "color": "#808080", "opacity": 0.4},
        "encoding": {"x": x("low"), "x2": {"field": "high"}, "y": y},
    }
    rounds = {
        "transform": [{"flatten": ["rounds"]}, {"flatten": ["rounds"]}],  # by process
        "mark": {"type": "point", "filled": True, "opacity": 0.8, "size": 50},
        "encoding": {"x": x("rounds"), "y": y, **looks_of(report), "tooltip": tooltip(x("rounds"), unit)},
    }
    median = {
        "mark": {"type": "tick", "thickness": 2, "size": 22},
        "encoding": {"x": x("median"), "y": y, "tooltip": tooltip(x("median"), unit, "median")},
    }
    values = []
    for rank, (entry, result, _) in enumerate(sorted(found, key=lambda row: row[1].median_seconds)):
        low, high = result.interval
        figures = {"median": result.median_seconds, "low": low, "high": high}
        scaled = {name: short(figure * scale) for name, figure in figures.items()}
        drawn = [[short(s * scale) for s in _evenly(process, shown)] for process in result.rounds]
        values.append({"case": entry.index, "rank": rank, **scaled, "rounds": drawn})
    caption = "Each point is a round, the upright line the median, the bar its 95% interval."
    if any(len(process) > shown for _, result, _ in found for process in result.rounds):
        caption += (
            f" Of a process's rounds, {shown} are shown: every so many in order of time, first and last"
        )
        caption += " included. Median and interval are of all."
    return Chart(
        name=stage,
        title=f"{words(stage)}: time of every round ({unit})",
        caption=caption,
        spec={"height": {"step": ROW_HEIGHT}, "layer": [interval, rounds, median]},
        values=values,
        table=_rounds_table(values, report, unit),
        rows_of_cases=True,
    )


def _rounds_shown(report: Report) -> int:
    """Return of how many rounds of a process a report stays small enough to open and to filter."""
    results = [result for stage in report.stages for _, result, _ in report.results(stage)]
    lengths = [len(process) for result in results for process in result.rounds]
    shown = max(lengths, default=0)
    while shown > 2 and sum(min(length, shown) for length in lengths) > ROUNDS_IN_ALL:
        shown = shown * 3 // 4
    return shown


def _evenly(process: Sequence[float], count: int) -> Sequence[float]:
    """Return so many of a process's rounds, from the shortest to the longest, or all of them."""
    if len(process) <= count:
        return process
    return list(map(float, np.quantile(process, np.linspace(0, 1, count), method="nearest")))


def _rounds_table(values: Values, report: Report, unit: str) -> Table:
    rows = []
    for value in values:
        processes = (f"[{' '.join(f'{s:g}' for s in process)}]" for process in value["rounds"])
        rows.append(tables.Row((report.entries[value["case"]].label, " ".join(processes)), value["case"]))
    return Table("every round", ("case", f"rounds ({unit}), in [] those of a process"), rows)


def _pipeline_chart(report: Report, moment: str) -> Chart:
    values: Values = []
    for entry, results in tables.pipeline_results(report):
        for stage, result in results.items():
            seconds = result.median_seconds if moment == "steady" else result.cold_seconds
            waits = result.info.data_wait_fraction if moment == "steady" else None
            parts = {words(stage): 1.0}
            if waits is not None:
                parts = {COMPUTING: 1 - waits, WAITING: waits}
            for part, of in parts.items():
                at = list(PARTS).index(part)
                values.append({"case": entry.index, "part": part, "at": at, "seconds": short(seconds * of)})
    total: Counter[int] = Counter()
    for value in values:
        total[value["case"]] += value["seconds"]
    values.sort(key=lambda value: total[value["case"]])
    shown = [part for part in PARTS if any(value["part"] == part for value in values)]
    scale = {"domain": shown, "range": [PARTS[part] for part in shown]}
    colour = {"field": "part", "type": "nominal", "scale": scale, "title": None}
    spec = {
        "height": {"step": ROW_HEIGHT},
        "mark": {"type": "bar", "stroke": "#808080", "strokeWidth": 0.5, "height": {"band": 0.65}},
        "encoding": {
            "y": {**case_axis(), "sort": {"field": "seconds", "op": "sum"}},
            "x": {
                "field": "seconds",
                "type": "quantitative",
                "title": "time (s)",
                "axis": ON_TOP,
                "stack": "zero",
            },
            "color": colour,
            "order": {"field": "at", "type": "quantitative"},
            "tooltip": [{"field": "label"}, {"field": "part"}, {"field": "seconds", "title": "seconds"}],
        },
    }
    first = "first executions in fresh processes" if moment == "cold" else "medians of the rounds"
    caption = f"Stages are stacked in the order of the legend: {first}. Training loads its data itself."
    title = f"the whole pipeline, {moment} (s)"
    table = tables.pipeline_table(report, moment)
    return Chart(f"pipeline_{moment}", title, caption, spec, values, table, rows_of_cases=True)


def _wait_chart(report: Report) -> Chart:
    values = [
        {"case": entry.index, "waits": short(100 * fraction)}
        for entry, result, _ in report.results("training")
        if (fraction := result.info.data_wait_fraction) is not None
    ]
    values.sort(key=lambda value: value["waits"])
    title = "waiting for batches (% of the time)"
    x = {"field": "waits", "type": "quantitative", "title": title, "axis": ON_TOP}
    mark = {"type": "point", "filled": True, "opacity": 1, "size": 80}
    y = {**case_axis(), "sort": {"field": "waits", "op": "min"}}
    encoding = {"y": y, "x": x, **looks_of(report), "tooltip": tooltip(x, "%")}
    caption = "Share of a training epoch in which the training loop waits for its next batch."
    spec = {"height": {"step": ROW_HEIGHT}, "mark": mark, "encoding": encoding}
    table = tables.wait_table(report)
    return Chart("data_wait", "where training waits for data (%)", caption, spec, values, table, True)


def _peak_chart(report: Report) -> Chart:
    values = [
        {"case": entry.index, "stage": words(stage), "reached": short(100 * result.peak_fraction)}
        for entry, results in tables.pipeline_results(report)
        for stage, result in results.items()
        if result.peak_fraction
    ]
    for value in values:
        value["text"] = f"{value['reached']:.2g}%"
    stages = {
        "sort": [words(stage) for stage in PIPELINE],
        "axis": {"orient": "top", "labelAngle": -50, "labelOverlap": False},
    }
    scale = {"type": "log", "range": ["#eaf3fb", "#79b0e0"]}  # black text stands out on both
    x = {"field": "stage", "type": "nominal", "title": None, **stages}
    fill = {"field": "reached", "type": "quantitative", "scale": scale, "legend": None}
    position = {"x": x, "y": {**case_axis(), "sort": None}}
    layer = [
        {"mark": {"type": "rect", "stroke": "#808080"}, "encoding": {**position, "color": fill}},
        {"mark": {"type": "text", "color": "#111111"}, "encoding": {**position, "text": {"field": "text"}}},
    ]
    return Chart(
        "peak",
        "% of the machine's peak",
        "100% is what this machine could do at best, as measured beside the rounds.",
        {"height": {"step": ROW_HEIGHT}, "layer": layer},
        values,
        tables.peak_table(report),
        rows_of_cases=True,
    )


def _scaling_chart(report: Report, stage: str, axis: str) -> Chart:
    field_name = axis.replace(" ", "_")
    order = [str(value) for value in report.varying[axis]]
    values = []
    for entry, result, _ in report.results(stage):
        if not result.images_per_second:
            continue
        low, high = result.images_per_second_interval or (result.images_per_second,) * 2
        figures = {"images": result.images_per_second, "low": low, "high": high}
        line = "/".join(str(value(entry.case)) for name, value in FILTERS.items() if name != axis)
        at = {"case": entry.index, "line": f"{line}/{entry.run}"}
        values.append({**at, **{name: short(figure) for name, figure in figures.items()}})
    if len({value["line"] for value in values}) == len(values):
        values = []  # nothing was measured at two places of the axis
    x = {"field": field_name, "type": "ordinal", "sort": order, "title": axis, "axis": {"labelAngle": 0}}
    y = {"field": "images", "type": "quantitative", "title": "images/s", "scale": {"zero": True}}
    dash = {"field": "cache", "type": "nominal", "title": "cache", "sort": ["on", "off"]}
    common = {"x": x, "detail": {"field": "line"}}
    framework = looks_of(report)
    layer = [
        {"mark": "line", "encoding": {**common, "y": y, "color": framework["color"], "strokeDash": dash}},
        {"mark": {"type": "rule", "color": "#808080"}, "encoding": {**common, "y": {**y, "field": "low"},
                                                                  "y2": {"field": "high"}}},
        {
            "mark": {"type": "point", "filled": True, "opacity": 1, "size": 60},
            "encoding": {**common, "y": y, **framework, "tooltip": tooltip(y, "images/s")},
        },
    ]  # fmt: skip
    caption = (
        "Bars are 95% intervals. Settings were measured one after the other, cases of a group interleaved."
    )
    if axis == "workers":
        caption += " auto: the framework sizes its own threads."
    spec = {"height": 240, "layer": layer}
    title = f"{words(stage)}: images/s over {axis}"
    table = tables.scaling_table(report, [stage])
    return Chart(f"scaling_{stage}_{field_name}", title, caption, spec, values, table)


def _epoch_chart(report: Report, figure: str, figures: str) -> Chart:
    values = [
        {"case": entry.index, "epoch": number, figure: short(value)}
        for entry, result, _ in report.results("training")
        for number, value in enumerate(getattr(result.info, figures) or [], start=1)
    ]
    x = {"field": "epoch", "type": "ordinal", "axis": {"labelAngle": 0, "labelOverlap": True}}
    y = {"field": figure, "type": "quantitative", "title": f"training {figure}", "scale": {"zero": False}}
    if figure == "accuracy":
        y["axis"] = {"format": ".1%"}
    common = {"x": x, "y": y}
    points = {**common, **looks_of(report), "tooltip": tooltip(y, "")}
    layer = [
        {
            "mark": {"type": "line", "opacity": 0.6},
            "encoding": {**common, "detail": {"field": "case"}, "color": points["color"]},
        },
        {"mark": {"type": "point", "filled": True, "opacity": 0.7, "size": 45}, "encoding": points},
    ]
    caption = "As the framework reports it after each epoch of its first training, and of one more."
    spec = {"height": 240, "layer": layer}
    title = f"training {figure} over epochs"
    return Chart(f"epoch_{figure}", title, caption, spec, values, tables.epoch_table(report))


def _time_scale(seconds: Sequence[float]) -> Spec:
    if max(seconds, default=1) > WIDE_RANGE * min(seconds, default=1):
        return {"type": "log", "nice": False, "padding": 8}
    return {"zero": False, "padding": 8}
