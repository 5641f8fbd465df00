"""The ledger in Markdown: what the recipe `published` does otherwise than `matched`, and what that costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

from stagebench.analysis.ratio import Ratio, paired_ratio
from stagebench.case import STAGES, Case, Stage
from stagebench.measurement.differences import Difference

COMMAND = "pytest benchmarks --recipes=published,matched --benchmark-json="


class LedgerError(Exception):
    """A file that no ledger can be made from; the message is one sentence with its path."""


@dataclass(frozen=True)
class Run:
    """What the ledger takes from a saved run."""

    cpu: str
    versions: dict[str, str]
    """By framework."""
    processes: int
    """Fresh worker processes per case; of several cases, the fewest."""
    ratios: dict[tuple[Stage, Case], Ratio]
    """By stage and the `matched` one of the two cases."""


def read_run(path: Path) -> Run:
    """Read a JSON file that `pytest benchmarks --recipes=published,matched --benchmark-json=PATH` wrote.

    Raises:
        LedgerError: the file cannot be read, is of another kind, or holds no case in both recipes.

    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise LedgerError(f"{path} is not JSON: {error}") from None
    try:
        cases = [(_case(item["extra_info"]), item) for item in content["benchmarks"]]
        infos = [item["extra_info"] for _, item in cases]
        rounds = {(item["extra_info"]["stage"], case): _rounds(item) for case, item in cases}
        versions = {info["framework"]: str(info["framework_version"]) for info in infos}
        processes = {int(info["processes"]) for info in infos}
        cpu = str(content["machine_info"]["cpu"]["brand_raw"])
    except (KeyError, TypeError, ValueError):
        raise LedgerError(f"{path} is not a run of this suite; write one with `{COMMAND}{path}`") from None
    ratios = {}
    for (stage, case), matched in rounds.items():
        published = rounds.get((stage, replace(case, recipe="published")))
        if case.recipe == "matched" and published is not None:
            if list(map(len, published)) != list(map(len, matched)) or not all(matched):
                raise LedgerError(
                    f"{path} does not hold as many rounds of {case.id} at {stage} in both recipes"
                )
            ratios[stage, case] = paired_ratio(published, matched)
    if not ratios:
        raise LedgerError(f"{path} holds no case in both recipes; write one that does with `{COMMAND}{path}`")
    return Run(cpu, versions, min(processes), ratios)


def markdown(run: Run, differences: Sequence[Difference], measured_with: Mapping[str, str]) -> str:
    """Return the ledger.

    Args:
        run: what the run cost.
        differences: what differs between its recipes.
        measured_with: version of each framework that the differences were measured with.

    """
    lines = [
        f"Times: {_versions(run.versions)}, on {run.cpu}.",
        f"Differences: {_versions(measured_with)}, on the CPU.",
        "",
        "### What differs",
        "",
        *_table(
            ("choice", "framework", "published", "matched", "measured difference"),
            [(row.choice, row.framework, row.published, row.matched, row.measured) for row in differences],
        ),
        "",
        "### What it costs",
    ]
    for settings in dict.fromkeys(case.settings for _, case in run.ratios):
        ratios = {key: ratio for key, ratio in run.ratios.items() if key[1].settings == settings}
        rivals = list(dict.fromkeys(case for _, case in ratios))
        stages = [stage for stage in STAGES if any(stage == measured for measured, _ in ratios)]
        rows = [(stage, *(str(ratios.get((stage, case), "")) for case in rivals)) for stage in stages]
        lines += ["", f"{settings}:", "", *_table(("stage", *map(_column, rivals)), rows)]
    return "\n".join([*lines, "", *_legend(run.processes), ""])


def _legend(processes: int) -> list[str]:
    covered = (
        "With one process for each case, it does not cover the variation from process to process."
        if processes == 1
        else f"It covers the variation between the {processes} processes of each case."
    )
    return [
        f"Time of `published` divided by that of `matched`, with its 95% interval. {covered}",
    ]


def _case(info: Mapping[str, Any]) -> Case:
    return Case(**{field.name: info[field.name] for field in fields(Case)})


def _rounds(benchmark: Mapping[str, Any]) -> list[list[float]]:
    """Return the seconds of every round, by process."""
    seconds, info = iter(map(float, benchmark["stats"]["data"])), benchmark["extra_info"]
    return [list(islice(seconds, rounds)) for rounds in info["rounds_per_process"]]


def _column(case: Case) -> str:
    """What tells the cases of a table apart."""
    return case.framework if case.workers == "auto" else f"{case.framework}, {case.workers} workers"


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{framework} {version}" for framework, version in versions.items())


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
