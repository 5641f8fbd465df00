"""The record of a session, as part of the run that pytest-benchmark saves."""

from __future__ import annotations

import warnings
from collections.abc import Generator

import pytest

from stagebench.machine.info import machine_info
from stagebench.plugin.collection import case_of, is_measured, stage_of
from stagebench.plugin.noise import NOISE
from stagebench.plugin.options import PRESET
from stagebench.plugin.whole_files import save_whole_files
from stagebench.results.file import SECTION, extra_info_of, section_of
from stagebench.results.record import Record
from stagebench.results.run import NotMeasured
from stagebench.statistics.verdict import SMALLEST_DIFFERENCE

RECORD = pytest.StashKey[Record]()


def pytest_configure(config: pytest.Config) -> None:
    # A failed check leaves its benchmark without a round on purpose; the failure itself is the message.
    config.addinivalue_line("filterwarnings", "ignore:Benchmark fixture was not used at all")
    # Under --benchmark-skip there is nothing to save.
    warnings.filterwarnings("ignore", "Not saving anything")
    save_whole_files()
    preset = config.getoption("preset") or PRESET.default
    smallest = config.getoption("smallest") or SMALLEST_DIFFERENCE
    config.stash[RECORD] = Record(config.invocation_params.args, preset, smallest)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record a case that failed or was skipped."""
    report = yield
    if not report.passed and is_measured(item) and call.excinfo:
        reason = str(call.excinfo.value).partition("\nassert ")[0] or call.excinfo.typename
        missing = NotMeasured(stage_of(item), case_of(item), report.outcome, reason)
        item.config.stash[RECORD].miss(missing)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest-benchmark saves, at the start of a wrapper
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None]:
    """Add what is known only when all is measured: the noise of cases like each other.

    What a session that did not end well has shown is kept by the one that resumes it.
    """
    record = session.config.stash[RECORD]
    if record.results:
        session.config.stash[NOISE].complete(record, keep=exitstatus == pytest.ExitCode.OK)
        for result, saved in zip(record.results, record.saved, strict=True):
            saved.update(extra_info_of(result))
    yield


def pytest_benchmark_generate_machine_info() -> dict[str, object]:
    return machine_info()


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, object]) -> None:
    output_json[SECTION] = section_of(config.stash[RECORD].run())
