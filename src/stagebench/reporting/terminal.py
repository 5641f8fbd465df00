"""The table at the end of a run: every stage with its rivals under each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap

import numpy as np

from stagebench.analysis.group import Group, groups_of
from stagebench.analysis.result import Result
from stagebench.analysis.verdict import SMALLEST_DIFFERENCE
from stagebench.case import Case
from stagebench.measurement.sample import Failure, Measurement
from stagebench.reporting.figures import OF_ONE_PROCESS, duration, name, relative, share

HEADER = ("", "median", "images/s", "limit", "cold", "peak", "x fastest (95%)", "verdict")
ALIGN = "<>>>>><<"
IMAGES_PER_SECOND, LIMIT = HEADER.index("images/s"), HEADER.index("limit")
GAP = 1


def summary_lines(results: Sequence[Result], width: int) -> list[str]:
    """Return the table, one block for each setting that the cases of a group have in common."""
    lines: list[str] = []
    reasons: dict[str, None] = {}
    recipes = {result.case.recipe for result in results}
    recipe = f", {', '.join(recipes)}" if len(recipes) == 1 else ""
    ordered = sorted(groups_of(results), key=lambda group: group.settings)
    for settings, block in groupby(ordered, key=lambda group: group.settings):
        groups = list(block)
        rows: list[tuple[str, ...]] = []
        for group in groups:
            reasons |= dict.fromkeys(v.reason for v in group.verdicts.values() if v and v.reason)
            rows += [(group.stage,), *(_row(result, group, not recipe) for result in group.results)]
        lines += ["", *wrap(settings + recipe, width), *_table(rows, width)]
        late = [sentence for group in groups for sentence in late_leads(group, not recipe)]
        lines += [line for sentence in late for line in wrap(sentence, width)]
    with_limit = any(result.limit_fraction for result in results)
    legend = [
        "x fastest: time divided by that of the group's fastest case, with its 95% interval.",
        f"{OF_ONE_PROCESS} over rounds of one process: process-to-process variation is not in it.",
        *(["limit: how much of what this machine could do at best."] if with_limit else []),
        "cold: first execution in a fresh process, not a round. peak: resident memory.",
        "2w: torch loads data in two processes; tensorflow sizes its own threads.",
        *(f"UNKNOWN: {reason}." for reason in reasons),
    ]
    return [*lines, "", *(line for entry in legend for line in wrap(entry, width))]


def late_leads(group: Group, named_by_recipe: bool) -> Iterator[str]:
    """Say of which rivals the fastest, in steady rounds, is behind at first, and for how long."""
    first = group.fastest
    for rival in group.results:
        ahead = first.cold_seconds - rival.cold_seconds
        gained = rival.median_seconds - first.median_seconds
        if gained > SMALLEST_DIFFERENCE * first.median_seconds and ahead >= gained:
            yield (
                f"{group.stage}: {name(first.case, named_by_recipe)}, in total, is faster than "
                f"{name(rival.case, named_by_recipe)} only from execution {int(ahead / gained) + 2} on: its "
                f"first takes {duration(ahead)} longer."
            )


def brief(case: Case, result: Measurement | Failure) -> str:
    """Say in a few words how a case of a finished group went."""
    if isinstance(result, Failure):
        return f"{case.rival} {'skipped' if result.unavailable else 'FAILED'}"
    samples = result.rounds or result.executions
    return f"{case.rival} {duration(float(np.median([sample.seconds for sample in samples])))}"


def _row(result: Result, group: Group, named_by_recipe: bool) -> tuple[str, ...]:
    images, limit = result.images_per_second, result.limit_fraction
    judged = group.verdicts[result.case]
    return (
        f"  {name(result.case, named_by_recipe)}",
        duration(result.median_seconds),
        f"{images:,.0f}" if images else "",
        share(limit) if limit else "",
        duration(result.cold_seconds),
        f"{result.info['peak_rss_bytes'] / 2**20:,.0f}M",
        relative(result, group),
        judged.word if judged else "",
    )


def _table(rows: Sequence[tuple[str, ...]], width: int) -> Iterable[str]:
    """Lay rows out in columns; where they are wider than the terminal, without a column, or in words."""
    unknown = set() if any(row[LIMIT] for row in rows if len(row) > 1) else {LIMIT}
    for left_out in (unknown, {*unknown, IMAGES_PER_SECOND}):  # which follows from the median
        columns = [column for column in range(len(HEADER)) if column not in left_out]
        lines = list(_columns([HEADER, *rows], columns))
        if max(map(len, lines)) <= width:
            return lines
    return _words(rows, width)


def _columns(rows: Sequence[tuple[str, ...]], columns: Sequence[int]) -> Iterator[str]:
    """Lay out some columns of the rows; one that has a name alone makes none wider."""
    widths = {column: max(len(row[column]) for row in rows if len(row) > 1) for column in columns}
    for row in rows:
        cells = [f"{row[c]:{ALIGN[c]}{widths[c]}}" for c in columns if c < len(row)]
        yield (" " * GAP).join(cells).rstrip()


def _words(rows: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    for first, *figures in rows:
        named = zip(HEADER[1:], figures, strict=False)
        words = ", ".join(f"{header} {figure}" for header, figure in named if figure)
        yield from wrap(f"{first}: {words}" if words else first, width, subsequent_indent="    ")
