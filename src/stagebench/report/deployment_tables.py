"""From trained to deployed: what became of a model's size, its accuracy and its speed, as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stagebench.case import Case
from stagebench.report.formats import duration
from stagebench.report.report import Entry, Report
from stagebench.report.tables import Row, Table
from stagebench.results.result import Result
from stagebench.stages import DEPLOYMENT

STEPS = ("calibration", "training", "conversion")
"""Of quantization, in their order."""
PERCENTILES = ("median", "p95", "p99")


@dataclass(frozen=True)
class Deployed:
    """A trained model in one of the forms in which it is used, at all batch sizes that were measured."""

    name: str
    """What tells it apart from all others in the report."""
    entries: Sequence[Entry]
    """One for each batch size, the smallest first."""
    results: Mapping[tuple[str, int], Result]
    """By stage and batch size."""

    @property
    def entry(self) -> Entry:
        """That of the largest batch size."""
        return self.entries[-1]

    @property
    def case(self) -> Case:
        """Of the largest batch size."""
        return self.entry.case

    @property
    def inference(self) -> dict[int, Result]:
        """By batch size, the smallest first."""
        found = {batch: result for (stage, batch), result in self.results.items() if stage == "inference"}
        return dict(sorted(found.items()))

    def figure(self, key: str) -> Any:
        """Return a figure of the model, or None."""
        return figure(self.results.values(), key)


def figure(results: Iterable[Result], key: str) -> Any:
    """Return a figure of one model from its results at any stage, the largest batch first; or None."""
    in_order = sorted(results, key=lambda result: (result.stage != "inference", -result.case.batch_size))
    return next((value for result in in_order if (value := getattr(result.info, key)) is not None), None)


def deployed(report: Report) -> list[Deployed]:
    """Return every deployed model, those of a framework next to each other."""
    found: dict[tuple[int, Case], dict[tuple[str, int], tuple[Entry, Result]]] = {}
    for stage in reversed(DEPLOYMENT):  # at inference are all of them
        for entry, result, _ in report.results(stage):
            key = entry.run, replace(entry.case, batch_size=1)
            found.setdefault(key, {})[stage, entry.case.batch_size] = entry, result
    models = []
    for both in found.values():
        entries = {batch: entry for (_, batch), (entry, _) in both.items()}
        in_order = [entries[batch] for batch in sorted(entries)]
        results = {key: result for key, (_, result) in both.items()}
        models.append(Deployed(_name(report, in_order[-1]), in_order, results))
    frameworks = list(dict.fromkeys((one.entry.run, one.case.environment) for one in models))
    return sorted(models, key=lambda one: frameworks.index((one.entry.run, one.case.environment)))


def _name(report: Report, entry: Entry) -> str:
    """Name a model by all but its batch size."""
    settings = report.settings(entry.run, entry.case, but="batch size")
    return f"{entry.name} ({settings})" if settings else entry.name


def latency(result: Result) -> dict[str, float]:
    """Return the seconds of one call of a deployed model: median, and percentiles where they are known."""
    known = dict(result.info.latency or {})
    if "median" not in known and result.images:
        known["median"] = result.median_seconds * result.case.batch_size / result.images
    return known


def file_size(count: float) -> str:
    """Write a number of bytes with three digits."""
    if count < 1e3:
        return f"{count:,.0f} B"
    value, unit = (count / 1e6, "MB") if count >= 1e6 else (count / 1e3, "kB")
    places = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{places}f} {unit}"


def difference(value: float) -> str:
    """Write a difference of logits: what counts of it is its magnitude."""
    return f"{value:.2g}"


def points(share: float) -> str:
    """Write a difference of shares in percentage points."""
    return f"{100 * share:+.1f} pt".replace("-0.0", "+0.0")


def quality(info: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Write size, accuracy, agreement and largest difference of a model; nothing of what is not known."""
    patterns = {
        "file_bytes": file_size,
        "test_accuracy": "{:.1%}".format,
        "agreement": "{:.1%}".format,
        "logit_difference": difference,
    }
    size, accuracy, agreement, apart = (
        pattern(value) if (value := info.get(key)) is not None else "" for key, pattern in patterns.items()
    )
    return size, accuracy, agreement, apart


def deployment_table(models: Sequence[Deployed]) -> Table:
    """Every deployed model: what it is like, and how fast at each batch size."""
    batches = _batches(models)
    largest = batches[-1:]
    columns = [
        "deployment",
        "size",
        "accuracy",
        "to float32",
        "same answers",
        "max logit difference",
        "int8 layers",
        *(f"latency, batch {batch}" for batch in batches),
        *(f"images/s, batch {batch}" for batch in largest),
        "peak",
    ]
    rows = []
    for one in models:
        info = {key: one.figure(key) for key in QUALITY}
        size, accuracy, agreement, apart = quality(info)
        known = info["test_accuracy"] is not None and info["float32_accuracy"] is not None
        lost = points(info["test_accuracy"] - info["float32_accuracy"]) if known else ""
        layers = "" if info["integer_layers"] is None else str(info["integer_layers"])
        times = [
            duration(seconds)
            if (result := one.inference.get(batch)) and (seconds := latency(result).get("median"))
            else ""
            for batch in batches
        ]
        rates = [_rate(one.inference.get(batch)) for batch in largest]
        peak = max(result.info.peak_rss_bytes for result in one.results.values())
        cells = (one.name, size, accuracy, lost, agreement, apart, layers, *times, *rates)
        rows.append(_row(one, (*cells, f"{peak / 2**20:,.0f} MiB")))
    note = (
        "to float32: accuracy minus that of the framework's own float32 model, which same answers and max "
        "logit difference refer to as well, over the test images. int8 layers: convolutions and dense layers "
        "that multiply integers. latency: median of single calls of one batch each."
    )
    return without_empty(Table("every deployed case", tuple(columns), rows, note))


QUALITY = (
    "file_bytes",
    "test_accuracy",
    "float32_accuracy",
    "agreement",
    "logit_difference",
    "integer_layers",
)


def _batches(models: Iterable[Deployed]) -> list[int]:
    return sorted({batch for one in models for batch in one.inference})


def _rate(result: Result | None) -> str:
    return f"{result.images_per_second:,.0f}" if result and result.images_per_second else ""


def _row(one: Deployed, cells: tuple[str, ...]) -> Row:
    """Return a row that is shown as long as one of the model's cases is."""
    return Row(cells, one.entry.index, others=tuple(entry.index for entry in one.entries[:-1]))


def without_empty(table: Table) -> Table:
    """Leave out the columns in which nothing stands."""
    kept = [at for at in range(len(table.columns)) if any(row.cells[at] for row in table.rows)]
    rows = [replace(row, cells=tuple(row.cells[at] for at in kept)) for row in table.rows]
    return replace(table, columns=tuple(table.columns[at] for at in kept), rows=rows)


def latency_table(models: Sequence[Deployed]) -> Table:
    """How long single calls take: the typical one, and the slow ones."""
    rows = []
    for batch in _batches(models):
        for one in models:
            if (result := one.inference.get(batch)) and (known := latency(result)):
                times = (duration(known[p]) if p in known else "" for p in PERCENTILES)
                entry = next(entry for entry in one.entries if entry.case.batch_size == batch)
                rows.append(Row((one.name, str(batch), *times, _rate(result)), entry.index))
    columns = ("deployment", "batch size", *PERCENTILES, "images/s")
    return without_empty(Table("latency of single calls", columns, rows))


def steps_table(models: Sequence[Deployed]) -> Table:
    """What the steps of quantization take, and training for it beside ordinary training."""
    rows = []
    for one in models:
        steps = one.figure("step_seconds") or {}
        if known := {step: seconds for step in STEPS if (seconds := steps.get(step)) is not None}:
            cells = (duration(known[step]) if step in known else "" for step in STEPS)
            ordinary = one.figure("float32_training_seconds")
            added = added_training(one)
            more = (duration(ordinary) if ordinary else "", f"{added:+.0%}" if added is not None else "")
            rows.append(_row(one, (one.name, *cells, *more)))
    columns = ("deployment", *STEPS, "an ordinary epoch", "added")
    note = (
        "training: one quantization-aware epoch; added: by how much it takes longer than an ordinary one. "
        "conversion: all that is no other step, writing the file included."
    )
    return without_empty(Table("steps of quantization", columns, rows, note))


def added_training(one: Deployed) -> float | None:
    """Return by which share an epoch of quantization-aware training takes longer than an ordinary one."""
    training = (one.figure("step_seconds") or {}).get("training")
    ordinary = one.figure("float32_training_seconds")
    return training / ordinary - 1 if training and ordinary else None


def compact_rows(results: Iterable[Result], name_of: Callable[[Case], str]) -> Iterator[tuple[str, ...]]:
    """Yield what a terminal shows of each deployed model of one setting: name, quality, latency, images/s."""
    of_case: dict[Case, list[Result]] = {}
    for result in sorted(results, key=lambda result: result.stage != "inference"):
        if result.stage in DEPLOYMENT:
            of_case.setdefault(result.case, []).append(result)
    for case, found in of_case.items():
        info = {key: figure(found, key) for key in QUALITY}
        inference = next((result for result in found if result.stage == "inference"), None)
        known = latency(inference) if inference else {}
        times = (duration(known[p]) if p in known else "" for p in PERCENTILES)
        yield (f"  {name_of(case)}", *quality(info), *times, _rate(inference))
