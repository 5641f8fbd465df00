"""Tells on the terminal what is going on, also while pytest captures the output of tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from io import StringIO
from shutil import get_terminal_size
from time import monotonic
from typing import Protocol

import pytest

from stagebench.report.formats import duration
from stagebench.report.terminal import brief
from stagebench.run.aa_copy import is_aa_copy
from stagebench.run.conditions import Conditions, Status
from stagebench.run.journal import Results
from stagebench.run.sample import Failure, Measurement
from stagebench.statistics.ranking import width_of

REDRAW_SECONDS = 0.2
CLEAR_LINE = "\r\033[K"


class Output(Protocol):
    """Where progress is written."""

    def write(self, text: str, /) -> object:
        """Write the text."""

    def flush(self) -> object:
        """Show what was written."""

    def isatty(self) -> bool:
        """Say whether someone watches, so that a line may be drawn over."""


class Progress:
    """One live line where the output is a terminal; one line for each finished piece of work elsewhere."""

    def __init__(
        self,
        output: Output,
        shown: Callable[[], AbstractContextManager[None]] = nullcontext,
        quiet: bool = False,
    ) -> None:
        """Write to `output`, each time within what `shown` returns."""
        self._output = output
        self._shown = shown
        self.quiet = quiet
        self._live = not quiet and output.isatty()
        self._drawn = 0.0

    def draw(self, text: str) -> None:
        """Show what happens now, in place of what was shown before."""
        if self._live and monotonic() - self._drawn > REDRAW_SECONDS:
            self._drawn = monotonic()
            self._write(f"{CLEAR_LINE}{text[: get_terminal_size().columns - 1]}")

    def count(self, what: str, done: int, total: int) -> None:
        """Show how far a long piece of work is, and a line of its own when it is done."""
        text = f"{what}: {done:,} of {total:,}"
        if done >= total:
            self.finish(text)
        else:
            self.draw(text)

    def finish(self, text: str) -> None:
        """Leave a line that says what was done."""
        if not self.quiet:
            self._drawn = 0.0
            self._write(f"{CLEAR_LINE if self._live else ''}{text}\n")

    def measuring(self, title: str, status: Status, seconds_left: float | None) -> None:
        """Show in one line what is measured now, how long the latest rounds took, how long it may go on."""
        left = "" if seconds_left is None else f", {roughly(seconds_left)} left"
        latest = ", ".join(duration(seconds) for seconds in status.seconds.values())
        told = f"{title}{left} - {status.doing}: {status.case.label()}"
        self.draw(f"{told}; latest {latest}" if latest else told)

    def measured(self, title: str, results: Results, conditions: Conditions) -> None:
        """Leave a line that says what a group came to."""
        shown = {c: r for c, r in results.items() if not is_aa_copy(c) or isinstance(r, Failure)}
        words = [brief(case, result) for case, result in shown.items()]
        found = {case: result for case, result in results.items() if isinstance(result, Measurement)}
        for result in list(found.values())[:1]:
            schedule, processes = conditions.schedule, len(result.processes)
            if result.stopped_by == "precision":
                words.append(f"within +-{100 * (schedule.within or 0):g}% after {processes} processes")
            if result.stopped_by == "max_time":
                spent = f"when --max-time={schedule.max_time:g} was spent, after {processes} processes"
                words.append(f"+-{width_of(found):.1%} {spent}")
        self.finish(f"{title}; {'; '.join(words)}")

    def remaining(self, seconds: float, groups: int, unknown: int) -> None:
        """Leave a line on how long `groups` may take, and how many of them nothing is known."""
        if not self.quiet:
            more = f", and {unknown} more of stages that have not been measured yet" if unknown else ""
            known = groups - unknown
            told = f"about {roughly(seconds)} for {known} groups" if known else "not known"
            self.finish(f"estimate of what is left: {told}{more}")

    def _write(self, text: str) -> None:
        with self._shown():
            self._output.write(text)
            self._output.flush()


class PytestOutput:
    """Where pytest itself writes; a line of ours begins on a new one."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter

    def write(self, text: str) -> None:
        if not text.startswith(CLEAR_LINE):
            self._reporter.ensure_newline()
        self._reporter.write(text)

    def flush(self) -> None:
        self._reporter.flush()

    def isatty(self) -> bool:
        return bool(self._reporter.isatty())


def progress_of(config: pytest.Config) -> Progress:
    """Return the progress of a pytest session; it is silent under `-q`, and where there is no reporter.

    There is none with `-p no:terminal`, and in the processes of pytest-xdist.
    """
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None:
        return Progress(StringIO(), quiet=True)
    capture = config.pluginmanager.getplugin("capturemanager")
    shown = capture.global_and_fixture_disabled if capture else nullcontext
    return Progress(PytestOutput(reporter), shown, quiet=config.get_verbosity() < 0)


def roughly(seconds: float) -> str:
    """Write how long something may take; more digits would promise too much."""
    unit, scale = ("s", 1) if seconds < 90 else ("min", 60) if seconds < 5400 else ("h", 3600)
    return f"{seconds / scale:.{int(unit == 'h' and seconds < 10 * scale)}f} {unit}"
