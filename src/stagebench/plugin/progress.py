"""Tells on the terminal what is going on, also while pytest captures the output of tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from shutil import get_terminal_size
from time import monotonic
from typing import Protocol

import pytest

from stagebench.report.figures import duration
from stagebench.run.schedule import Step

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
    """Return the progress of a pytest session; it is silent under `-q`."""
    capture = config.pluginmanager.getplugin("capturemanager")
    output = PytestOutput(config.pluginmanager.getplugin("terminalreporter"))
    return Progress(output, capture.global_and_fixture_disabled, quiet=config.get_verbosity() < 0)


def live_line(title: str, step: Step, seconds_left: float | None) -> str:
    """Say in one line what is measured now, how long the latest rounds took, and how long it may go on."""
    left = "" if seconds_left is None else f", {_roughly(seconds_left)} left"
    latest = ", ".join(duration(seconds) for seconds in step.seconds.values())
    return f"{title}{left} - {step.doing}: {step.case.rival}{f'; latest {latest}' if latest else ''}"


def _roughly(seconds: float) -> str:
    """Write how long something may take; more digits would promise too much."""
    return span(seconds, seconds)


def span(least: float, most: float) -> str:
    """Write a range of time in one unit: `9 to 14 h`."""
    unit, seconds = ("s", 1) if most < 90 else ("min", 60) if most < 5400 else ("h", 3600)
    decimals = int(unit == "h" and most < 10 * seconds)
    low, high = (f"{value / seconds:.{decimals}f}" for value in (least, most))
    return f"{high} {unit}" if low == high else f"{low} to {high} {unit}"
