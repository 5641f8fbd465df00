"""The write-up on quantization, drawn again from a run, with the figures that it published beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from stagebench.article.published_results import published_quantization
from stagebench.case import Case
from stagebench.frameworks import FRAMEWORKS
from stagebench.report.chart_parts import Chart, Spec, Values, look
from stagebench.report.deployment_tables import (
    Deployed,
    added_training,
    deployed,
    file_size,
    latency,
    points,
    without_empty,
)
from stagebench.report.formats import duration, short
from stagebench.report.report import Report
from stagebench.report.tables import Row, Table

KINDS = {"none": "baseline", "ptq": "PTQ", "qat": "QAT"}
"""What the write-up calls what `quantize` can be."""
BASELINE = KINDS["none"]
TITLE = "the quantization write-up"
NOTE = (
    "Published: ResNet18 without BatchNorm on CIFAR-10, "
    "https://github.com/abhilad1009/Pytorch_vs_Tensorflow and its paper. Here model and data are others: "
    "levels are not comparable, only the change from a baseline is, and QAT has trained for an epoch more "
    "than its baseline. The two published baselines were not the same computation, so that the two "
    "frameworks cannot be compared by them."
)
BESIDE = (
    "Published, of another model and other data: not the levels, only the changes are comparable. The two "
    "baselines were not the same computation."
)
BAR_HEIGHT = 30
ROOM = 1.9
"""Length of the x axis, of that of the longest bar: for what is written beside it."""


@dataclass(frozen=True)
class Figure:
    """Something that the write-up says of its models."""

    title: str
    unit: str
    scale: float
    """From the value to the unit of the axis."""
    value: Callable[[Deployed], float | None]
    level: Callable[[float], str]
    change: Callable[[float, float], str]
    """From a baseline and another model's value."""


def _relative(baseline: float, value: float) -> str:
    return f"{value / baseline - 1:+.0%}" if baseline else ""


def _latency(one: Deployed) -> float | None:
    """Return the seconds of a call at the smallest batch size."""
    results = list(one.inference.values())
    return latency(results[0]).get("median") if results else None


def _calibration(one: Deployed) -> float | None:
    return (one.figure("step_seconds") or {}).get("calibration") if one.case.quantize == "ptq" else None


FIGURES: Mapping[str, Figure] = {
    "accuracy": Figure(
        "accuracy",
        "%",
        100,
        lambda one: one.figure("test_accuracy"),
        "{:.1%}".format,
        lambda baseline, value: points(value - baseline),
    ),
    "latency_seconds": Figure("inference time of a call", "ms", 1e3, _latency, duration, _relative),
    "file_bytes": Figure(
        "model size", "MB", 1e-6, lambda one: one.figure("file_bytes"), file_size, _relative
    ),
    "added_training": Figure(
        "QAT: training time added", "%", 100, added_training, "{:+.0%}".format, lambda *_: ""
    ),
    "calibration_seconds": Figure("PTQ: calibration", "s", 1, _calibration, duration, lambda *_: ""),
}
"""By their names in `published_quantization.csv`."""
DRAWN = (("accuracy",), ("latency_seconds",), ("file_bytes", "added_training"))
"""The three pictures of the write-up."""


@dataclass(frozen=True)
class Side:
    """What a framework has of the write-up's models, all in one form."""

    name: str
    framework: str
    form: str
    models: Mapping[str, Deployed]
    """By what the write-up calls them; the baseline is one of them."""


@dataclass(frozen=True)
class Bar:
    """One model's figure."""

    side: Side
    model: str
    value: float
    text: str
    """The figure, and what it changed by from the baseline."""

    @property
    def entry(self) -> int:
        """Index of the same model's case here, or of the baseline where there is none."""
        return self.side.models.get(self.model, self.side.models[BASELINE]).entry.index


def sides(report: Report) -> list[Side]:
    """Return each framework's form on the CPU that has most of the write-up's models, if it has int8."""
    forms: dict[tuple[int, Case], dict[str, dict[str, Deployed]]] = {}
    for one in deployed(report):
        case = one.case
        if case == replace(case.default_computation, device="cpu") and case.quantize in KINDS:
            side = replace(case, batch_size=1, deploy="", quantize="none")
            of_side = forms.setdefault((one.entry.run, side), {})
            of_side.setdefault(case.deploy, {})[KINDS[case.quantize]] = one
    found = []
    for (run, side), of_side in forms.items():
        whole = {form: models for form, models in of_side.items() if BASELINE in models and len(models) > 1}
        if whole:
            form = max(whole, key=lambda form: len(whole[form]))
            parts = [side.environment, *([side.recipe] if report.by_recipe else [])]
            parts += side.settings_of({"network"})
            parts += [f"(run {run + 1})"] if len(report.runs) > 1 else []
            models = {model: whole[form][model] for model in KINDS.values() if model in whole[form]}
            found.append(Side(" ".join(parts), side.framework, form, models))
    return found


def measured(side: Side, figure: Figure) -> list[Bar]:
    """Return what this run says."""
    values = {model: figure.value(one) for model, one in side.models.items()}
    known = {model: value for model, value in values.items() if value is not None}
    baseline = known.get(BASELINE)
    return [
        Bar(side, model, value, _told(figure, figure.level(value), model, value, baseline))
        for model, value in known.items()
    ]


def published(side: Side, name: str) -> list[Bar]:
    """Return what was published of the same framework."""
    figure = FIGURES[name]
    rows = [row for row in published_quantization() if (row.framework, row.figure) == (side.framework, name)]
    baseline = next((row.value for row in rows if row.model == BASELINE), None)
    bars = []
    for row in rows:
        model = KINDS.get(row.model, row.model)
        level = ("about " if row.about else "") + figure.level(row.value).replace(".0 ", " ")
        bars.append(Bar(side, model, row.value, _told(figure, level, model, row.value, baseline)))
    return bars


def _told(figure: Figure, level: str, model: str, value: float, baseline: float | None) -> str:
    """Write a level and its change."""
    changed = baseline is not None and model != BASELINE
    change = figure.change(baseline, value) if changed and baseline is not None else ""
    return f"{level} ({change})" if change else level


def write_up_table(report: Report, names: Sequence[str] = tuple(FIGURES)) -> Table:
    """What the write-up says of each framework's models, here and as it was published."""
    rows = []
    for name in names:
        figure = FIGURES[name]
        for side in sides(report):
            if here := measured(side, figure):
                cells = (f"{figure.title}, {side.name} by {side.form}", _list(here))
                rows.append(Row((*cells, _list(published(side, name))), here[0].entry))
    note = NOTE if any(row.cells[-1] for row in rows) else ""
    return without_empty(Table(TITLE, ("", "here", "published"), rows, note))


def _list(bars: Sequence[Bar]) -> str:
    """Write figures one after the other, each with its model unless it is the only one."""
    return "; ".join(f"{bar.model} {bar.text}" if len(bars) > 1 else bar.text for bar in bars)


def write_up_charts(report: Report) -> list[Chart]:
    """Return the charts of the write-up, each of this run followed by that of the published figures."""
    found = sides(report)
    return [
        chart
        for names in DRAWN
        for table in [write_up_table(report, names)]
        for name in names
        for chart in _charts(name, found, table)
    ]


def chart_names() -> list[list[str]]:
    """Return the charts of each of the write-up's pictures."""
    return [[_name(name, of) for name in names for of in (False, True)] for names in DRAWN]


def _name(figure: str, of_published: bool = False) -> str:
    return f"write_up_{figure}{'_published' if of_published else ''}"


def _charts(name: str, found: Sequence[Side], table: Table) -> Iterator[Chart]:
    figure = FIGURES[name]
    here = [bar for side in found for bar in measured(side, figure)]
    there = [bar for side in found for bar in published(side, name)]
    forms = ", ".join(f"{side.name} by {side.form}" for side in found)
    batch = ""
    if name == "latency_seconds" and here:
        batch = f", batch {min(here[0].side.models[BASELINE].inference)}"
    if here:
        title = f"{figure.title}{batch}: here ({figure.unit})"
        yield _chart(_name(name), title, f"This run: {forms}.", figure, here, table)
    if here and there:
        title = f"{figure.title}: published ({figure.unit})"
        yield _chart(_name(name, True), title, BESIDE, figure, there, table)


def _chart(name: str, title: str, caption: str, figure: Figure, bars: Sequence[Bar], table: Table) -> Chart:
    values: Values = [
        {
            "case": bar.entry,
            "label": f"{bar.side.name} {bar.model}",
            "value": short(figure.scale * bar.value),
            "text": bar.text,
        }
        for bar in bars
    ]
    largest, smallest = max(bar["value"] for bar in values), min(bar["value"] for bar in values)
    domain = [min(0.0, smallest), ROOM * max(largest, 0.0) or 1.0]
    x = {
        "field": "value",
        "type": "quantitative",
        "title": f"{figure.title} ({figure.unit})",
        "scale": {"domain": domain, "nice": False},
        "axis": {"tickCount": 8, "labelExpr": f"datum.value <= {1.05 * max(largest, 0)} ? datum.label : ''"},
    }
    y = {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": {"ticks": False}}
    colour = {
        "field": "kind",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": list(FRAMEWORKS), "range": [look(name)[0] for name in FRAMEWORKS]},
    }
    bar: Spec = {
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {"x": x, "y": y, "color": colour, "tooltip": [{"field": "label"}, {"field": "text"}]},
    }
    text: Spec = {
        "mark": {"type": "text", "align": "left", "dx": 6, "baseline": "middle"},
        "encoding": {"x": x, "y": y, "text": {"field": "text"}},
    }
    return Chart(name, title, caption, {"height": {"step": BAR_HEIGHT}, "layer": [bar, text]}, values, table)
