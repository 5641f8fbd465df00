"""What a session says at its end: a summary on the terminal, a report, and what GitHub shows beside a job."""

from __future__ import annotations

import os
from collections.abc import Generator
from shutil import get_terminal_size
from textwrap import wrap

import pytest

from stagebench.plugin.exit import exit_if_impossible
from stagebench.plugin.noise import NOISE
from stagebench.plugin.option_values import file_to_write
from stagebench.plugin.resume import JOURNAL
from stagebench.plugin.saved_run import RECORD
from stagebench.report.conditions import condition_sentences
from stagebench.report.report import Report
from stagebench.report.terminal import summary_lines


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("stagebench").addoption(
        "--report", type=file_to_write, metavar="PATH", help="write a report: an HTML page, or a *.md file"
    )


@pytest.hookimpl(wrapper=True)  # after pytest-benchmark's tables, and also when it reports a regression
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None]:
    try:
        yield
    finally:
        _summarise(terminalreporter, config)
        _report(terminalreporter, config)


def _summarise(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    run = config.stash[RECORD].run()
    if run.results and config.get_verbosity() >= 0:
        terminalreporter.section("stagebench", sep="-")
        width = get_terminal_size().columns
        told = [line for sentence in condition_sentences(run) for line in wrap(sentence, width)]
        table = summary_lines(run.results, width, run.groups)
        noise = config.stash[NOISE].lines(run.groups, aa_compared=bool(config.getoption("noise")))
        for line in (*told, *table, *noise):
            terminalreporter.write_line(line)
    journal = config.stash.get(JOURNAL, None)
    if journal and journal.path.exists():
        terminalreporter.write_line(f"stagebench: --resume takes what is finished from {journal.path}")


def _report(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    path, record = config.getoption("report"), config.stash[RECORD]
    if not (path or "GITHUB_STEP_SUMMARY" in os.environ) or not (record.results or record.not_measured):
        return
    from stagebench.report.markdown import markdown
    from stagebench.report.output import append_to_step_summary, format_of, write_report  # 0.2 s

    report = Report([record.run()])
    with exit_if_impossible():
        if path:
            write_report(report, path, format_of(path))
            terminalreporter.write_line(f"stagebench: report in {path}")
        if "GITHUB_STEP_SUMMARY" in os.environ:
            append_to_step_summary(markdown(report))
