"""How figures and names are written, in every report alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stagebench.frameworks import FRAMEWORKS
from stagebench.results.result import Result
from stagebench.results.run import Run
from stagebench.statistics.group import Group
from stagebench.statistics.ratio import Ratio, digits


def workers_legend(results: Sequence[Result]) -> str | None:
    """Say what `2w` stands for, for the most workers of these results; None where none has them."""
    counts = [one.case.workers for one in results if isinstance(one.case.workers, int)]
    if not counts:
        return None
    most = max(counts)
    loads = f"loads data in {most} further processes" if most > 1 else "loads data in one further process"
    who = {True: "chooses its threads", False: loads if most else "loads data in the process that trains"}
    present = {one.case.framework for one in results}
    real = [one for one in FRAMEWORKS.values() if one.imports and one.name in present]
    if not real:
        return None
    return f"{most}w: " + "; ".join(f"{one.name} {who[one.chooses_workers]}" for one in real) + "."


def duration(seconds: float) -> str:
    """Write a duration with three digits, in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale or unit == "us":
            value = seconds / scale
            places = 0 if value >= 100 else 1 if value >= 10 else 2
            return f"{value:,.{places}f} {unit}"
    raise AssertionError("unreachable")


def interval(result: Result) -> str:
    """Write the 95% interval of a case's time."""
    low, high = result.interval
    return f"{duration(low)} to {duration(high)}"


def unit_of(medians: Iterable[float]) -> tuple[str, float]:
    """Return the unit in which the typical time has one to three digits before the point, and its factor."""
    typical = sorted(medians)
    middle = typical[len(typical) // 2] if typical else 1.0
    return ("s", 1.0) if middle >= 1 else ("ms", 1e3) if middle >= 1e-3 else ("us", 1e6)


def short(value: float) -> float:
    """Keep four digits, which is more than the noise leaves and half the bytes."""
    return float(f"{value:.4g}")


def share(part: float) -> str:
    """Write a share in percent, with one digit at least that is not 0."""
    return f"{100 * part:#.0f}%".replace(".", "") if part >= 0.0995 else f"{100 * part:.2g}%"


def ratio_with_interval(ratio: Ratio) -> str:
    """Write a ratio and its 95% interval."""
    return f"{digits(ratio.estimate)} ({'-'.join(map(digits, ratio.interval))})"


def verdict_word(word: str) -> str:
    """Write the word of a verdict for people."""
    return "inconclusive" if word == "UNKNOWN" else word


def count(number: int, noun: str) -> str:
    """Write a number with its noun: `1 case`, `2 cases`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def relative(result: Result, group: Group) -> str:
    """Write the time of a case relative to the fastest of its group; nothing if it is alone."""
    if result.case in group.ratios:
        return ratio_with_interval(group.ratios[result.case])
    return "1" if group.ratios else ""


def about(run: Run) -> str:
    """Say on which machine, with which versions and how much was measured."""
    cpu = run.machine.cpu
    cores = f"{cpu.usable_threads or '?'} of {cpu.threads or '?'} processors"
    memory = f"{run.machine.memory_bytes / 2**30:.0f} GiB of memory"
    versions = ", ".join(f"{environment} {version}" for environment, version in run.versions.items())
    parts = [f"{run.cpu} ({cores}, {memory})", *(run.machine.gpus or ()), versions]
    when = run.datetime[:16].replace("T", " ")
    counted = f"{count(len(run.results), 'measurement')} of {count(len(run.cases), 'case')}"
    return f"{'; '.join(part for part in parts if part)}. {counted}, {when}."
