"""The journal of a session, from which `--resume` takes what is finished when the session was interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from stagebench.plugin.collection import case_of, is_measured, stage_of
from stagebench.plugin.exit import exit_if_impossible
from stagebench.plugin.options import OUTCOME, add_option
from stagebench.plugin.progress import Progress
from stagebench.run.journal import Journal

JOURNAL = pytest.StashKey[Journal]()
COMPLETE = pytest.StashKey[bool]()
FOLDER = Path(".benchmarks", "journal")


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "take the finished groups of the run that was interrupted last"
    add_option(parser, OUTCOME, "--resume", action="store_true", help=told)


def pytest_configure(config: pytest.Config) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is finished is saved, as by Ctrl-C


@pytest.fixture(scope="session")
def journal(pytestconfig: pytest.Config, progress: Progress) -> Journal:
    """What is finished; under `--resume`, what an interrupted session has finished too."""
    resume = pytestconfig.getoption("resume")
    with exit_if_impossible():
        pytestconfig.stash[JOURNAL] = journal = Journal(FOLDER, resume)
    if resume:
        progress.finish(f"--resume: {journal.groups or 'no'} finished groups in {FOLDER}")
    return journal


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let `--resume` measure the group of a case that failed again."""
    report = yield
    journal = item.config.stash.get(JOURNAL, None)
    if journal and report.failed and is_measured(item):
        journal.forget(case_of(item).group(stage_of(item)))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    result = yield
    session.config.stash[COMPLETE] = True
    return result


@pytest.hookimpl(trylast=True)  # after pytest-benchmark has saved; if it could not, the journal stays
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    journal = session.config.stash.get(JOURNAL, None)
    if journal:
        # A second Ctrl-C comes before pytest has set the status that the first one means.
        journal.end(well=exitstatus == pytest.ExitCode.OK and session.config.stash.get(COMPLETE, False))
