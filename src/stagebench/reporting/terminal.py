"""The table at the end of a run: every stage with its rivals under each other, in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from stagebench.case import Case, Stage
from stagebench.measurement.sample import Failure, Measurement

LEGEND = (
    "2w: torch loads data in two processes; tensorflow sizes its own threads.",
    "median: of all rounds. +-: half of the middle 50% of rounds, in % of the median.",
    "cold: first execution in a fresh process, not a round. peak: resident memory.",
    "A difference within the +- of both is noise; one of a few per cent often is too.",
)


@dataclass(frozen=True)
class Result:
    """A case that was measured at a stage, and passed its checks."""

    stage: Stage
    case: Case
    measurement: Measurement


def summary_lines(results: Sequence[Result]) -> list[str]:
    """Return the table, one block for each setting that the cases of a group have in common."""
    lines: list[str] = []
    ordered = sorted(results, key=lambda result: result.case.settings)
    for settings, block in groupby(ordered, key=lambda result: result.case.settings):
        lines += [
            "",
            settings,
            f"{'stage':<15}{'case':<26}{'median':>8}{'+-':>5}{'cold':>9}{'images/s':>10}{'peak':>7}",
        ]
        previous = None
        for result in block:
            lines.append(_row(result, "" if result.stage == previous else result.stage))
            previous = result.stage
    return [*lines, "", *LEGEND]


def brief(case: Case, result: Measurement | Failure) -> str:
    """Say in a few words how a case of a finished group went."""
    if isinstance(result, Failure):
        return f"{case.rival} {'skipped' if result.unavailable else 'FAILED'}"
    samples = result.rounds or result.executions
    return f"{case.rival} {duration(float(np.median([sample.seconds for sample in samples])))}"


def _row(result: Result, stage: str) -> str:
    seconds = np.array([sample.seconds for sample in result.measurement.rounds])
    first, median, third = np.percentile(seconds, (25, 50, 75))
    cold = float(np.median([process.cold.seconds for process in result.measurement.processes]))
    images = result.measurement.rounds[-1].outcome.get("images")
    peak = max(process.peak_rss_bytes for process in result.measurement.processes)
    spread = f"{(third - first) / 2 / median:.0%}" if len(seconds) > 1 else ""
    return (
        f"{stage:<15}{result.case.rival:<26}{duration(median):>8}"
        f"{spread:>5}{duration(cold):>9}"
        f"{f'{images / median:,.0f}' if images else '':>10}"
        f"{f'{peak / 2**20:,.0f}M':>7}"
    )


def duration(seconds: float) -> str:
    """Write a duration with three digits, in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale or unit == "us":
            value = seconds / scale
            digits = 0 if value >= 100 else 1 if value >= 10 else 2
            return f"{value:,.{digits}f} {unit}"
    raise AssertionError("unreachable")
