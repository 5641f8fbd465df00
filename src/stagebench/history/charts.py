"""The charts of a history: times over dates or versions, one chart for each group of cases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stagebench.case import Case
from stagebench.history.history import LONGEST, SHORTEST, History, Point, Series, Subject, version_order
from stagebench.report.chart_parts import Chart, Spec, Values, look
from stagebench.report.formats import duration, interval, short, unit_of
from stagebench.report.report import FILTERS, in_order_of_values, told
from stagebench.report.tables import Row, Table, words
from stagebench.statistics.change_points import ChangePoint
from stagebench.statistics.ratio import digits

DASHES = ([1, 0], [6, 3], [2, 3])
"""What tells cases of one framework apart, beside the framework's further marks."""
HEIGHT = 220

Places = dict[tuple[str, int], float]
"""Where on the x axis the run of this index is, with this version of the framework."""


@dataclass(frozen=True)
class Panel:
    """Series that share a chart: they could be compared in any of their runs."""

    name: str
    """Its place in the page."""
    stage: str
    series: Sequence[Series]


@dataclass(frozen=True)
class Panels:
    """A history as its page divides it."""

    history: History

    @cached_property
    def subjects(self) -> list[Subject]:
        """Every subject once: by their places here, charts and tables are filtered."""
        return list(dict.fromkeys(one.subject for one in self.history.series))

    @cached_property
    def axes(self) -> dict[str, list[Any]]:
        """The values of each axis in this history, in order."""
        return {
            axis: in_order_of_values(of[axis] for of in map(_axes, self.subjects))
            for axis in (_axes(self.subjects[0]) if self.subjects else ())
        }

    @cached_property
    def all(self) -> list[Panel]:
        groups: dict[tuple[str, ...], list[Series]] = {}
        for one in self.history.series:
            of, case = one.subject, one.subject.case
            framework = case.framework if self.history.axis == "version" else ""  # versions of one only
            groups.setdefault((case.group(one.stage), of.machine, of.workload, framework), []).append(one)
        return [Panel(f"{s[0].stage}-{n}", s[0].stage, s) for n, s in enumerate(groups.values(), start=1)]

    def described(self) -> list[dict[str, Any]]:
        """Return what charts and filters need to know of each subject."""
        by_name = [{axis.replace(" ", "_"): told(of) for axis, of in _axes(s).items()} for s in self.subjects]
        return [{**axes, "label": self.label(s.case)} for axes, s in zip(by_name, self.subjects, strict=True)]

    def label(self, case: Case) -> str:
        """Name a case within its group."""
        return case.label(by_recipe=len(self.axes["recipe"]) > 1)

    def settings(self, subject: Subject) -> str:
        """Name what the cases of a group share, machine and workload only where there are several."""
        several = [axis for axis in ("machine", "workload") if len(self.axes[axis]) > 1]
        framework = f"{subject.case.framework}, " if self.history.axis == "version" else ""
        settings = f"{framework}{subject.case.settings}"
        return "; ".join([settings, *(str(_axes(subject)[axis]) for axis in several)])

    def chart(self, panel: Panel) -> Chart:
        """Return the chart of some series with the same data as a table."""
        points = [point for one in panel.series for point in one.points]
        unit, scale = unit_of(point.result.median_seconds for point in points)
        places, axis = self._by_version(points) if self.history.axis == "version" else self._by_date(points)
        values: Values = []
        rows = []
        for one in panel.series:
            starts = {step.at: step for step in one.steps or ()}
            for number, point in enumerate(one.points):
                step = step_text(starts[number]) if number in starts else ""
                here, earlier = (places[p.version, p.saved] for p in (point, one.points[max(0, number - 1)]))
                at = {"x": here, "step_x": (earlier + here) / 2, "step": step}
                values.append({**at, **self._value(one.subject, point, scale)})
                rows.append(self._row(one.subject, point, step))
        columns = ("case", "date (UTC)", "version", "median", "95% interval", "step", "environment")
        title = self.settings(panel.series[0].subject)
        few = [self.label(one.subject.case) for one in panel.series if one.steps is None]
        return Chart(
            name=panel.name,
            title=title,
            caption=f"Too few points to look for steps: {'; '.join(few)}." if few else "",
            spec=self._spec(panel, axis, unit),
            values=values,
            table=Table(f"{words(panel.stage)}, {title}", columns, rows),
        )

    def _value(self, subject: Subject, point: Point, scale: float) -> dict[str, Any]:
        median = point.result.median_seconds
        low, high = point.result.interval
        if not SHORTEST < low <= high < LONGEST:  # rounds so far apart that there is no interval
            low = high = median
        figures = {"median": median, "low": low, "high": high}
        return {
            "case": self.subjects.index(subject),
            "date": self._date(point),
            "version": point.version,
            **{name: short(figure * scale) for name, figure in figures.items()},
            "file": self.history.runs[point.saved].path.name,
            "environment": f"#{anchor(point)}",
        }

    def _row(self, subject: Subject, point: Point, step: str) -> Row:
        times = (duration(point.result.median_seconds), interval(point.result))
        file = self.history.runs[point.saved].path.name
        cells = (self.label(subject.case), self._date(point), point.version, *times, step, file)
        return Row(cells, self.subjects.index(subject), anchor(point))

    def _date(self, point: Point) -> str:
        return f"{self.history.runs[point.saved].date:%Y-%m-%d %H:%M}"

    def _by_date(self, points: Sequence[Point]) -> tuple[Places, Spec]:
        dates = {point.saved: self.history.runs[point.saved].date for point in points}
        places = {(point.version, point.saved): 1000 * dates[point.saved].timestamp() for point in points}
        axis = {"tickCount": {"expr": "ceil(width / 90)"}, "grid": False}
        scale = {"type": "utc", "padding": 8}
        return places, {"type": "temporal", "scale": scale, "title": None, "axis": axis}

    def _by_version(self, points: Sequence[Point]) -> tuple[Places, Spec]:
        """Give each run a place, and each version its name at the first of them."""
        found = {(point.version, point.saved) for point in points}
        in_order = sorted(found, key=lambda one: (version_order(one[0]), one[1]))
        first: dict[str, int] = {}
        for place, (version, _) in enumerate(in_order):
            first.setdefault(version, place)
        label = f"{json.dumps(list(first))}[indexof({list(first.values())}, datum.value)]"
        axis = {"values": list(first.values()), "labelExpr": label}
        scale = {"nice": False, "zero": False, "padding": 12}
        places = {one: float(place) for place, one in enumerate(in_order)}
        return places, {"type": "quantitative", "scale": scale, "title": "version", "axis": axis}

    def _spec(self, panel: Panel, x: Spec, unit: str) -> Spec:
        scale = {"type": "log", "nice": False, "padding": 12}  # equal ratios are equally high
        y = {"type": "quantitative", "scale": scale, "title": f"time ({unit})"}
        looks = self._looks(panel)
        median = {"field": "median", **y}
        shown = {"label": "case", "date": "date (UTC)", "version": "version", "median": f"median ({unit})"}
        shown |= {"low": "95% from", "high": "to", "file": "environment"}
        step = {
            "transform": [{"filter": "datum.step !== ''"}],
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {
                "x": {"field": "step_x", **x},
                "tooltip": _tooltip({"label": "case", "step": "step"}),
            },
        }
        interval = {
            "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.4},
            "encoding": {"y": {"field": "low", **y}, "y2": {"field": "high"}},
        }
        line = {
            "mark": {"type": "line", "opacity": 0.7, "strokeWidth": 1.5},
            "encoding": {"y": median, "strokeDash": looks["strokeDash"]},
        }
        points = {
            "mark": {"type": "point", "filled": True, "opacity": 1, "size": 45},
            "encoding": {
                "y": median,
                "shape": looks["shape"],
                "href": {"field": "environment"},
                "tooltip": _tooltip(shown),
            },
        }
        steps = [step] if any(one.steps for one in panel.series) else []
        common = {"x": {"field": "x", **x}, "color": looks["color"]}
        return {"height": HEIGHT, "encoding": common, "layer": [*steps, interval, line, points]}

    def _looks(self, panel: Panel) -> dict[str, Spec]:
        """Return what tells series apart: colour and shape say the framework, dashes one case of it."""
        cases = sorted({one.subject.case: None for one in panel.series}, key=lambda case: case.framework)
        kinds = [case.framework for case in cases]
        nth = [kinds[:place].count(kind) for place, kind in enumerate(kinds)]
        colours, marks = zip(*map(look, kinds), strict=True)
        ranges = {
            "color": list(colours),
            "shape": [of[n % len(of)] for of, n in zip(marks, nth, strict=True)],
            "strokeDash": [DASHES[n % len(DASHES)] for n in nth],
        }
        field = {"field": "label", "type": "nominal", "title": None, "legend": {"symbolOpacity": 1}}
        domain = [self.label(case) for case in cases]
        scales = {channel: {"domain": domain, "range": of} for channel, of in ranges.items()}
        return {channel: {**field, "scale": scale} for channel, scale in scales.items()}


def anchor(point: Point) -> str:
    """Name the place in the page where a point's environment stands."""
    return f"environment-{point.saved + 1}"


def step_text(step: ChangePoint) -> str:
    """Write by how much the level changes, and how often chance does as much."""
    return f"x {digits(step.ratio)} (p = {probability(step.p)})"


def probability(p: float) -> str:
    """Write a probability of 0.00001 or more."""
    return f"{p:.5f}".rstrip("0")


def _axes(subject: Subject) -> dict[str, Any]:
    axes = {axis: value(subject.case) for axis, value in FILTERS.items()}
    return {**axes, "machine": subject.machine, "workload": subject.workload}


def _tooltip(fields: Mapping[str, str]) -> list[Spec]:
    return [{"field": field, "title": title} for field, title in fields.items()]
