"""A run's JSON, as pytest-benchmark saves it with what this suite adds: written and read here alone.

Keys of newer versions' runs that are not known here are passed over; what older ones lack has its default.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, Literal, TypeVar

from msgspec import NODEFAULT, Meta, Struct, ValidationError, convert, defstruct, field, to_builtins
from msgspec.structs import asdict

from stagebench.case import AXES, Axis, Case, from_plain, plain
from stagebench.datasets.names import shown
from stagebench.results.info import LARGEST, Info, KnownDrift, KnownSpread, Seconds, Text
from stagebench.results.result import Result
from stagebench.results.run import Difference, Machine, NotMeasured, Pictures, Run
from stagebench.stages import STAGES
from stagebench.statistics.verdict import LEAST_SMALLEST, SMALLEST_DIFFERENCE

SECTION = "stagebench"
"""Key of the saved JSON under which the session's own record stands, beside pytest-benchmark's."""
SCHEMA = 1
"""Of that record."""
T = TypeVar("T")


class RunError(Exception):
    """A file that is no saved run, or not one that is fit for the purpose; one sentence with its path."""


def extra_info_of(result: Result) -> dict[str, Any]:
    """Return what is saved of a result beside its rounds."""
    return {**_place_of(result), **to_builtins(result.info, enc_hook=float)}  # numpy's float64


def section_of(run: Run) -> dict[str, Any]:
    """Return what is saved of a session beside what pytest-benchmark saves."""
    missing = [{**_place_of(one), "outcome": one.outcome, "reason": one.reason} for one in run.not_measured]
    told = _Section(
        SCHEMA,
        run.command,
        run.preset,
        missing,
        run.pictures,
        run.differences,
        run.smallest,
        tuple(run.known),
        tuple(run.drifts),
    )
    section: dict[str, Any] = to_builtins(told)
    return section


def _place_of(one: Result | NotMeasured) -> dict[str, Any]:
    return {"stage": one.stage, **plain(one.case)}


def _type_of(axis: Axis) -> Any:
    """Return what an axis may be in a saved run; None where there are stages to which it does not apply."""
    allowed: Any = Annotated[str, Meta(max_length=100)]
    if axis.values is None:
        allowed = Annotated[int, Meta(ge=axis.least, le=LARGEST)]
    elif axis.values:
        allowed = Literal[axis.values]
    if axis.words:
        allowed |= Literal[axis.words]
    return allowed | None if axis.may_be_none else allowed


_PLACE = defstruct(
    "Place",
    [
        ("stage", Literal[(*STAGES,)]),
        ("framework", Text),
        ("environment", Text),
        *((name, _type_of(a), a.default if a.later else NODEFAULT) for name, a in AXES.items()),
    ],
    kw_only=True,
)
_VALUES = {"stage": STAGES, **{name: a.values or ("whole numbers", *a.words) for name, a in AXES.items()}}


class _Missing(Struct):
    outcome: Text
    reason: Text


class _Section(Struct):
    schema: int = SCHEMA
    command: Sequence[Text] = []
    preset: Text = ""
    not_measured: Sequence[dict[str, Any]] = []
    pictures: Sequence[Pictures] = []
    differences: Sequence[Difference] = []
    smallest: Annotated[float, Meta(ge=LEAST_SMALLEST, le=1)] = SMALLEST_DIFFERENCE
    known: tuple[KnownSpread, ...] = ()
    drifts: tuple[KnownDrift, ...] = ()


class _Stats(Struct):
    data: Annotated[list[Seconds], Meta(min_length=1)] | None = None


class _Benchmark(Struct):
    extra_info: dict[str, Any]
    stats: _Stats


class _File(Struct):
    machine_info: Machine
    benchmarks: list[_Benchmark]
    datetime: Text = ""
    stagebench: _Section = field(default_factory=_Section)


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
    return run_of(str(path), content)


def run_of(label: str, content: Any) -> Run:
    """Return the run that a saved file holds.

    Raises:
        RunError: it is of another kind, or lacks the raw rounds.

    """
    file = _convert(label, content, _File)
    section = file.stagebench
    if section.schema != SCHEMA:
        raise RunError(f"{label} was saved by another release of stagebench (schema {section.schema})")
    results = _at_their_stages(
        [_result(label, one, f"benchmarks[{n}].extra_info") for n, one in enumerate(file.benchmarks)]
    )
    counts = Counter((result.stage, result.case) for result in results)
    for stage, case in (key for key, count in counts.items() if count > 1):
        raise RunError(f"{label} holds {case.id} at {stage} more than once")
    missing = []
    for n, entry in enumerate(section.not_measured):
        stage, case, why = _placed(label, entry, _Missing, f"{SECTION}.not_measured[{n}]")
        missing.append(NotMeasured(stage, case, why.outcome, why.reason))
    told = section.command, section.preset, section.pictures, section.differences
    judged_by = section.smallest, section.known, section.drifts
    run = Run(label, file.machine_info, file.datetime, results, missing, *told, *judged_by)
    processes: dict[str, set[int]] = {}
    for result in results:
        processes.setdefault(result.case.group(result.stage), set()).add(len(result.rounds))
    if unequal := [group for group, numbers in processes.items() if len(numbers) > 1]:
        raise RunError(f"{label} holds a group of unequal numbers of processes: {unequal[0]}")
    return run


def _result(label: str, benchmark: _Benchmark, where: str) -> Result:
    stage, case, info = _placed(label, benchmark.extra_info, Info, where)
    if benchmark.stats.data is None:
        raise RunError(f"{label} holds no raw rounds; save it with --benchmark-save-data")
    if sum(info.rounds_per_process) != len(benchmark.stats.data):
        raise RunError(f"{label} holds other than the rounds_per_process of {case.id} at {stage}")
    seconds = iter(benchmark.stats.data)
    return Result(stage, case, [list(islice(seconds, count)) for count in info.rounds_per_process], info)


def _placed(label: str, entry: dict[str, Any], rest: type[T], where: str) -> tuple[str, Case, T]:
    """Return the stage, the case, and what else stands beside their fields."""
    place = asdict(_convert(label, entry, _PLACE, where))
    traits = STAGES[place["stage"]].traits
    if lacking := [name for name, a in AXES.items() if place[name] is None and a.applies(traits)]:
        raise RunError(
            f"{label} is not a run of this suite: {where}.{lacking[0]} is null at {place['stage']}"
        )
    return place["stage"], from_plain(Case, place), _convert(label, entry, rest, where)


def _convert(label: str, content: Any, wanted: type[T], where: str = "") -> T:
    try:
        return convert(content, wanted)
    except ValidationError as error:
        told, _, place = str(error).partition(" - at `$")
        place = (where + place.rstrip("`")).lstrip(".") or "it"
        if told.startswith("Invalid enum value"):
            told += f", allowed is {', '.join(_VALUES.get(place.rpartition('.')[2], ()))}"
        hint = f"write one with `pytest benchmarks --benchmark-json={label}`"
        wrong = shorten(f"{place}: {told}", 300)
        raise RunError(f"{label} is not a run of this suite: {wrong}; {hint}") from None


def _at_their_stages(results: Sequence[Result]) -> list[Result]:
    """Return the results without axes that do not apply to their stages, which runs once had there.

    A run that has measured a stage once for each value of such an axis keeps them.
    """
    found = [replace(r, case=r.case.at(STAGES[r.stage].traits)) for r in results]
    counts = Counter((result.stage, result.case) for result in found)
    several = {stage for (stage, _), count in counts.items() if count > 1}
    return [old if old.stage in several else new for old, new in zip(results, found, strict=True)]


def _printable(content: Any) -> Any:
    """Let what would steer a terminal stand as escapes, in every string."""
    if isinstance(content, str):
        return content if content.isprintable() else "\n".join(map(shown, content.split("\n")))
    if isinstance(content, dict):
        return {_printable(key): _printable(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_printable(item) for item in content]
    return content


def _refuse(constant: str) -> float:
    raise ValueError(f"it holds {constant}")
