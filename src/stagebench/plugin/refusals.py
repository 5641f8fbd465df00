"""Options of other plugins that would mislead here, refused before anything is measured."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from stagebench.plugin.collection import PARAMETERS
from stagebench.plugin.option_values import file_to_write
from stagebench.plugin.options import option_name

REPLAY = "sees only the replay of times that worker processes have taken; instead:"
PROFILE = f"{REPLAY} --profile FOLDER"
ROUNDS = f"{REPLAY} --rounds, --processes, --within"
MISLEADING = {
    "--benchmark-cprofile": PROFILE,
    "--benchmark-cprofile-dump": PROFILE,
    "--benchmark-min-rounds": ROUNDS,
    "--benchmark-min-time": ROUNDS,
    "--benchmark-max-time": ROUNDS,
    "--benchmark-precision": ROUNDS,
    "--benchmark-confidence": ROUNDS,
    "--benchmark-calibration-precision": ROUNDS,
    "--benchmark-warmup-iterations": ROUNDS,
    "--benchmark-timer": f"{REPLAY} nothing, they are wall-clock times",
}
"""Of pytest-benchmark: what measures, where nothing is left to measure. By flag, why, and what instead."""
GROUPINGS = ("group", "name", "func", "fullname", "fullfunc", "param")
"""Words of `--benchmark-group-by`, beside `param:NAME`."""


@pytest.hookimpl(tryfirst=True)  # before others read these options
def pytest_configure(config: pytest.Config) -> None:
    _refuse_what_misleads(config)
    _refuse_taken_paths(config)
    _refuse_what_cannot_be_written(config)
    _refuse_unknown_groupings(config)


def _refuse_what_misleads(config: pytest.Config) -> None:
    defaults = config._parser.parse_known_args([])
    for flag, why in MISLEADING.items():
        name = option_name(flag)
        if str(config.getoption(name)) != str(getattr(defaults, name)):
            raise pytest.UsageError(f"{flag} {why}")


def _refuse_taken_paths(config: pytest.Config) -> None:
    """Refuse a path of tests that stands behind an option whose value may be left out, which has taken it."""
    for flag in ("--benchmark-compare", "--benchmark-histogram"):
        given = config.getoption(option_name(flag))
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, str) and _is_path_of_tests(value, config.rootpath / "benchmarks"):
                raise pytest.UsageError(f"{flag} has taken {value} for itself; write: pytest {value} {flag}")


def _is_path_of_tests(value: str, benchmarks: Path) -> bool:
    path = Path(value.partition("::")[0]).resolve()
    related = path == benchmarks or path in benchmarks.parents or benchmarks in path.parents
    return related and (path.is_dir() or path.suffix == ".py")


def _refuse_what_cannot_be_written(config: pytest.Config) -> None:
    drawn = [f"{prefix}-GROUP.svg" for prefix in config.getoption("benchmark_histogram")]
    files = {"--benchmark-json": [config.getoption("benchmark_json")], "--benchmark-histogram": drawn}
    for flag, paths in files.items():
        for path in filter(None, paths):
            try:
                file_to_write(str(path))
            except ArgumentTypeError as error:
                raise pytest.UsageError(f"argument {flag}: {error}") from None


def _refuse_unknown_groupings(config: pytest.Config) -> None:
    known = [*GROUPINGS, *(f"param:{name}" for name in PARAMETERS)]
    given = config.getoption("benchmark_group_by")
    for word in given.split(","):
        if word not in known:
            raise pytest.UsageError(
                f"argument --benchmark-group-by: unknown value {word!r}; known: {', '.join(known)}"
            )
