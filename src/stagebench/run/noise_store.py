"""What A/A comparisons found on this machine, kept in a file for the verdicts of later runs."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from stagebench.case import Case, Stage, plain
from stagebench.machine.errors import StorageError
from stagebench.machine.files import write
from stagebench.machine.info import machine_info
from stagebench.run.schedule import Conditions

TWIN = " again"


def twin(case: Case) -> Case:
    """Return a case equal to this one, to measure it against."""
    return replace(case, environment=case.environment + TWIN)


def is_twin(case: Case) -> bool:
    """Say whether the case is the copy of another."""
    return case.environment.endswith(TWIN)


class NoiseStore:
    """The file `noise.json`: pairs of equal cases, by machine, stage, device, framework and workload."""

    def __init__(self, folder: Path, conditions: Conditions) -> None:
        self._path = folder / "noise.json"
        self._conditions = conditions
        info = machine_info()
        # A host's name says nothing of its noise, and those of CI runners change.
        self._machine = {name: info[name] for name in ("system", "machine", "cpu", "memory_bytes", "gpus")}

    def keep(self, stage: Stage, case: Case, log_ratios: Sequence[float]) -> None:
        """Write what a case and its twin differed by, in place of what was found before.

        Raises:
            StorageError: the file cannot be written.

        """
        entry = {**self._conditions_of(stage, case), "case": case.id}
        with self._locked():
            others = [
                other
                for other in self._entries()
                if {k: v for k, v in other.items() if k != "log_ratios"} != entry
            ]
            entries = [*others, {**entry, "log_ratios": list(log_ratios)}]
            write(self._path, json.dumps(entries, indent=1).encode())

    def log_ratios(self, stage: Stage, case: Case) -> list[float] | str:
        """Return the pairs of all cases like this one, or why there are none."""
        wanted = self._conditions_of(stage, case)
        found: list[float] = []
        missing = "no noise floor: give --noise, or run `stagebench noise` with the same options"
        for entry in self._entries():
            apart = [name for name, value in wanted.items() if entry.get(name) != value]
            if not apart:
                found += entry["log_ratios"]
            elif not {"stage", "device", "framework"} & set(apart):
                missing = (
                    f"noise floor of another {' and '.join(apart)}: give --noise, or run `stagebench noise`"
                )
        return found or missing

    def _conditions_of(self, stage: Stage, case: Case) -> dict[str, Any]:
        """Return what a floor is for. Batch size, cache and the like are pooled."""
        schedule = self._conditions.schedule
        conditions = {
            "machine": self._machine,
            "stage": stage,
            "device": case.device,
            "framework": case.framework,
            "recipe": case.recipe,
            "workload": {
                **plain(self._conditions.workload),
                "data set": self._conditions.manifest.fingerprint,
            },
            "schedule": {name: getattr(schedule, name) for name in ("rounds", "threads", "retain_memory")},
        }
        plain_values: dict[str, Any] = json.loads(json.dumps(conditions))
        return plain_values

    def _entries(self) -> list[dict[str, Any]]:
        """Return what was kept; a damaged file holds nothing, and is put aside before it is written anew."""
        try:
            entries: list[dict[str, Any]] = json.loads(self._path.read_text())
            for entry in entries:
                entry["log_ratios"] = [float(value) for value in entry["log_ratios"]]
        except OSError:
            return []
        except (KeyError, TypeError, ValueError):
            with contextlib.suppress(OSError):
                self._path.replace(self._path.with_suffix(".damaged"))
            return []
        return entries

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with (self._path.parent / "noise.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StorageError(f"the noise floors {self._path} cannot be kept: {error.strerror}") from None
