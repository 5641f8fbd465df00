"""The command `stagebench`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stagebench.dataset import DatasetError
from stagebench.measurement.differences import measure_differences
from stagebench.measurement.process import WorkerError
from stagebench.pipelines import FRAMEWORKS
from stagebench.reporting.ledger import LedgerError, markdown, read_run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit code, which is 2 where an error was reported."""
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
    chosen = parser.parse_args(arguments)
    try:
        sys.stdout.write(ledger(chosen.run))
    except (LedgerError, DatasetError, WorkerError) as error:
        sys.stderr.write(f"stagebench: {error}\n")
        return 2
    return 0


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
