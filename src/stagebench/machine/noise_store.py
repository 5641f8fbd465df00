"""What A/A comparisons found on this machine, kept in a file for the verdicts of later runs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stagebench.case import AXES, Case
from stagebench.machine.files import lock, write
from stagebench.machine.info import machine_info

KINDS = {"stage", "framework", "device"}
"""Conditions in which a floor that differs is not worth a word."""


class NoiseStore:
    """The file `noise.json`: A/A comparisons, by machine, stage, case, versions and session."""

    def __init__(self, folder: Path, **session: Any) -> None:
        """Open the file in a folder; `session` is what a floor is for beside stage, case and versions."""
        self._path = folder / "noise.json"
        info = machine_info()
        # A host's name says nothing of its noise, and those of CI runners change.
        machine = {name: info[name] for name in ("system", "machine", "cpu", "memory_bytes", "gpus")}
        self._session = {"machine": machine, **session}

    def keep(self, stage: str, case: Case, versions: Mapping[str, str], log_ratios: Sequence[float]) -> None:
        """Write what a case and its A/A copy differed by, in place of what was found before.

        Raises:
            StorageError: the file cannot be written.

        """
        entry = {**self._conditions(stage, case, versions), "case": case.id}
        with lock(self._path.with_suffix(".lock")):
            others = [
                other
                for other in self._entries()
                if {k: v for k, v in other.items() if k != "log_ratios"} != entry
            ]
            entries = [*others, {**entry, "log_ratios": list(log_ratios)}]
            write(self._path, json.dumps(entries, indent=1).encode())

    def log_ratios(self, cases: Iterable[tuple[str, Case, Mapping[str, str]]]) -> Iterator[list[float] | str]:
        """Give for each stage, case and versions the pairs of all cases like it, or why there are none."""
        entries = self._entries()
        for one in cases:
            wanted = self._conditions(*one)
            found: list[float] = []
            missing = "no noise floor: run once more with --noise and the same options"
            for entry in entries:
                if not wanted.keys() <= entry.keys():
                    continue  # of an older version, which told fewer cases apart
                apart = [name for name, value in wanted.items() if entry[name] != value]
                if not apart:
                    found += entry["log_ratios"]
                elif KINDS.isdisjoint(apart):
                    missing = f"noise floor of another {' and '.join(apart)}: run once more with --noise"
            yield found or missing

    def _conditions(self, stage: str, case: Case, versions: Mapping[str, str]) -> dict[str, Any]:
        """Return what a floor is for. Cases that differ in nothing but axes that are `pooled` share one."""
        axes = {name: getattr(case, name) for name, axis in AXES.items() if not axis.pooled}
        conditions = {
            **self._session,
            "stage": stage,
            "framework": case.framework,
            "version": dict(versions),
            **axes,
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
