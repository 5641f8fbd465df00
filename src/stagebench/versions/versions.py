"""Versions of the frameworks against each other: environments, gate, one interleaved run, verdicts."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import pytest

from stagebench.datasets.cache import default_cache_folder
from stagebench.machine.files import write
from stagebench.report.comparison import Comparison, comparison_of, json_of, markdown_of, text_of
from stagebench.report.step_summary import STEP_SUMMARY, append_to_step_summary
from stagebench.results.file import read_run
from stagebench.results.run import Run
from stagebench.run.aa_copy import AGAIN
from stagebench.run.environments import Environment
from stagebench.statistics.comparison import FailOn, confirm, exit_code
from stagebench.versions.virtual_environments import Requirement, make

ROOT = Path(__file__).parents[3]
BENCHMARKS = ROOT / "benchmarks"
WORKER = Path("src", "stagebench", "run", "worker.py")
"""What a checkout must have to be measured against."""
ENVIRONMENTS = "environments"
"""Folder of the cache in which they are kept."""
DEFAULTS = ("--cache=on",)
"""What stands in for what the user does not say."""
GATE = "gate and not long"
"""Correctness tests that a version must pass before its times are taken, by the recipes that are measured."""


class VersionsError(Exception):
    """What was asked for cannot be measured; one sentence."""


@dataclass(frozen=True)
class Base:
    """The environment with which the others of its framework are compared."""

    environment: Environment
    heads: Sequence[Environment]

    @property
    def again(self) -> Environment:
        """The same interpreter under another name: what they differ by is noise."""
        return replace(self.environment, name=f"{self.environment.name}{AGAIN}")


def tell(line: str) -> None:
    """Say to the user what is done now."""
    sys.stderr.write(f"stagebench: {line}\n")
    sys.stderr.flush()


Version = Requirement | Environment
"""What to measure: a version, of which an environment is made, or an environment that is there."""


def parse_version(text: str) -> Version:
    """Take `FRAMEWORK==VERSION`, or `FRAMEWORK@LABEL=PYTHON`."""
    return Environment.parse(text) if "==" not in text and "=" in text else Requirement.parse(text)


def make_environments(versions: Sequence[Version]) -> list[Environment]:
    """Return an environment for each version, made where it is not there yet.

    Raises:
        VirtualEnvironmentError: one cannot be made.
        StorageError: the cache folder cannot be written.

    """
    return [v if isinstance(v, Environment) else make(v, _folder(), tell) for v in versions]


def _folder() -> Path:
    return default_cache_folder() / ENVIRONMENTS


def run_gate(versions: Sequence[Version], rest: Sequence[str]) -> int:
    """Run all of the gate with these versions: the first of each framework together, then the second ones.

    Returns:
        0, or 1 where a version has failed.

    """
    environments = make_environments(versions)
    by_framework = [
        [environment for environment in environments if environment.framework == framework]
        for framework in dict.fromkeys(version.framework for version in versions)
    ]
    passed = [_passes([e for e in together if e], "gate", rest) for together in zip_longest(*by_framework)]
    return 0 if all(passed) else 1


def run_versions(chosen: Namespace, rest: Sequence[str]) -> int:
    """Measure versions against each other, print the verdicts, and write them with the run and its report.

    Returns:
        0; 1 for a confirmed regression, a version that fails the gate, or a case that fails; 2 where it
        cannot be told.

    Raises:
        VersionsError, VirtualEnvironmentError, StorageError, RunError: see there.

    """
    if not BENCHMARKS.is_dir():
        raise VersionsError(f"{ROOT} holds no benchmarks; install stagebench from a clone: pip install -e .")
    if chosen.against and not (chosen.against / "src" / "stagebench").is_dir():
        raise VersionsError(f"--against={chosen.against} is no checkout: it has no src/stagebench")
    if chosen.against and not (chosen.against / WORKER).is_file():
        raise VersionsError(
            f"--against={chosen.against} is too old to measure against: it has no {WORKER}, with which this "
            "version speaks"
        )
    environments = list(dict.fromkeys(make_environments(chosen.versions)))  # newest may be one of them
    _check_options(rest)
    recipes = [option for option in rest if option.startswith("--recipes=")] or ["--recipes=matched"]
    gated = [e for e in environments if _passes([e], GATE, recipes)]
    failed = [environment.name for environment in environments if environment not in gated]
    bases = list(_bases(gated, chosen.versions, chosen.against))
    if failed:
        tell(f"the gate stopped {', '.join(failed)}: what computes something else is not measured")
    if not bases:
        tell("there is nothing to compare: give two versions of a framework, or --against")
        return 1 if failed else 2
    run, well = _measure(
        bases, chosen.output / "run.json", [*rest, f"--report={chosen.output / 'report.html'}"]
    )
    comparisons = [comparison_of(run, run, b.environment.name, head.name) for b in bases for head in b.heads]
    comparisons = _confirmed(comparisons, bases, chosen.fail_on, chosen.output / "second.json", rest)
    code = max_code([exit_code(found.changes, chosen.fail_on) for found in comparisons])
    other_fault = "a version failed the gate" if failed else "" if well else "a case failed"
    code = 1 if other_fault else code
    _write(comparisons, chosen.fail_on, chosen.output, code)
    if other_fault:
        tell(f"exit 1, whatever the verdicts say: {other_fault}")
    return code


def max_code(codes: Sequence[int]) -> int:
    """Return the code of several: a regression outweighs what cannot be told, and that what is well."""
    return 1 if 1 in codes else max(codes, default=2)


def _bases(
    environments: Sequence[Environment], versions: Sequence[Version], against: Path | None
) -> Iterator[Base]:
    """Yield what is compared with what: without `against`, a framework's first version with the others."""
    if against is not None:
        for requirement in (version for version in versions if isinstance(version, Requirement)):
            base = make(requirement, _folder(), tell, against)
            heads = [e for e in environments if base.name == f"{e.name}+base"]
            if heads:
                yield Base(base, heads)
        return
    for framework in dict.fromkeys(environment.framework for environment in environments):
        first, *others = (e for e in environments if e.framework == framework)
        if others:
            yield Base(first, others)


def _passes(environments: Sequence[Environment], tests: str, rest: Sequence[str]) -> bool:
    if missing := [reason for environment in environments if (reason := environment.missing())]:
        tell(missing[0])  # pytest would skip what cannot run, and skipping is no passing
        return False
    names = " and ".join(environment.name for environment in environments)
    tell(f"gate of {names}")
    pairs = [f"--env={environment.framework}={environment.python}" for environment in environments]
    frameworks = f"--frameworks={','.join(environment.framework for environment in environments)}"
    quiet = ("-q", "--no-header", "-p", "no:cacheprovider", "--benchmark-skip")
    command = [str(BENCHMARKS / "correctness"), "-m", tests, *quiet, frameworks, *pairs, *rest]
    done = _pytest(command, capture_output=True)
    if done.returncode:
        tell(f"gate of {names} failed:\n{done.stdout}{done.stderr}")
    else:
        tell(f"gate of {names}: {done.stdout.rstrip().rpartition(chr(10))[2]}")
    return done.returncode == 0


def _check_options(rest: Sequence[str]) -> None:
    """Let pytest look at its options before minutes are spent on the gate."""
    done = _pytest([str(BENCHMARKS), "--collect-only", "-q", *DEFAULTS, *rest], capture_output=True)
    if done.returncode == pytest.ExitCode.USAGE_ERROR:
        lines = [line for line in done.stderr.splitlines() if line and not line.startswith("  ")]
        raise VersionsError(lines[-1] if lines else "pytest does not take these options")


def _measure(bases: Sequence[Base], path: Path, options: Sequence[str]) -> tuple[Run, bool]:
    """Measure all environments in turns; returns the run, and whether no case has failed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # so that no earlier run is taken for this one
    environments = [e for base in bases for e in (base.environment, base.again, *base.heads)]
    tell(f"measuring {', '.join(environment.name for environment in environments)}")
    pairs = [f"--env={environment.name}={environment.python}" for environment in environments]
    done = _pytest(
        [
            str(BENCHMARKS),
            "--frameworks=none",
            *pairs,
            *DEFAULTS,
            f"--benchmark-json={path}",
            *options,
        ]
    )
    if not path.is_file():
        raise VersionsError(f"nothing was measured: pytest ended with exit code {done.returncode}")
    return read_run(path), done.returncode == 0


def _confirmed(
    comparisons: Sequence[Comparison], bases: Sequence[Base], fail_on: FailOn, path: Path, rest: Sequence[str]
) -> list[Comparison]:
    """Measure the stages of regressions once more, and return the comparisons with what that found."""
    stages = {change.stage for found in comparisons for change in found.changes if fail_on.fails(change)}
    if not stages:
        return list(comparisons)
    tell(f"a regression in {', '.join(stages)}: measuring it a second time before it counts")
    run, _ = _measure(bases, path, [*rest, f"--stages={','.join(stages)}"])
    confirmed = []
    for found in comparisons:
        second = comparison_of(run, run, found.base, found.head)
        failing = {change.key for change in found.changes if fail_on.fails(change)}
        again = [change for change in second.changes if change.key in failing]
        confirmed.append(replace(found, changes=confirm(found.changes, again)))
    return confirmed


def _write(comparisons: Sequence[Comparison], fail_on: FailOn, folder: Path, code: int) -> None:
    for found in comparisons:
        sys.stdout.write(f"\n{text_of(found, fail_on)}")
    markdown = "\n".join(markdown_of(found, fail_on) for found in comparisons)
    write(folder / "verdicts.md", markdown.encode())
    write(folder / "verdicts.json", json_of(comparisons, fail_on, code).encode())
    append_to_step_summary(markdown, tell)
    tell(f"run, report and verdicts are in {folder}")


def _pytest(arguments: Sequence[str], capture_output: bool = False) -> subprocess.CompletedProcess[str]:
    """Run pytest in a process of its own; its summary is not GitHub's: the verdicts are."""
    environment = {name: value for name, value in os.environ.items() if name != STEP_SUMMARY}
    command = [sys.executable, "-P", "-m", "pytest", *arguments]  # -P: not the working folder's modules
    return subprocess.run(  # noqa: S603  # no shell sees it
        command, env=environment, check=False, text=True, capture_output=capture_output
    )
