"""What a session says at its end: a summary on the terminal, a report, and what GitHub shows beside a job."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from shutil import get_terminal_size
from textwrap import wrap

import pytest

from stagebench.plugin.exit import exit_if_impossible
from stagebench.plugin.noise import NOISE
from stagebench.plugin.option_values import file_to_write
from stagebench.plugin.options import OUTCOME, add_option
from stagebench.plugin.resume import JOURNAL
from stagebench.plugin.saved_run import RECORD
from stagebench.report.conditions import condition_sentences
from stagebench.report.formats import about
from stagebench.report.report import Report
from stagebench.report.step_summary import STEP_SUMMARY, append_to_step_summary
from stagebench.report.terminal import cost_lines, skipped_lines, summary_lines, verdict_lines
from stagebench.report.verdicts import NOTHING_TO_COMPARE


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "write a report: an HTML page, or a *.md file"
    add_option(parser, OUTCOME, "--report", type=file_to_write, metavar="PATH", help=told)


@pytest.hookimpl(tryfirst=True)  # pytest-benchmark reads the option when it is configured
def pytest_configure(config: pytest.Config) -> None:
    if config.get_verbosity() < 0:
        config.option.benchmark_quiet = True


@pytest.hookimpl(wrapper=True)  # around pytest-benchmark's tables, and also when it reports a regression
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None]:
    run, width = config.stash[RECORD].run(), get_terminal_size().columns
    conditions = [line for sentence in condition_sentences(run) for line in wrap(sentence, width)]
    told = [*conditions, *skipped_lines(run.not_measured, width)]
    quiet = config.get_verbosity() < 0
    compared = any(group.ratios for group in run.groups)
    first = told if quiet else []
    if run.results and compared:
        first = [*first, *verdict_lines(run.groups, width, run.not_measured)]
        first += cost_lines(run.groups, width, run.not_measured) if quiet else []
    elif run.results and quiet:
        first = [*first, *summary_lines(run.results, width, run.groups, run.not_measured), NOTHING_TO_COMPARE]
    if first:
        _section(terminalreporter, "verdicts", first)
    try:
        yield
    finally:
        if not quiet and run.results:
            noise = config.stash[NOISE].lines(run.groups, aa_compared=bool(config.getoption("noise")))
            told = [*wrap(about(run), width), *told]
            told += [*summary_lines(run.results, width, run.groups, run.not_measured), *noise]
        if not quiet and told:
            _section(terminalreporter, "stagebench", told)
        if _every_case_was_skipped(config):
            terminalreporter.write_line("stagebench: nothing was measured: every case was skipped")
        journal = config.stash.get(JOURNAL, None)
        if journal and journal.path.exists():
            terminalreporter.write_line(f"stagebench: --resume takes what is finished from {journal.path}")
        if _has_run_under_xdist(config):
            spread = "no times are taken under pytest-xdist (-n): each case was executed once, and checked"
            terminalreporter.write_line(f"stagebench: {spread}")
        _report(config, lambda line: terminalreporter.write_line(f"stagebench: {line}"))


@pytest.hookimpl(wrapper=True)  # around the end of the journal
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    config = session.config
    if _every_case_was_skipped(config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
    yield
    if config.pluginmanager.hasplugin("terminalreporter") or hasattr(config, "workerinput"):
        return
    # With `-p no:terminal` there is no summary, in which this would be done.
    _report(config, lambda _: None)
    benchmarks = config.pluginmanager.getplugin("pytest-benchmark")
    if benchmarks.groups:
        benchmarks.check_regressions()


def _every_case_was_skipped(config: pytest.Config) -> bool:
    """Say whether there were cases and none of them was executed, which is no success."""
    outcomes = {report.outcome for report in _reports_of_stages(config)}
    return outcomes == {"skipped"} and not config.getoption("benchmark_skip")


def _has_run_under_xdist(config: pytest.Config) -> bool:
    """Say whether tests of stages have run in processes of pytest-xdist, which report from a `node`."""
    return any(
        hasattr(report, "node") and report.outcome != "skipped" for report in _reports_of_stages(config)
    )


def _reports_of_stages(config: pytest.Config) -> list[pytest.TestReport]:
    """Return what tests of stages came to: of each the execution, or what went wrong before or after it."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    reports = (report for found in terminal.stats.values() for report in found) if terminal else ()
    tests = [report for report in reports if isinstance(report, pytest.TestReport)]
    of_stages = [report for report in tests if "stage" in report.keywords]
    return [report for report in of_stages if report.when == "call" or report.outcome != "passed"]


def _section(terminalreporter: pytest.TerminalReporter, title: str, lines: Iterable[str]) -> None:
    terminalreporter.section(title, sep="-")
    for line in lines:
        terminalreporter.write_line(line)


def _report(config: pytest.Config, say: Callable[[str], object]) -> None:
    path, record = config.getoption("report"), config.stash[RECORD]
    if not (record.results or record.not_measured):
        if path:
            say(f"no report in {path}: nothing was measured")
        return
    on_github = os.environ.get(STEP_SUMMARY)
    if not (path or on_github):
        return
    from stagebench.report.markdown import markdown
    from stagebench.report.output import format_of, write_report  # 0.2 s

    report = Report([record.run()])
    with exit_if_impossible():
        if path:
            write_report(report, path, format_of(path))
            say(f"report in {path}")
    if on_github:
        append_to_step_summary(markdown(report), say)
