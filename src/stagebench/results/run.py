"""A run: what was measured in one session and what is known of it, from a saved file or as it ends."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

from stagebench.case import Case, from_plain
from stagebench.datasets.names import shown
from stagebench.results.result import Result
from stagebench.results.schema import complaint
from stagebench.stages import STAGES
from stagebench.statistics.group import Group, groups_of

SECTION = "stagebench"
"""Key of the saved JSON under which the session's own record stands, beside pytest-benchmark's."""
SCHEMA = 1
"""Of that record."""


class RunError(Exception):
    """A file that is no saved run, or not one that is fit for the purpose; one sentence with its path."""


@dataclass(frozen=True)
class NotMeasured:
    """A case that failed or was skipped at a stage."""

    stage: str
    case: Case
    outcome: str
    """`failed` or `skipped`."""
    reason: str


@dataclass(frozen=True)
class Run:
    """One session's results and its record."""

    label: str
    """What tells the run apart from others in a report."""
    machine: Mapping[str, Any]
    """pytest-benchmark's `machine_info`."""
    datetime: str
    results: Sequence[Result]
    not_measured: Sequence[NotMeasured] = ()
    command: Sequence[str] = ()
    """Arguments of the command line."""
    preset: str = ""
    """Name of the preset, where it is known."""
    pictures: Sequence[Mapping[str, str]] = ()
    """By framework, recipe and environment: `prepared` and `flipped`; see `measurement/pictures.py`."""
    differences: Sequence[Mapping[str, str]] = ()
    """How `published` was measured to differ; see `article/differences.py`."""
    groups: Sequence[Group] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", groups_of(self.results))

    @property
    def cpu(self) -> str:
        return str(self.machine["cpu"]["brand_raw"])

    @property
    def versions(self) -> dict[str, str]:
        """Framework version by environment."""
        return {r.case.environment: str(r.info["framework_version"]) for r in self.results}

    @property
    def cases(self) -> list[Case]:
        """Every case once, measured at any stage or not."""
        return list(dict.fromkeys([*(r.case for r in self.results), *(n.case for n in self.not_measured)]))

    @property
    def by_recipe(self) -> bool:
        """Whether recipes tell cases apart."""
        return len({case.recipe for case in self.cases}) > 1


def read_run(path: Path) -> Run:
    """Read a JSON file that `pytest benchmarks` has saved, or written by `--benchmark-json`.

    Raises:
        RunError: the file cannot be read, is of another kind, or lacks the raw rounds.

    """
    try:
        content = _printable(json.loads(path.read_bytes(), parse_constant=_refuse))
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is not JSON: {error}") from None
    if wrong := complaint(content):
        hint = f"write one with `pytest benchmarks --benchmark-json={path}`"
        raise RunError(f"{path} is not a run of this suite: {wrong}; {hint}")
    try:
        return run_of(str(path), content)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise RunError(f"{path} is not a run of this suite: {error!r}") from None


def run_of(label: str, content: Mapping[str, Any]) -> Run:
    """Return the run that a saved file holds.

    Raises:
        RunError: it lacks the raw rounds.
        AttributeError, KeyError, OverflowError, TypeError, ValueError: it is something else.

    """
    record = content.get(SECTION, {})
    if record.get("schema", SCHEMA) != SCHEMA:
        raise RunError(f"{label} was saved by another release of stagebench (schema {record['schema']!r})")
    results = _at_their_stages([_result(label, benchmark) for benchmark in content["benchmarks"]])
    counts = Counter((result.stage, result.case) for result in results)
    for stage, case in (key for key, count in counts.items() if count > 1):
        raise RunError(f"{label} holds {case.id} at {stage} more than once")
    run = Run(
        label=label,
        machine=content["machine_info"],
        datetime=str(content.get("datetime", "")),
        results=results,
        not_measured=[
            NotMeasured(_stage(entry), case_of(entry), str(entry["outcome"]), str(entry["reason"]))
            for entry in record.get("not_measured", ())
        ],
        command=[str(argument) for argument in record.get("command", ())],
        preset=str(record.get("preset", "")),
        pictures=[_strings(entry) for entry in record.get("pictures", ())],
        differences=[_strings(entry) for entry in record.get("differences", ())],
    )
    for group in run.groups:
        if len({tuple(map(len, result.rounds)) for result in group.results}) > 1:
            raise RunError(
                f"{label} holds a group of unequal processes or rounds: {group.results[0].case.id}"
            )
    return run


def _result(label: str, benchmark: Mapping[str, Any]) -> Result:
    info, stats = dict(benchmark["extra_info"]), benchmark["stats"]
    case, stage = case_of(info), _stage(info)
    if "data" not in stats:
        raise RunError(f"{label} holds no raw rounds; save it with --benchmark-save-data")
    seconds = iter(map(float, stats["data"]))
    rounds = [list(islice(seconds, count)) for count in info["rounds_per_process"]]
    if sum(info["rounds_per_process"]) != len(stats["data"]):
        raise RunError(f"{label} holds other than the rounds_per_process of {case.id} at {stage}")
    if not rounds or not all(rounds) or not all(0 < s < float("inf") for part in rounds for s in part):
        raise RunError(f"{label} holds a round of {case.id} at {stage} that is no time")
    return Result(stage, case, rounds, info)


def case_of(info: Mapping[str, Any]) -> Case:
    """Return the case whose fields stand among others in a dict; axes that came later may be missing.

    Raises:
        TypeError, ValueError: one is missing, or of another type.

    """
    case = from_plain(Case, info)
    if not isinstance(case.framework, str) or not isinstance(case.environment, str):
        raise ValueError("not a case")
    return case


def _at_their_stages(results: Sequence[Result]) -> list[Result]:
    """Return the results without axes that do not apply to their stages, which runs once had there.

    A run that has measured a stage once for each value of such an axis keeps them.
    """
    found = [replace(r, case=r.case.at(STAGES[r.stage].traits)) for r in results]
    counts = Counter((result.stage, result.case) for result in found)
    return [new if counts[new.stage, new.case] == 1 else old for old, new in zip(results, found, strict=True)]


def _stage(info: Mapping[str, Any]) -> str:
    stage = str(info["stage"])
    if stage not in STAGES:
        raise ValueError(f"unknown stage {stage!r}")
    return stage


def _printable(content: Any) -> Any:
    """Let what would steer a terminal stand as escapes, in every string."""
    if isinstance(content, str):
        return content if content.isprintable() else "\n".join(map(shown, content.split("\n")))
    if isinstance(content, dict):
        return {_printable(key): _printable(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_printable(item) for item in content]
    return content


def _strings(entry: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in entry.items()}


def _refuse(constant: str) -> float:
    raise ValueError(f"it holds {constant}")


def is_finite(value: Any) -> bool:
    """Say whether a figure from a saved run can be shown."""
    return isinstance(value, (int, float)) and isfinite(value)


def in_order(stages: Sequence[str]) -> list[str]:
    """Return the stages that occur, once each, in the order in which a model passes them."""
    return [stage for stage in STAGES if stage in stages]
