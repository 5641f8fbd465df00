"""Sentences on the conditions of a run: what is unequal within a group, and what slows all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stagebench.datasets.names import shown
from stagebench.frameworks import THREAD_VARIABLES
from stagebench.results.run import Run


def condition_sentences(run: Run) -> list[str]:
    """Say what of a run's conditions is unequal or unusual; nothing of what is neither."""
    by_recipe = len({case.recipe for case in run.cases}) > 1
    threads: dict[str, int] = {}
    shared: dict[str, str] = {}
    unequal: dict[str, dict[str, str]] = {}
    for group in run.groups:
        sides = {
            f"{r.case.environment} {r.case.recipe}" if by_recipe else r.case.environment: r.info
            for r in group.results
        }
        counts = {side: info.threads for side, info in sides.items() if info.threads}
        if len({*counts.values()}) > 1:
            threads |= counts
        facts = {side: info.conditions.facts for side, info in sides.items() if info.conditions}
        for name in dict.fromkeys(name for of_side in facts.values() for name in of_side):
            values = {side: of_side.get(name, "none") for side, of_side in facts.items()}
            if len({*values.values()}) > 1:
                unequal.setdefault(name, {}).update(values)
            else:
                shared[name] = next(iter(values.values()))
    shared = {name: shown(value) for name, value in shared.items() if name not in unequal}
    return [*_unequal_threads(run, threads, shared), *_unequal_facts(unequal), *_unusual(run, shared)]


def _unequal_threads(run: Run, threads: Mapping[str, int], shared: dict[str, str]) -> Iterator[str]:
    """Say on how many threads each side computes, and take the variables that explain it out of `shared`."""
    if not threads:
        return
    first, *others = sorted(threads, key=lambda side: threads[side])
    told = [f"{first} computes on {threads[first]} thread{'s' if threads[first] > 1 else ''}"]
    told += [f"{side} on {threads[side]}" for side in others]
    set_to = ", ".join(f"{name}={shared.pop(name)}" for name in THREAD_VARIABLES if name in shared)
    because = f" ({set_to})" if set_to else ""
    equal = min(max(threads.values()), run.machine.cpu.usable_threads or max(threads.values()))
    yield f"{', '.join(told)}{because}: not equal conditions; --threads={equal} makes them equal."


def _unequal_facts(unequal: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for name, values in unequal.items():
        told = ", ".join(f"{side} {shown(value)}" for side, value in values.items())
        yield f"{name}: {told}: not equal conditions."


def _unusual(run: Run, shared: Mapping[str, str]) -> Iterator[str]:
    """Say what limits or slows down all sides."""
    cpu, variables = run.machine.cpu, dict(shared)
    variables.pop("processors", None)
    quota, tracers = variables.pop("CPU quota", ""), variables.pop("tracers", "")
    if cpu.usable_threads and cpu.threads and cpu.usable_threads < cpu.threads:
        yield f"Affinity: {cpu.usable_threads} of {cpu.threads} processors."
    if quota and not float(quota) >= (cpu.usable_threads or float("inf")):
        yield f"CPU quota: {quota} of {cpu.usable_threads or '?'} processors."
    if tracers:
        yield f"Traced, which takes time: {tracers}."
    if variables:
        set_to = ", ".join(f"{name}={value}" for name, value in variables.items())
        yield f"Variables that change speed: {set_to}."
