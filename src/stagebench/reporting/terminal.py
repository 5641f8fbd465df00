"""The table at the end of a run: every stage with its rivals under each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap

import numpy as np

from stagebench.analysis.ranking import fastest, ratios_to_fastest
from stagebench.analysis.ratio import Ratio, digits
from stagebench.analysis.verdict import SMALLEST_DIFFERENCE, Verdict, verdict
from stagebench.case import Case, Stage
from stagebench.measurement.sample import Failure, Measurement

HEADER = ("", "median", "images/s", "limit", "cold", "peak", "x fastest (95%)", "verdict")
ALIGN = "<>>>>><<"
IMAGES_PER_SECOND, LIMIT = HEADER.index("images/s"), HEADER.index("limit")
GAP = 1
OF_ONE_PROCESS = "*"

Floor = Callable[[Stage, Case, int, int], float | str]
"""Takes a stage, a case, how many processes and how many cases; returns the noise floor, or why not."""


@dataclass(frozen=True)
class Result:
    """A case that was measured at a stage, and passed its checks."""

    stage: Stage
    case: Case
    measurement: Measurement
    limit_seconds: float | None = None
    """What it would take at best on this machine; None where that is not known."""


def summary_lines(results: Sequence[Result], floor: Floor, width: int) -> list[str]:
    """Return the table, one block for each setting that the cases of a group have in common."""
    lines: list[str] = []
    reasons: dict[str, None] = {}
    recipes = {result.case.recipe for result in results}
    recipe = f", {', '.join(recipes)}" if len(recipes) == 1 else ""
    ordered = sorted(results, key=lambda result: result.case.settings)
    for settings, block in groupby(ordered, key=lambda result: result.case.settings):
        groups = {stage: list(group) for stage, group in groupby(block, key=lambda result: result.stage)}
        rows: list[tuple[str, ...]] = []
        for stage, group in groups.items():
            judged = judge(group, floor)
            reasons |= dict.fromkeys(v.reason for v in judged.values() if v and v.reason)
            ratios = ratios_to_fastest({result.case: result.measurement for result in group})
            rows += [(stage,), *(_row(result, ratios, judged[result.case], not recipe) for result in group)]
        lines += ["", *wrap(settings + recipe, width), *_table(rows, width)]
        late = [sentence for group in groups.values() for sentence in late_leads(group, not recipe)]
        lines += [line for sentence in late for line in wrap(sentence, width)]
    with_limit = any(result.limit_seconds for result in results)
    legend = [
        "x fastest: time divided by that of the group's fastest case, with its 95% interval.",
        f"{OF_ONE_PROCESS} over rounds of one process: process-to-process variation is not in it.",
        *(["limit: how much of what this machine could do at best."] if with_limit else []),
        "cold: first execution in a fresh process, not a round. peak: resident memory.",
        "2w: torch loads data in two processes; tensorflow sizes its own threads.",
        *(f"UNKNOWN: {reason}." for reason in reasons),
    ]
    return [*lines, "", *(line for entry in legend for line in wrap(entry, width))]


def judge(group: Sequence[Result], floor: Floor) -> dict[Case, Verdict | None]:
    """Judge every case of a group against its fastest, and the fastest against the others.

    The fastest is FASTER when all others are SLOWER, SAME when all are, and has no verdict else.
    """
    measurements = {result.case: result.measurement for result in group}
    stage = group[0].stage
    judged: dict[Case, Verdict | None] = {}
    first = fastest(measurements)
    for case, ratio in ratios_to_fastest(measurements).items():
        floors = [floor(stage, rival, ratio.pairs, len(group)) for rival in (case, first)]
        no_floor = next((reason for reason in floors if isinstance(reason, str)), "")
        known = [share for share in floors if not isinstance(share, str)]
        judged[case] = verdict(ratio, max(known) if not no_floor else None, no_floor)
    words = {v.word for v in judged.values() if v}
    of_fastest = {frozenset({"SLOWER"}): Verdict("FASTER"), frozenset({"SAME"}): Verdict("SAME")}
    return {**dict.fromkeys(measurements, of_fastest.get(frozenset(words))), **judged}


def late_leads(group: Sequence[Result], named_by_recipe: bool) -> Iterator[str]:
    """Say of which rivals the fastest, in steady rounds, is behind at first, and for how long."""
    of_case = {result.case: result.measurement for result in group}
    first = fastest(of_case)
    for case, measurement in of_case.items():
        ahead = _cold(of_case[first]) - _cold(measurement)
        gained = _median(measurement) - _median(of_case[first])
        if gained > SMALLEST_DIFFERENCE * _median(of_case[first]) and ahead >= gained:
            yield (
                f"{group[0].stage}: {_name(first, named_by_recipe)}, in total, is faster than "
                f"{_name(case, named_by_recipe)} only from execution {int(ahead / gained) + 2} on: its first "
                f"takes {duration(ahead)} longer."
            )


def brief(case: Case, result: Measurement | Failure) -> str:
    """Say in a few words how a case of a finished group went."""
    if isinstance(result, Failure):
        return f"{case.rival} {'skipped' if result.unavailable else 'FAILED'}"
    samples = result.rounds or result.executions
    return f"{case.rival} {duration(float(np.median([sample.seconds for sample in samples])))}"


def duration(seconds: float) -> str:
    """Write a duration with three digits, in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale or unit == "us":
            value = seconds / scale
            places = 0 if value >= 100 else 1 if value >= 10 else 2
            return f"{value:,.{places}f} {unit}"
    raise AssertionError("unreachable")


def share(part: float) -> str:
    """Write a share in percent, with one digit at least that is not 0."""
    return f"{100 * part:#.0f}%".replace(".", "") if part >= 0.0995 else f"{100 * part:.2g}%"


def _row(
    result: Result, ratios: Mapping[Case, Ratio], judged: Verdict | None, named_by_recipe: bool
) -> tuple[str, ...]:
    measurement = result.measurement
    median, cold = _median(measurement), _cold(measurement)
    images = measurement.rounds[-1].outcome.get("images")
    peak = max(process.peak_rss_bytes for process in measurement.processes)
    ratio = _ratio(ratios[result.case]) if result.case in ratios else "1" if ratios else ""
    return (
        f"  {_name(result.case, named_by_recipe)}",
        duration(median),
        f"{images / median:,.0f}" if images else "",
        share(result.limit_seconds / median) if result.limit_seconds else "",
        duration(cold),
        f"{peak / 2**20:,.0f}M",
        ratio,
        judged.word if judged else "",
    )


def _name(case: Case, named_by_recipe: bool) -> str:
    return case.rival if named_by_recipe else case.rival_of_one_recipe


def _median(measurement: Measurement) -> float:
    return float(np.median([sample.seconds for sample in measurement.rounds]))


def _cold(measurement: Measurement) -> float:
    return float(np.median([process.cold.seconds for process in measurement.processes]))


def _ratio(ratio: Ratio) -> str:
    if ratio.interval is None:
        return digits(ratio.estimate)
    mark = OF_ONE_PROCESS if ratio.unit == "rounds" else ""
    return f"{digits(ratio.estimate)} ({'-'.join(map(digits, ratio.interval))}){mark}"


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
    for name, *figures in rows:
        named = zip(HEADER[1:], figures, strict=False)
        words = ", ".join(f"{header} {figure}" for header, figure in named if figure)
        yield from wrap(f"{name}: {words}" if words else name, width, subsequent_indent="    ")
