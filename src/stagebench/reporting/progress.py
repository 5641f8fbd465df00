"""Tells on the terminal what is going on, while pytest captures the output of tests."""

from __future__ import annotations

from shutil import get_terminal_size
from time import monotonic

import pytest

REDRAW_SECONDS = 0.2
CLEAR_LINE = "\r\033[K"


class Progress:
    """One live line where the output is a terminal; one line for each finished piece of work elsewhere.

    Silent under `-q`.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._capture = config.pluginmanager.getplugin("capturemanager")
        self._reporter = config.pluginmanager.getplugin("terminalreporter")
        self._quiet = self._reporter is None or config.get_verbosity() < 0
        self._live = not self._quiet and self._reporter.isatty
        self._drawn = 0.0

    def draw(self, text: str) -> None:
        """Show what happens now, in place of what was shown before."""
        if self._live and monotonic() - self._drawn > REDRAW_SECONDS:
            self._drawn = monotonic()
            with self._capture.global_and_fixture_disabled():
                self._reporter.write(f"{CLEAR_LINE}{text[: get_terminal_size().columns - 1]}", flush=True)

    def count(self, what: str, done: int, total: int) -> None:
        """Show how far a long piece of work is, and a line of its own when it is done."""
        text = f"{what}: {done:,} of {total:,}"
        if done >= total:
            self.finish(text)
        else:
            self.draw(text)

    def finish(self, text: str) -> None:
        """Leave a line that says what was done."""
        if self._quiet:
            return
        self._drawn = 0.0
        with self._capture.global_and_fixture_disabled():
            if self._live:
                self._reporter.write(CLEAR_LINE)
            else:
                self._reporter.ensure_newline()
            self._reporter.write_line(text)
