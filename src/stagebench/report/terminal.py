"""The table at the end of a run: every stage with its cases under each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap

import numpy as np

from stagebench.case import Case
from stagebench.report.deployment_sentences import deployment_sentences, sanity_lines
from stagebench.report.deployment_tables import compact_rows
from stagebench.report.formats import TWO_WORKERS, duration, relative, share
from stagebench.results.result import Result
from stagebench.run.sample import Failure, Measurement
from stagebench.stages import DEPLOYMENT, PIPELINE
from stagebench.statistics.group import Group, groups_of

HEADER = ("", "median", "images/s", "% of peak", "cold", "memory", "x fastest (95%)", "verdict")
ALIGN = "<>>>>><<"
DEPLOYED = ("deployed", "size", "accuracy", "same", "apart", "median", "p95", "p99", "images/s")
OF_DEPLOYED = (
    "same: share of test images with the answer of the framework's own float32 model; apart: largest "
    "difference of logits to it. median, p95, p99 of a deployed model: of single calls; a round of inference "
    "is many calls, and its first execution loads the file, too."
)
GAP = 1


def summary_lines(results: Sequence[Result], width: int, groups: Sequence[Group] | None = None) -> list[str]:
    """Return the table, one block for each setting that the cases of a group have in common.

    `groups` are those of the results, if they are judged by more than by each other.
    """
    lines: list[str] = []
    reasons: dict[str, None] = {}
    recipes = {result.case.recipe for result in results}
    recipe = f", {', '.join(recipes)}" if len(recipes) == 1 else ""
    ordered = sorted(groups or groups_of(results), key=lambda group: group.settings)
    for settings, block in groupby(ordered, key=lambda group: group.settings):
        of_setting = list(block)
        rows: list[tuple[str, ...]] = []
        for group in of_setting:
            reasons |= dict.fromkeys(v.reason for v in group.verdicts.values() if v and v.reason)
            rows += [(group.stage,), *(_row(result, group, not recipe) for result in group.results)]
        lines += ["", *wrap(settings + recipe, width), *_table(HEADER, ALIGN, rows, ["images/s"], width)]
        lines += _deployed(of_setting, width, not recipe)
        even = [sentence for group in of_setting for sentence in break_evens(group, not recipe)]
        lines += [line for sentence in even for line in wrap(sentence, width)]
    if sentences := list(deployment_sentences(ordered, not recipe)):
        lines += ["", *(line for sentence in sentences for line in wrap(sentence, width))]
    with_peak = any(result.peak_fraction for result in results)
    stages = {result.stage for result in results}
    notes = {
        PIPELINE: f"2w: {TWO_WORKERS}.",
        DEPLOYMENT: OF_DEPLOYED,
    }
    legend = [
        "x fastest: time divided by that of the group's fastest case, with its 95% interval.",
        *(["% of peak: share of what this machine could do at best."] if with_peak else []),
        "cold: first execution in a fresh process, not a round. memory: the most that it held.",
        *(note for of, note in notes.items() if stages & {*of}),
        *(f"UNKNOWN: {reason}." for reason in reasons),
    ]
    return [*lines, "", *(line for entry in legend for line in wrap(entry, width))]


def _deployed(groups: Sequence[Group], width: int, named_by_recipe: bool) -> list[str]:
    """Return what deployed models of one setting are like, a row each, and whether equal ones are as fast."""
    results = [result for group in groups for result in group.results]
    rows = list(compact_rows(results, lambda case: case.label(named_by_recipe)))
    align = "<" + ">" * (len(DEPLOYED) - 1)
    table = _table(DEPLOYED, align, rows, ["images/s", "p95"], width) if rows else ()
    checks = (line for told in sanity_lines(groups, named_by_recipe) for line in wrap(told, width))
    return [*table, *checks]


def break_evens(group: Group, named_by_recipe: bool) -> Iterator[str]:
    """Say after how many executions the fastest case has made up for a slower cold start."""
    if group.stage in DEPLOYMENT:
        return  # a model is exported once, and of ten formats each would be late
    first = group.fastest
    for other in group.results:
        behind = first.cold_seconds - other.cold_seconds
        gained = other.median_seconds - first.median_seconds
        if gained > group.smallest * first.median_seconds and behind >= gained:
            both = f"{first.case.label(named_by_recipe)} against {other.case.label(named_by_recipe)}"
            executions = int(behind / gained) + 2
            yield (
                f"{group.stage}: {both}: break-even after {executions} executions (cold start "
                f"+{duration(behind)})."
            )


def brief(case: Case, result: Measurement | Failure) -> str:
    """Say in a few words how a case of a finished group went."""
    if isinstance(result, Failure):
        return f"{case.label()} {'skipped' if result.unavailable else 'FAILED'}"
    samples = result.rounds or result.executions
    return f"{case.label()} {duration(float(np.median([sample.seconds for sample in samples])))}"


def _row(result: Result, group: Group, named_by_recipe: bool) -> tuple[str, ...]:
    images, limit = result.images_per_second, result.peak_fraction
    judged = group.verdicts[result.case]
    return (
        f"  {result.case.label(named_by_recipe)}",
        duration(result.median_seconds),
        f"{images:,.0f}" if images else "",
        share(limit) if limit else "",
        duration(result.cold_seconds),
        f"{result.info.peak_rss_bytes / 2**20:,.0f}M",
        relative(result, group),
        judged.word if judged else "",
    )


def _table(
    header: Sequence[str], align: str, rows: Sequence[tuple[str, ...]], spared: Sequence[str], width: int
) -> Iterable[str]:
    """Lay rows out in columns; where they are wider than the terminal, without some, or in words.

    Columns in which nothing stands are left out; of the others, where space is short, those that are spared.
    """
    filled = [any(row[at : at + 1] != ("",) for row in rows if len(row) > 1) for at in range(len(header))]
    for count in range(len(spared) + 1):
        columns = [at for at, name in enumerate(header) if filled[at] and name not in spared[:count]]
        lines = list(_columns([header, *rows], align, columns))
        if max(map(len, lines)) <= width:
            return lines
    return _words(header, rows, width)


def _columns(rows: Sequence[Sequence[str]], align: str, columns: Sequence[int]) -> Iterator[str]:
    """Lay out some columns of the rows; one that has a name alone makes none wider."""
    widths = {column: max(len(row[column]) for row in rows if len(row) > 1) for column in columns}
    for row in rows:
        cells = [f"{row[c]:{align[c]}{widths[c]}}" for c in columns if c < len(row)]
        yield (" " * GAP).join(cells).rstrip()


def _words(header: Sequence[str], rows: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    for first, *figures in rows:
        named = zip(header[1:], figures, strict=False)
        words = ", ".join(f"{column} {figure}" for column, figure in named if figure)
        yield from wrap(f"{first}: {words}" if words else first, width, subsequent_indent="    ")
