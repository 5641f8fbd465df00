"""The command `stagebench`: one function for each subcommand."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stagebench.dataset import DatasetError, default_cache_folder, prepare
from stagebench.measurement.differences import measure_differences
from stagebench.measurement.errors import StorageError
from stagebench.measurement.machine import gpu_names
from stagebench.measurement.process import WorkerError
from stagebench.measurement.schedule import Conditions
from stagebench.options import OPTIONS, PRESET, OptionError, Settings
from stagebench.pipelines import FRAMEWORKS
from stagebench.reporting.ledger import LedgerError, markdown, read_run
from stagebench.reporting.progress import Progress
from stagebench.session import Session

NOISE_PROCESSES = 5
"""Fresh processes of each twin, where `stagebench noise` is not told otherwise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit code: 1 where a case failed, 2 where an error was reported."""
    parser = argparse.ArgumentParser(prog="stagebench")
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = subcommands.add_parser(
        "ledger",
        help="list what the recipe `published` does otherwise than `matched`, and what that costs",
        description="Measure what the recipe `published` computes otherwise than `matched`, read what that "
        "costs from a saved run, and print both as Markdown.",
    )
    command.add_argument(
        "run",
        metavar="RUN.json",
        type=Path,
        help="what `pytest benchmarks --recipes=published,matched --benchmark-json=RUN.json` wrote",
    )
    command.set_defaults(run_command=lambda chosen: print_ledger(chosen.run))
    command = subcommands.add_parser(
        "noise",
        help="measure what equal cases differ by on this machine, and keep it for the verdicts of later runs",
        description="Measure each case against itself and keep what it differs by: the noise floor, without "
        "which a run gives no verdicts. Takes the options of `pytest benchmarks`.",
    )
    for option in (*OPTIONS, PRESET):
        command.add_argument(option.flag, **option.arguments)
    command.set_defaults(run_command=lambda chosen: measure_noise(lambda name: getattr(chosen, name)))
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run_command(chosen)
    except (LedgerError, DatasetError, OptionError, StorageError, WorkerError) as error:
        sys.stderr.write(f"stagebench: {error}\n")
        return 2
    return code


def print_ledger(run: Path) -> int:
    """Print the ledger of a saved run."""
    sys.stdout.write(ledger(run))
    return 0


def measure_noise(given: Callable[[str], Any]) -> int:
    """Measure every case against itself, keep what they differ by, and print the floors.

    Raises:
        OptionError: the options contradict each other.
        DatasetError: the data set cannot be prepared.

    """
    defaults = {"processes": NOISE_PROCESSES}
    settings = Settings.resolve(lambda name: defaults.get(name) if given(name) is None else given(name))
    progress, folder = Progress(sys.stderr), default_cache_folder()
    manifest = prepare(settings.dataset_request, folder, progress.count)
    environments = settings.environments
    pairs = [
        (stage, case)
        for stage in settings.stages
        for case in settings.cases
        if not environments[case.environment].missing() and (case.device == "cpu" or gpu_names())
    ]
    if not pairs:
        raise OptionError("none of the frameworks is installed, or no device is there")
    conditions = Conditions(settings.workload(manifest), manifest, environments, settings.schedule)
    session = Session(
        pairs,
        conditions,
        folder,
        None,
        progress,
        against_itself=True,
        estimated=settings.preset.estimated,
    )
    for pair in pairs:
        session.measured(*pair)
    for failure in session.failures:
        sys.stderr.write(f"stagebench: {failure.reason}\n")
    processes = settings.schedule.processes
    sys.stdout.write(f"noise floor of comparisons with {processes} processes a case:\n")
    for stage, device, name in dict.fromkeys((s, c.device, c.environment) for s, c in pairs):
        case = next(case for _, case in pairs if (case.device, case.environment) == (device, name))
        floor = session.noise_floor(stage, case, processes)
        text = floor if isinstance(floor, str) else f"{floor:.1%}"
        sys.stdout.write(f"  {stage:<14}  {device:<4}  {name:<10}  {text}\n")
    return 1 if session.failures else 0


def ledger(path: Path) -> str:
    """Return the ledger of a saved run in Markdown.

    Raises:
        LedgerError: the run cannot be used, or one of its frameworks is not installed.
        DatasetError: the small data set that recipes are compared on cannot be written.
        WorkerError: a worker process died, or its pipeline raised.

    """
    run = read_run(path)
    unknown = run.versions.keys() - FRAMEWORKS.keys()
    if unknown:
        raise LedgerError(f"{path} holds unknown frameworks: {', '.join(sorted(unknown))}")
    real = [name for name in run.versions if FRAMEWORKS[name].imports]
    for name in real:
        if missing := FRAMEWORKS[name].missing():
            raise LedgerError(missing)
    with tempfile.TemporaryDirectory(prefix="stagebench-") as folder:
        differences = measure_differences(real, Path(folder))
    versions = {name: FRAMEWORKS[name].versions()[FRAMEWORKS[name].imports[0]] for name in real}
    return markdown(run, differences, versions)


if __name__ == "__main__":
    sys.exit(main())
