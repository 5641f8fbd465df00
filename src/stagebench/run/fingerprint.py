"""What a group's result depends on, so that it is taken for another run's only where all of it is equal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from stagebench.case import Case, plain
from stagebench.machine.info import machine_info
from stagebench.run.conditions import Conditions

Fingerprint = dict[str, Any]
"""By name, in plain JSON values."""
LIMITS = ("stage_timeout", "budget")
"""Of a schedule: what ends a measurement, and does not change it."""


def fingerprint(stage: str, cases: Sequence[Case], conditions: Conditions) -> Fingerprint:
    """Return what the result of a group depends on: cases, workload, versions, machine and code.

    The order of the cases is no part of it, and neither is the machine's name, which each container has anew.
    """
    schedule = {name: value for name, value in vars(conditions.schedule).items() if name not in LIMITS}
    environments = [conditions.environments[name] for name in sorted({case.environment for case in cases})]
    parts = {
        "stage": stage,
        "cases": sorted(case.id for case in cases),
        "workload": plain(conditions.workload),
        "data set": conditions.manifest.fingerprint,
        "schedule": schedule,
        "environments": {e.name: {"python": e.python, **e.versions()} for e in environments},
        "machine": {name: fact for name, fact in machine_info().items() if name != "node"},
        "code": code_digest(),
    }
    plain_values: Fingerprint = json.loads(json.dumps(parts))
    return plain_values


def differences(then: Fingerprint, now: Fingerprint) -> Iterator[str]:
    """Say in a few words what differs, part by part."""
    for name in {**then, **now}:
        old, new = then.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from (f"{name} {what}" for what in differences(old, new))
        elif old != new:
            yield f"{name} was {old}, is {new}"


@cache
def code_digest() -> str:
    """SHA-256 of this package's source, in hexadecimal, shortened."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
