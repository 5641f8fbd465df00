"""The command `stagebench`: one function for each subcommand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stagebench.article.ledger import COMMAND, LedgerError, ledger
from stagebench.datasets.errors import DatasetError
from stagebench.history.history import Order, read_history
from stagebench.history.page import history_page
from stagebench.machine.errors import StorageError
from stagebench.machine.files import write
from stagebench.report.comparison import comparison_of, json_of, markdown_of, text_of
from stagebench.report.markdown import markdown
from stagebench.report.output import format_of, write_charts, write_report
from stagebench.report.report import Report
from stagebench.report.step_summary import append_to_step_summary
from stagebench.results.file import RunError, read_run
from stagebench.statistics.comparison import FailOn, exit_code
from stagebench.versions.versions import (
    VersionsError,
    make_environments,
    parse_version,
    run_gate,
    run_versions,
    tell,
)
from stagebench.versions.virtual_environments import NEWEST, VirtualEnvironmentError

Subcommands = Any  # argparse names no type for what `add_subparsers` returns

TO_FILES = ("svg", "png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit code: 1 where a case failed, 2 where an error was reported."""
    parser = argparse.ArgumentParser(prog="stagebench")
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        _add_report,
        _add_ledger,
        _add_compare,
        _add_history,
        _add_env,
        _add_gate,
        _add_versions,
    ):
        add(subcommands)
    chosen, rest = parser.parse_known_args(arguments)
    if rest and not getattr(chosen, "hands_on", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    chosen.rest = rest
    try:
        code: int = chosen.run_command(chosen)
    except (
        DatasetError,
        LedgerError,
        RunError,
        StorageError,
        VersionsError,
        VirtualEnvironmentError,
    ) as error:
        sys.stderr.write(f"stagebench: {error}\n")
        return 2
    return code


def _add_ledger(subcommands: Subcommands) -> None:
    command = subcommands.add_parser(
        "ledger",
        help="list how the recipe `published` differs from `matched`, and what that costs",
        description="Read from a saved run how the recipe `published` differs from `matched` and what "
        "that costs, and print both as Markdown.",
    )
    command.add_argument("run", metavar="RUN.json", type=Path, help=f"what `{COMMAND}RUN.json` wrote")
    command.set_defaults(run_command=lambda chosen: print_ledger(chosen.run))


def _add_report(subcommands: Subcommands) -> None:
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
        help="html: one page that opens offline (default); markdown: for a pull request, also appended to "
        "$GITHUB_STEP_SUMMARY (default where the file's name ends in .md); svg, png: each chart as a file",
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


def _add_compare(subcommands: Subcommands) -> None:
    command = subcommands.add_parser(
        "compare",
        help="say of every stage and case whether it became faster or slower from one saved run to another",
        description="Compare saved runs, or two environments of one (RUN.json#torch@2.14.1). Exit code 0: no "
        "regression; 1: a regression; 2: that cannot be told, or a file cannot be read.",
    )
    command.add_argument("base", metavar="BASE", help="RUN.json, or RUN.json#ENVIRONMENT")
    command.add_argument("head", metavar="HEAD", help="the same of what is compared with it")
    command.add_argument(
        "--format", choices=("text", "json", "markdown"), default="text", help="default: text"
    )
    command.add_argument(
        "-o", "--output", metavar="PATH", type=Path, help="a file (default: standard output)"
    )
    _add_fail_on(command)
    command.set_defaults(run_command=compare_runs)


def _add_fail_on(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--fail-on",
        type=FailOn.parse,
        default=FailOn(),
        metavar="slower[:PERCENT%]",
        help="what is a regression: every SLOWER (default), one by more than so much, or for a stage of its "
        "own training=slower:20%%; separated by commas",
    )


def _add_env(subcommands: Subcommands) -> None:
    command = subcommands.add_parser(
        "env",
        help="make an environment with a version of a framework, and print the option that measures it",
        description="Make environments with uv, keep them in the cache folder, print their --env options.",
    )
    _add_versions_to_make(command)
    command.set_defaults(run_command=print_environments)


def _add_gate(subcommands: Subcommands) -> None:
    command = subcommands.add_parser(
        "gate",
        help="run the correctness tests with versions of the frameworks",
        description="Run the correctness gate with these versions, the first of each framework together, "
        "then the second ones. Hands further --options on to pytest.",
    )
    _add_versions_to_make(command)
    command.set_defaults(run_command=lambda chosen: run_gate(chosen.versions, chosen.rest), hands_on=True)


def _add_versions(subcommands: Subcommands) -> None:
    command = subcommands.add_parser(
        "versions",
        help="measure versions of the frameworks against each other, and say which became slower",
        description="Make environments, run the gate in each, measure all of them in turns, and compare "
        "every version of a framework with its first one. Hands further --options (with =) on to `pytest "
        "benchmarks`. Exit code 0: no regression; 1: a confirmed one, or a version that fails the gate; 2: "
        "it cannot be told.",
    )
    _add_versions_to_make(command)
    command.add_argument(
        "--against",
        metavar="FOLDER",
        type=Path,
        help="another checkout of stagebench: compare each version with what its pipelines take",
    )
    command.add_argument(
        "--output",
        metavar="FOLDER",
        type=Path,
        default=Path("versions"),
        help="where run.json, report.html, verdicts.md and verdicts.json are written (default: versions)",
    )
    _add_fail_on(command)
    command.set_defaults(run_command=lambda chosen: run_versions(chosen, chosen.rest), hands_on=True)


def _add_versions_to_make(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "versions",
        metavar="FRAMEWORK==VERSION",
        nargs="+",
        type=parse_version,
        help=f"e.g. torch==2.14.1, torch=={NEWEST}, or an environment that is there: torch@dev=bin/python",
    )


def print_environments(chosen: argparse.Namespace) -> int:
    """Make environments and print their options, one a line.

    Raises:
        VirtualEnvironmentError: one cannot be made.

    """
    for version in chosen.versions:
        (environment,) = make_environments([version])
        sys.stdout.write(f"--env {environment.name}={environment.python}\n")
    return 0


def compare_runs(chosen: argparse.Namespace) -> int:
    """Compare saved runs and print the verdicts.

    Raises:
        RunError: a file is no saved run, or holds no such environment.
        StorageError: the file cannot be written.

    """
    (base, of_base), (head, of_head) = (_run_and_environment(text) for text in (chosen.base, chosen.head))
    found = comparison_of(read_run(base), read_run(head), of_base, of_head)
    code = exit_code(found.changes, chosen.fail_on)
    if chosen.format == "json":
        text = json_of([found], chosen.fail_on, code)
    else:
        text = (text_of if chosen.format == "text" else markdown_of)(found, chosen.fail_on)
    if chosen.output is None:
        sys.stdout.write(text)
    else:
        write(chosen.output, text.encode())
    return code


def _run_and_environment(text: str) -> tuple[Path, str | None]:
    path, _, environment = text.partition("#")
    return (Path(text), None) if Path(text).exists() else (Path(path), environment or None)


def make_report(runs: Sequence[Path], kind: str | None, output: Path | None) -> int:
    """Write a report of saved runs, in the format that the output's name says where `kind` is None.

    Raises:
        RunError: a file is no saved run.
        StorageError: the report cannot be written.

    """
    report = Report([read_run(path) for path in runs])
    kind = kind or format_of(output or Path())
    if kind in TO_FILES:
        paths = write_charts(report, kind, output or Path("charts"))
        written = f"{len(paths)} charts in {output or 'charts'}"
    elif kind == "html":
        path = output or Path("report.html")
        write_report(report, path, kind)
        written = str(path)
    else:
        summary = append_to_step_summary(markdown(report), tell)
        if output is None:
            sys.stdout.write(markdown(report))
        else:
            write_report(report, output, kind)
        written = ", ".join(str(path) for path in (output, summary) if path)
    if written:
        tell(f"wrote {written}")
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


def make_history(paths: Sequence[Path], axis: Order, output: Path) -> int:
    """Write the page of a history; files that cannot be shown do not fail it.

    Raises:
        StorageError: the page cannot be written.

    """
    history = read_history(paths, axis)
    for reason in history.passed_over:
        sys.stderr.write(f"stagebench: passed over: {reason}\n")
    write(output, history_page(history).encode())
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


if __name__ == "__main__":
    sys.exit(main())
