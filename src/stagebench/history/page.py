"""The page of a history, which opens offline."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from statistics import median
from typing import Any

from stagebench.history.charts import Panels, probability
from stagebench.history.history import Found, History
from stagebench.report.formats import duration
from stagebench.report.html.parts import file, render
from stagebench.report.report import fixed
from stagebench.report.tables import words
from stagebench.results.run import in_order
from stagebench.statistics.change_points import FALSE_ALARMS, MINIMUM_SIDE, MINIMUM_VALUES
from stagebench.statistics.ratio import digits


def history_page(history: History) -> str:
    """Return the whole page: styles, scripts, plotting library and data are in it."""
    panels = Panels(history)
    axes = panels.axes
    return render(
        "history.html.jinja",
        panels.described(),
        {panel.name: panels.chart(panel) for panel in panels.all},
        package=__package__,
        history=history,
        panels=panels,
        stages=in_order([panel.stage for panel in panels.all]),
        moments=list(_moments(panels)),
        tested=sum(one.steps is not None for one in history.series),
        axes={axis: values for axis, values in axes.items() if len(values) > 1},
        fixed=fixed(axes),
        false_alarms=FALSE_ALARMS,
        minimum_side=MINIMUM_SIDE,
        minimum_values=MINIMUM_VALUES,
        history_script=file("history.js", __package__),
    )


def _moments(panels: Panels) -> Iterator[dict[str, Any]]:
    """Yield between which runs there are steps, what changed between these, and a sentence for each step."""
    panel_of = {id(one): panel.name for panel in panels.all for one in panel.series}
    for (after, before), found in groupby(panels.history.found, key=lambda one: one.between):
        new, old = panels.history.runs[after].facts, panels.history.runs[before].facts
        yield {
            "before": before,
            "after": after,
            "changes": [
                f"{name} {old.get(name, 'none')} to {new.get(name, 'none')}"
                for name in {**old, **new}
                if old.get(name) != new.get(name)
            ],
            "steps": [(panel_of[id(one.series)], *_sentence(one, panels)) for one in found],
        }


def _sentence(found: Found, panels: Panels) -> tuple[str, str]:
    """Return the settings of a step's series, and what changed in it by how much."""
    subject = found.series.subject
    old, new = (
        duration(median(point.result.median_seconds for point in points))
        for points in (found.before, found.after)
    )
    ratio = found.step.ratio
    versions = list(dict.fromkeys((found.before[-1].version, found.after[0].version)))
    who = f"{words(found.series.stage)}, {panels.label(subject.case)} {' to '.join(versions)}"
    change = f"{'slower' if ratio > 1 else 'faster'}, {digits(ratio)} times the time before"
    return panels.settings(subject), f"{who}: {change} ({old} to {new}; p = {probability(found.step.p)})"
