"""The tables of a report, in plain text: Markdown and HTML write the same ones."""

from __future__ import annotations

import base64
import io
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import PIL.Image

from stagebench.case import Case
from stagebench.report.formats import duration, interval, relative, share, verdict_word
from stagebench.report.report import Entry, Report
from stagebench.results.info import Layer
from stagebench.results.result import Result
from stagebench.results.run import Run
from stagebench.stages import PIPELINE, STAGES
from stagebench.statistics.group import Group

NUMERIC = frozenset("0123456789-+")
A_LIST = 5
"""Spaces that no single figure has: `47.4 ms to 52.5 ms` has four."""


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    cells: tuple[str, ...]
    entry: int | None = None
    """Index of the case that it is about, by which it is filtered."""
    target: str = ""
    """Where in the page its last cell leads."""
    others: tuple[int, ...] = ()
    """Further cases that it is about: it is shown as long as one of them is."""


@dataclass(frozen=True)
class Table:
    """Rows under a header."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Row]
    note: str = ""

    @cached_property
    def numeric(self) -> list[bool]:
        """Of each column, whether it holds figures, which stand to the right, and not lists of them."""
        return [
            all(
                row.cells[column][:1] in NUMERIC and row.cells[column].count(" ") < A_LIST
                for row in self.rows
                if row.cells[column]
            )
            for column in range(len(self.columns))
        ]


def words(stage: str) -> str:
    """Write a stage's name as text."""
    return stage.replace("_", " ")


def stage_table(report: Report, stage: str) -> Table:
    """Every case of a stage: times, interval, ratio and verdict."""
    columns = ["case", "median", "95% interval", "rounds", "cold", "images/s", "% of peak", "memory"]
    rows = []
    for entry, result, group in report.results(stage):
        verdict = group.verdicts[result.case]
        cells = [
            duration(result.median_seconds),
            interval(result),
            _rounds(result),
            duration(result.cold_seconds),
            f"{result.images_per_second:,.0f}" if result.images_per_second else "",
            share(result.peak_fraction) if result.peak_fraction else "",
            f"{result.info.peak_rss_bytes / 2**20:,.0f} MiB",
        ]
        judged = verdict_word(verdict.word) if verdict else ""
        rows.append(Row((entry.label, *cells, relative(result, group), judged), entry.index))
    return Table(words(stage), (*columns, "x fastest of its group (95%)", "verdict"), rows)


def _rounds(result: Result) -> str:
    counts = sorted({len(process) for process in result.rounds})
    rounds = "-".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    return f"{len(result.rounds)} x {rounds}"


def pipeline_table(report: Report, moment: str) -> Table:
    """The `steady` or the `cold` execution of every stage of every case, and their sums."""
    rows = []
    for entry, results in pipeline_results(report):
        seconds = {
            stage: result.median_seconds if moment == "steady" else result.cold_seconds
            for stage, result in results.items()
        }
        cells = (duration(seconds[stage]) if stage in seconds else "" for stage in PIPELINE)
        whole = duration(sum(seconds.values())) if len(seconds) == len(PIPELINE) else ""
        rows.append(Row((entry.label, *cells, whole), entry.index))
    return Table(f"the whole pipeline, {moment}", ("case", *map(words, PIPELINE), "all stages"), rows)


def wait_table(report: Report) -> Table:
    """How much of training every case waits for batches."""
    rows = [
        Row((entry.label, share(fraction) if fraction else "0%"), entry.index)
        for entry, result, _ in report.results("training")
        if (fraction := result.info.data_wait_fraction) is not None
    ]
    return Table("where training waits for data", ("case", "share of the time"), rows)


def transfer_sentences(group: Group, by_recipe: bool) -> Iterator[str]:
    """Say of a model on two devices how long a training step moves data between them."""
    for result in group.results:
        if (seconds := result.info.transfer_seconds) is not None:
            who, long = result.case.label(by_recipe), duration(seconds)
            moved = "activations and gradients between its devices"
            yield f"{words(group.stage)}: {who} moves {moved} for {long} in a step."


def peak_table(report: Report) -> Table:
    """Share of what the machine could do at best that each case reaches at each stage."""
    rows = []
    for entry, results in pipeline_results(report):
        reached = {stage: result.peak_fraction for stage, result in results.items()}
        if any(reached.values()):
            cells = (share(reached[stage] or 0) if reached.get(stage) else "" for stage in PIPELINE)
            rows.append(Row((entry.label, *cells), entry.index))
    return Table("% of the machine's peak", ("case", *map(words, PIPELINE)), rows)


def scaling_table(report: Report, stages: Iterable[str]) -> Table:
    """Throughput of every case, by what it may scale with."""
    rows = []
    for stage in stages:
        for entry, result, _ in report.results(stage):
            interval = result.images_per_second_interval
            if result.images_per_second:
                cells = (str(entry.case.batch_size), str(entry.case.workers))
                sure = f"{interval[0]:,.0f} to {interval[1]:,.0f}" if interval else ""
                figures = (f"{result.images_per_second:,.0f}", sure)
                rows.append(Row((words(stage), entry.label, *cells, *figures), entry.index))
    columns = ("stage", "case", "batch size", "workers", "images/s", "95% interval")
    return Table("throughput", columns, rows)


def epoch_table(report: Report) -> Table:
    """Loss and accuracy of every case after each epoch of its first training."""
    rows = []
    for entry, result, _ in report.results("training"):
        losses = result.info.epoch_losses or []
        accuracies = result.info.epoch_accuracies or []
        if losses:
            shown = (" ".join(f"{loss:.4f}" for loss in losses), " ".join(f"{a:.2%}" for a in accuracies))
            rows.append(Row((entry.label, *shown), entry.index))
    columns = ("case", "training loss of each epoch", "training accuracy of each epoch")
    return Table("loss and accuracy", columns, rows)


def model_table(report: Report) -> Table:
    """The layers of the model that each framework has built, side by side."""
    models: dict[str, list[Layer]] = {}
    for entry, result, _ in report.results("model_building"):
        if result.info.layers:
            models.setdefault(_side(entry, report), result.info.layers)
    rows = []
    for number in range(max(map(len, models.values()), default=0)):
        layers = [layers[number] if number < len(layers) else None for layers in models.values()]
        kinds = dict.fromkeys(layer.kind for layer in layers if layer)
        shapes = (" x ".join(map(str, layer.output_shape)) if layer else "" for layer in layers)
        parameters = (f"{layer.parameters:,}" if layer else "" for layer in layers)
        cells = (figure for pair in zip(shapes, parameters, strict=True) for figure in pair)
        rows.append(Row((" / ".join(kinds), *cells)))
    if rows:
        totals = (sum(layer.parameters for layer in layers) for layers in models.values())
        rows.append(Row(("all", *(cell for total in totals for cell in ("", f"{total:,}")))))
    columns = (column for side in models for column in (f"{side}: output", "parameters"))
    return Table("the model", ("layer", *columns), rows)


def equal_table(report: Report) -> Table:
    """What every framework and recipe computed in this run, side by side."""
    figures = {
        "images in an epoch": ("data_loading", "images", "{:,}"),
        "images trained on in a round": ("training", "images", "{:,}"),
        "images evaluated": ("evaluation", "images", "{:,}"),
        "training loss, last epoch": ("training", "loss", "{:.4f}"),
        "training accuracy, last epoch": ("training", "accuracy", "{:.2%}"),
        "test loss": ("evaluation", "loss", "{:.4f}"),
        "test accuracy": ("evaluation", "accuracy", "{:.2%}"),
        "bytes of the model file": ("model_saving", "file_bytes", "{:,}"),
    }
    found: dict[str, dict[str, list[float]]] = {figure: {} for figure in figures}
    for figure, (stage, key, _) in figures.items():
        for entry, result, _group in report.results(stage):
            if (value := getattr(result.info, key)) is not None:
                found[figure].setdefault(_side(entry, report), []).append(value)
    sides = list(dict.fromkeys(side for values in found.values() for side in values))
    rows = []
    for figure, values in found.items():
        if values:
            pattern = figures[figure][2]
            rows.append(Row((figure, *(_range(values.get(side, []), pattern) for side in sides))))
    differences = picture_differences(report)
    if differences:
        cells = (f"{differences[side]} of 255" if side in differences else "" for side in sides)
        rows.append(Row(("largest difference of sixteen prepared images to the first column's", *cells)))
    return Table("equal work", ("", *sides), rows, "Ranges are over all cases of the column.")


def _side(entry: Entry, report: Report) -> str:
    case = entry.case
    parts = [case.environment, *([case.recipe] if report.by_recipe else []), *case.settings_of({"network"})]
    return " ".join([*parts, *([f"(run {entry.run + 1})"] if len(report.runs) > 1 else [])])


def _range(values: Sequence[float], pattern: str) -> str:
    if not values:
        return ""
    return " to ".join(dict.fromkeys(pattern.format(value) for value in (min(values), max(values))))


def picture_differences(report: Report) -> dict[str, int]:
    """Return the largest difference, in grey levels, of each side's prepared images to those of the first."""
    images = {}
    for number, run in enumerate(report.runs):
        several = f" (run {number + 1})" if len(report.runs) > 1 else ""
        for entry in run.pictures:
            recipe = f" {entry.recipe}" if report.by_recipe else ""
            with suppress(OSError, ValueError):  # what a stranger's file has for a picture
                file = io.BytesIO(base64.b64decode(entry.prepared))
                with PIL.Image.open(file, formats=["png"]) as image:
                    images[f"{entry.environment}{recipe}{several}"] = np.asarray(image, np.int16)
    shapes = {image.shape for image in images.values()}
    if len(images) < 2 or len(shapes) > 1:
        return {}
    first = next(iter(images.values()))
    return {side: int(np.abs(image - first).max()) for side, image in images.items()}


def not_measured_table(report: Report) -> Table:
    """Cases that failed or were skipped, with the reasons."""
    rows = [
        Row((words(missing.stage), entry.label, missing.outcome, _in_a_line(missing.reason)), entry.index)
        for entry, missing in report.not_measured()
    ]
    return Table("failed and skipped", ("stage", "case", "outcome", "reason"), rows)


def _in_a_line(reason: str) -> str:
    """Return a reason of several lines by the first and the last: of a traceback, what was raised."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return ": ".join([*lines[:1], *lines[1:][-1:]])


def environment_table(run: Run) -> Table:
    """Machine, versions, options and data set of a run."""
    machine, cpu = run.machine, run.machine.cpu
    variables = {**(machine.thread_variables or {}), **(machine.speed_variables or {})}
    computed = {}
    if run.results:
        info = run.results[0].info
        computed = {
            "workload": _pairs(info.workload or {}),
            "data set": f"fingerprint {info.dataset_fingerprint}" if info.dataset_fingerprint else "",
            "bad images left out": str(info.skipped_images or ""),
        }
    facts = {
        "command line": f"pytest {' '.join(map(shlex.quote, run.command))}" if run.command else "",
        "date": run.datetime,
        "processor": f"{run.cpu}; {cpu.cores or '?'} cores, {cpu.usable_threads or '?'} threads may be used",
        "memory": f"{machine.memory_bytes / 2**30:.0f} GiB",
        "GPUs": ", ".join(machine.gpus or ()) or "none",
        "system": f"{machine.system} {machine.release}".strip(),
        "Python": machine.python_version,
        **run.versions,
        **{name: version for name, version in (machine.libraries or {}).items() if version},
        "environment variables": _pairs(variables),
        **computed,
    }
    return Table("environment", ("", ""), [Row((name, fact)) for name, fact in facts.items() if fact])


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def difference_table(run: Run) -> Table:
    """How `published` was measured to differ from `matched`."""
    keys = ("choice", "framework", "published", "matched", "measured")
    rows = [Row(tuple(getattr(difference, key) for key in keys)) for difference in run.differences]
    return Table("how published differs from matched", (*keys[:-1], "measured difference"), rows)


def noise_table(report: Report) -> Table:
    """What the ratios of each group are taken to scatter by, and what equal cases would stay below."""
    rows: dict[tuple[str, ...], dict[str, None]] = {}
    for stage in report.stages:
        for entry, result, group in report.results(stage):
            if ratio := group.ratios.get(result.case):
                compared = f"{len(group.results)} x {ratio.processes}"
                figures = share(ratio.spread), f"{ratio.freedom:.1f}", share(ratio.floor)
                key = (entry.case.device, _side(entry, report), compared, *figures)
                rows.setdefault(key, {})[words(stage)] = None
    columns = ("stages", "device", "case", "cases x processes", "spread", "degrees of freedom", "noise floor")
    return Table("noise floors", columns, [Row((", ".join(of), *key)) for key, of in rows.items()])


def pipeline_results(report: Report) -> list[tuple[Entry, dict[str, Result]]]:
    """Return the results of each case at the stages of the pipeline, in their order.

    A stage to which some of the case's axes do not apply was measured once for all their values.
    """
    found: dict[tuple[str, int, Case], Result] = {}
    for stage in PIPELINE:
        found |= {(stage, entry.run, entry.case): result for entry, result, _ in report.results(stage)}
    rows: list[tuple[Entry, dict[str, Result]]] = []
    for entry in report.entries:
        results = {}
        for stage in PIPELINE:
            own = (entry.case.at(STAGES[stage].traits), entry.case)
            if result := next((r for c in own if (r := found.get((stage, entry.run, c)))), None):
                results[stage] = result
        if any(result.case == entry.case for result in results.values()):
            rows.append((entry, results))
    parts = [{id(result) for result in results.values()} for _, results in rows]
    return [row for row, part in zip(rows, parts, strict=True) if not any(part < other for other in parts)]
