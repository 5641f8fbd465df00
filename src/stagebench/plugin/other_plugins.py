"""Plugins that end or repeat tests: they are kept away from stages, or refused.

The first test of a group measures all its cases: a time limit of the test would end that for each of them,
and a second try would find what the first one has measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stagebench.plugin.collection import is_measured
from stagebench.plugin.options import option_name

RERUNS = ("reruns", "force_reruns")
"""Options of pytest-rerunfailures."""
NO_RERUN = "repeats no stage; --resume measures again what has failed"
REFUSED = {
    "--retries": NO_RERUN,
    "--forked": "loses what is measured, with the process of its test; leave it out",
}
"""Of pytest-retry and pytest-forked, by flag: why."""
NOTICES = pytest.StashKey[list[str]]()
"""What other plugins were asked for, and do not do."""


@pytest.hookimpl(trylast=True)  # when all tests that are left measure, or none
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    said: list[str] = []
    config.stash[NOTICES] = said
    if not items or not all(map(is_measured, items)):
        return
    for flag, why in REFUSED.items():
        if config.getoption(option_name(flag), None):
            raise pytest.UsageError(f"{flag} {why}")
    if hasattr(config.option, "timeout_method"):  # pytest-timeout
        for item in items:
            item.add_marker(pytest.mark.timeout(0))
        if getattr(config, "_env_timeout", None):  # from wherever it may come
            said.append("--timeout ends no stage, whose cases take turns; --stage-timeout does")
    if hasattr(config.option, "reruns"):
        if any(map(config.getoption, RERUNS)) or config.getini("reruns"):
            said.append(f"--reruns {NO_RERUN}")
        for name in RERUNS:
            setattr(config.option, name, 0)


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    return [f"stagebench: {sentence}" for sentence in config.stash.get(NOTICES, [])]
