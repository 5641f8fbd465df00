"""What `--benchmark-compare` compares with: found, or refused, before anything is measured."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from pytest_benchmark.session import BenchmarkSession

from stagebench.plugin.baseline import baseline
from stagebench.plugin.collection import is_measured

DEEPEST = 2
"""Parts of the name of a saved run: a folder and a file."""


def pytest_configure(config: pytest.Config) -> None:
    warnings.filterwarnings("ignore", "Can't compare")  # what follows says it, and before the measurement
    wanted = config.getoption("benchmark_compare")
    if not wanted:
        return
    storage = config.getoption("benchmark_storage").removeprefix("file://")
    if wanted is not True and not os.path.isfile(wanted):  # noqa: PTH113  # `Path` raises: a name too long
        path = Path(wanted)
        strange = path.is_absolute() or len(path.parts) > DEEPEST or "**" in wanted
        if strange:  # pytest-benchmark raises on these
            raise pytest.UsageError(_no_run(wanted, storage))
    config.option.benchmark_compare = baseline(wanted, Path(storage))


def pytest_sessionstart(session: pytest.Session) -> None:
    benchmarks = _benchmarks_of(session.config)
    if benchmarks.compare_fail and not benchmarks.compare:
        raise pytest.UsageError("--benchmark-compare-fail needs --benchmark-compare, which says with what")
    if benchmarks.compare_fail and benchmarks.disabled:
        raise pytest.UsageError(
            "--benchmark-compare-fail needs times; --benchmark-disable and pytest-xdist (-n) take none"
        )
    if benchmarks.compare and not benchmarks.compared_mapping:
        if benchmarks.compare is not True:
            raise pytest.UsageError(_no_run(benchmarks.compare, benchmarks.storage))
        benchmarks.compare_fail = None  # else it would fail when all is measured


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    benchmarks = _benchmarks_of(config)
    measured = [item for item in items if is_measured(item)]
    if not benchmarks.compare or not measured:
        return []
    if not benchmarks.compared_mapping:
        passes = ", and --benchmark-compare-fail passes" if config.getoption("benchmark_compare_fail") else ""
        empty = f"nothing to compare with yet in {benchmarks.storage}"
        return [f"stagebench: {empty}: this run is the baseline{passes}"]
    known = {name for cases in benchmarks.compared_mapping.values() for name in cases}
    absent = sum(item.nodeid not in known for item in measured)
    told = f"stagebench: {absent} of {len(measured)} cases are not in the run to compare with"
    return [told] if absent else []


def _benchmarks_of(config: pytest.Config) -> BenchmarkSession:
    return config.pluginmanager.getplugin("pytest-benchmark")


def _no_run(wanted: str, storage: object) -> str:
    return f"--benchmark-compare={wanted}: there is no such run, or none that can be read, in {storage}"
