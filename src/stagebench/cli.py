"""The command `stagebench`: one function for each subcommand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stagebench.analysis.group import floor_of
from stagebench.dataset import DatasetError, default_cache_folder, prepare
from stagebench.measurement.errors import StorageError
from stagebench.measurement.machine import gpu_names
from stagebench.measurement.schedule import Conditions
from stagebench.options import OPTIONS, PRESET, OptionError, Settings
from stagebench.reporting.history import Axis, read_history
from stagebench.reporting.ledger import COMMAND, LedgerError, ledger
from stagebench.reporting.markdown import markdown
from stagebench.reporting.output import (
    append_to_step_summary,
    write_charts,
    write_history,
    write_markdown,
    write_page,
)
from stagebench.reporting.progress import Progress
from stagebench.reporting.report import Report
from stagebench.reporting.run import RunError, read_run
from stagebench.session import Session

TO_FILES = ("svg", "png")
NOISE_PROCESSES = 5
"""Fresh processes of each twin, where `stagebench noise` is not told otherwise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit code: 1 where a case failed, 2 where an error was reported."""
    parser = argparse.ArgumentParser(prog="stagebench")
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = subcommands.add_parser(
        "ledger",
        help="list what the recipe `published` does otherwise than `matched`, and what that costs",
        description="Read from a saved run what the recipe `published` computes otherwise than `matched` and "
        "what that costs, and print both as Markdown.",
    )
    command.add_argument(
        "run",
        metavar="RUN.json",
        type=Path,
        help=f"what `{COMMAND}RUN.json` wrote",
    )
    command.set_defaults(run_command=lambda chosen: print_ledger(chosen.run))
    command = subcommands.add_parser(
        "report",
        help="make a page, a text or pictures of saved runs",
        description="Make a report of runs that `pytest benchmarks` has saved (in .benchmarks/, or by "
        "--benchmark-json).",
    )
    command.add_argument("runs", metavar="RUN.json", nargs="+", type=Path, help="a saved run")
    command.add_argument(
        "--format",
        choices=("html", *TO_FILES, "markdown"),
        default="html",
        help="html: one page that opens offline (default); markdown: for a pull request, also appended to "
        "$GITHUB_STEP_SUMMARY; svg, png: each chart as a file",
    )
    command.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        type=Path,
        help="the file (default: report.html; for markdown the standard output), or for svg and png the "
        "folder (default: charts)",
    )
    command.set_defaults(run_command=lambda chosen: make_report(chosen.runs, chosen.format, chosen.output))
    command = subcommands.add_parser(
        "noise",
        help="measure what equal cases differ by on this machine, and keep it for the verdicts of later runs",
        description="Measure each case against itself and keep what it differs by: the noise floor, without "
        "which a run gives no verdicts. Takes the options of `pytest benchmarks`.",
    )
    for option in (*OPTIONS, PRESET):
        command.add_argument(option.flag, **option.arguments)
    command.set_defaults(run_command=lambda chosen: measure_noise(lambda name: getattr(chosen, name)))
    _add_history(subcommands)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run_command(chosen)
    except (DatasetError, LedgerError, OptionError, RunError, StorageError) as error:
        sys.stderr.write(f"stagebench: {error}\n")
        return 2
    return code


def make_report(runs: Sequence[Path], kind: str, output: Path | None) -> int:
    """Write a report of saved runs.

    Raises:
        RunError: a file is no saved run.
        StorageError: the report cannot be written.

    """
    report = Report([read_run(path) for path in runs])
    if kind in TO_FILES:
        paths = write_charts(report, kind, output or Path("charts"))
        written = f"{len(paths)} charts in {output or 'charts'}"
    elif kind == "html":
        path = output or Path("report.html")
        write_page(report, path)
        written = str(path)
    else:
        summary = append_to_step_summary(report)
        if output is None:
            sys.stdout.write(markdown(report))
        else:
            write_markdown(report, output)
        written = ", ".join(str(path) for path in (output, summary) if path)
    if written:
        sys.stderr.write(f"stagebench: wrote {written}\n")
    return 0


def _add_history(subcommands: Any) -> None:
    command = subcommands.add_parser(
        "history",
        help="make a page of how times developed over dates or framework versions, with their steps",
        description="Make a page of the times of every stage and case over many saved runs, with the steps "
        "that a change-point test finds. Files that are no run of this suite are named and passed over.",
    )
    command.add_argument(
        "runs", metavar="RUNS", nargs="+", type=Path, help="a saved run, or a folder with *.json at any depth"
    )
    command.add_argument(
        "--by", choices=("date", "version"), default="date", help="what times are shown over (default: date)"
    )
    command.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        type=Path,
        default=Path("history.html"),
        help="the page (default: history.html)",
    )
    command.set_defaults(run_command=lambda chosen: make_history(chosen.runs, chosen.by, chosen.output))


def make_history(paths: Sequence[Path], axis: Axis, output: Path) -> int:
    """Write the page of a history; files that cannot be shown do not fail it.

    Raises:
        StorageError: the page cannot be written.

    """
    history = read_history(paths, axis)
    for reason in history.passed_over:
        sys.stderr.write(f"stagebench: passed over: {reason}\n")
    write_history(history, output)
    found = f"{len(history.found)} steps in {len(history.series)} series of {len(history.runs)} runs"
    sys.stderr.write(f"stagebench: wrote {output}: {found}\n")
    return 0


def print_ledger(path: Path) -> int:
    """Print the ledger of a saved run.

    Raises:
        RunError: the file is no saved run.
        LedgerError: no ledger can be made from the run.

    """
    sys.stdout.write(ledger(read_run(path)))
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
        floor = floor_of(session.noise(stage, case), processes)
        text = floor if isinstance(floor, str) else f"{floor:.1%}"
        sys.stdout.write(f"  {stage:<14}  {device:<4}  {name:<10}  {text}\n")
    return 1 if session.failures else 0


if __name__ == "__main__":
    sys.exit(main())
