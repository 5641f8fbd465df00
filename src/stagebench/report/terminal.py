"""The end of a run: a table of its verdicts, and below it every stage with its cases under each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap

import numpy as np

from stagebench.case import Case
from stagebench.report.deployment_sentences import deployment_sentences, sanity_lines
from stagebench.report.deployment_tables import compact_rows
from stagebench.report.formats import count, duration, relative, share, verdict_word, workers_legend
from stagebench.report.setting_sentences import setting_sentences
from stagebench.report.tables import transfer_sentences, words
from stagebench.report.verdicts import (
    VerdictRow,
    break_even,
    setting,
    shared_settings,
    tell_recipes,
    varied_axes,
    verdict_rows,
    verdict_table,
)
from stagebench.results.result import Result
from stagebench.results.run import NotMeasured
from stagebench.run.sample import Failure, Measurement
from stagebench.stages import DEPLOYMENT
from stagebench.statistics.group import Group, groups_of

HEADER = ("", "median", "images/s", "% of peak", "cold", "memory", "x fastest (95%)", "verdict")
ALIGN = "<>>>>><<"
DEPLOYED = ("deployed", "size", "accuracy", "same", "apart", "median", "p95", "p99", "images/s")
OF_DEPLOYED = (
    "same: share of test images with the answer of the framework's own float32 model; apart: largest "
    "difference of logits to it. median, p95, p99 of a deployed model: of single calls; a round of inference "
    "is many calls, and its first execution loads the file, too."
)
MUCH_WAITING = 0.1
"""Share of the time from which on it is worth a sentence."""
GAP = 1
WIDE_GAP = 2
"""Between columns of words."""
BREAK_EVEN = "break-even: the execution from which on the faster case has made up for its slower cold start."
X_FASTEST = "x fastest: time divided by that of the group's fastest case, with its 95% interval."


def verdict_lines(groups: Sequence[Group], width: int, missing: Sequence[NotMeasured] = ()) -> list[str]:
    """Return what all cases share, and where there are two of them a row for each stage and setting."""
    verdicts = verdict_rows(groups, tell_recipes(groups, missing), missing)
    shared = wrap(shared_settings(groups, missing), width)
    return [*shared, "", *_verdicts(verdicts, width)] if verdicts else shared


def cost_lines(groups: Sequence[Group], width: int, missing: Sequence[NotMeasured] = ()) -> list[str]:
    """Say what settings cost or gain, where there are two of one."""
    return _paragraph(setting_sentences(groups, tell_recipes(groups, missing)), width)


def summary_lines(
    results: Sequence[Result],
    width: int,
    groups: Sequence[Group] | None = None,
    missing: Sequence[NotMeasured] = (),
) -> list[str]:
    """Return the verdicts, and below them the details, a block for each setting in which groups differ.

    `groups` are those of the results, if they are judged by more than by each other; `missing` what was not
    measured.
    """
    judged = groups or groups_of(results)
    by_recipe, varied = tell_recipes(judged, missing), varied_axes(judged, missing)
    ordered = sorted(judged, key=lambda group: setting(group, varied))
    lines = ["", *verdict_lines(judged, width, missing)]
    for own, block in groupby(ordered, key=lambda group: setting(group, varied)):
        of_setting = list(block)
        rows: list[tuple[str, ...]] = []
        for group in of_setting:
            rows += [(words(group.stage),), *(_row(result, group, by_recipe) for result in group.results)]
        lines += ["", *wrap(own, width), *_table(HEADER, ALIGN, rows, ["images/s"], width)]
        lines += _deployed(of_setting, width, by_recipe)
        sayings = (waits, transfer_sentences, break_evens)
        told = [s for group in of_setting for say in sayings for s in say(group, by_recipe)]
        lines += [line for sentence in told for line in wrap(sentence, width)]
    lines += _paragraph(deployment_sentences(ordered, by_recipe), width)
    lines += cost_lines(judged, width, missing)
    with_peak = any(result.peak_fraction for result in results)
    stages = {result.stage for result in results}
    legend = [
        *([X_FASTEST] if any(_is_ranked(group) for group in ordered) else []),
        *(["% of peak: share of what this machine could do at best."] if with_peak else []),
        "cold: first execution in a fresh process, not in the median. memory: peak resident memory, MiB.",
        *([BREAK_EVEN] if any("break-even" in line for line in lines) else []),
        *([loaders] if (loaders := workers_legend(results)) else []),
        *([OF_DEPLOYED] if stages & {*DEPLOYMENT} else []),
    ]
    return [*lines, "", *(line for entry in legend for line in wrap(entry, width))]


def skipped_lines(missing: Sequence[NotMeasured], width: int) -> list[str]:
    """Say how many cases were skipped, and why."""
    reasons = Counter(one.reason for one in missing if one.outcome == "skipped")
    sentences = (f"{count(number, 'case')} skipped: {reason}" for reason, number in reasons.items())
    return [line for sentence in sentences for line in wrap(sentence, width)]


def _paragraph(sentences: Iterable[str], width: int) -> list[str]:
    """Return sentences in lines of their own, below an empty one; nothing where there is none."""
    lines = [line for sentence in sentences for line in wrap(sentence, width)]
    return ["", *lines] if lines else []


def _verdicts(verdicts: Sequence[VerdictRow], width: int) -> Iterator[str]:
    """Lay verdicts out in columns, the last of which wraps; where that leaves it no room, in sentences."""
    table = verdict_table(verdicts, figures=False)
    *named, last = zip(table.columns, *(row.cells for row in table.rows), strict=True)
    room = width - sum(max(map(len, cells)) + WIDE_GAP for cells in named)
    if room < len(last[0]):
        for row in table.rows:
            *where, told = row.cells
            yield from wrap(f"{', '.join(filter(None, where))}: {told}", width, subsequent_indent="    ")
        return
    rows: list[tuple[str, ...]] = [table.columns]
    for before, row in zip([None, *table.rows], table.rows, strict=False):
        stage, *own, told = row.cells
        first, *more = wrap(told, room)
        again = before is not None and before.cells[0] == stage
        rows += [("" if again else stage, *own, first), *(("", *[""] * len(own), line) for line in more)]
    yield from _columns(rows, "<" * len(table.columns), range(len(table.columns)), WIDE_GAP)


def _deployed(groups: Sequence[Group], width: int, named_by_recipe: bool) -> list[str]:
    """Return what deployed models of one setting are like, a row each, and whether equal ones are as fast."""
    results = [result for group in groups for result in group.results]
    rows = list(compact_rows(results, lambda case: case.label(named_by_recipe)))
    align = "<" + ">" * (len(DEPLOYED) - 1)
    table = _table(DEPLOYED, align, rows, ["images/s", "p95"], width) if rows else ()
    checks = (line for told in sanity_lines(groups, named_by_recipe) for line in wrap(told, width))
    return [*table, *checks]


def waits(group: Group, named_by_recipe: bool) -> Iterator[str]:
    """Say of a case that waits for much of its time that it does, as tf.data's autotuning makes it."""
    for result in group.results:
        seconds = sum(map(sum, result.rounds))
        idle = sum(result.info.idle_seconds or ()) / seconds
        if idle >= MUCH_WAITING:
            who = result.case.label(named_by_recipe)
            yield f"{words(group.stage)}: {who} computes nothing in {share(idle)} of its time: it waits."


def break_evens(group: Group, named_by_recipe: bool) -> Iterator[str]:
    """Say after how many executions the fastest case has made up for a slower cold start."""
    for other in group.ratios:
        if late := break_even(group, other):
            both = f"{group.fastest.case.label(named_by_recipe)} against {other.label(named_by_recipe)}"
            seconds, executions = late
            yield (
                f"{words(group.stage)}: {both}: break-even after {executions} executions (cold start "
                f"+{duration(seconds)})."
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
        *(
            (relative(result, group), verdict_word(judged.word) if judged else "")
            if _is_ranked(group)
            else ("", "")
        ),
    )


def _is_ranked(group: Group) -> bool:
    """Say whether its cases have ratios and verdicts of their own; those of two are the verdict's row."""
    return len(group.results) > 2


def _table(
    header: Sequence[str], align: str, rows: Sequence[tuple[str, ...]], spared: Sequence[str], width: int
) -> Iterable[str]:
    """Lay rows out in columns; where they are wider than the terminal, without some, or in words.

    Columns in which nothing stands are left out; of the others, where space is short, those that are spared.
    """
    filled = [any(row[at : at + 1] != ("",) for row in rows if len(row) > 1) for at in range(len(header))]
    for most in range(len(spared) + 1):
        columns = [at for at, name in enumerate(header) if filled[at] and name not in spared[:most]]
        lines = list(_columns([header, *rows], align, columns))
        if max(map(len, lines)) <= width:
            return lines
    return _words(header, rows, width)


def _columns(
    rows: Sequence[Sequence[str]], align: str, columns: Sequence[int], gap: int = GAP
) -> Iterator[str]:
    """Lay out some columns of the rows; one that has a name alone makes none wider."""
    widths = {column: max(len(row[column]) for row in rows if len(row) > 1) for column in columns}
    for row in rows:
        cells = [f"{row[c]:{align[c]}{widths[c]}}" for c in columns if c < len(row)]
        yield (" " * gap).join(cells).rstrip()


def _words(header: Sequence[str], rows: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    for first, *figures in rows:
        named = zip(header[1:], figures, strict=False)
        told = ", ".join(f"{column} {figure}" for column, figure in named if figure)
        yield from wrap(f"{first}: {told}" if told else first, width, subsequent_indent="    ")
