"""What earlier runs have shown of this machine's noise, kept in a file for the verdicts of later ones."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagebench.case import AXES, Case
from stagebench.machine.files import lock, write
from stagebench.machine.info import machine_info

KEPT = 20
"""Of the same cases, so many entries are kept, the latest: a machine changes."""
AXES_OF_KIND = tuple(name for name, axis in AXES.items() if not axis.pooled)
"""Cases that differ in nothing but the other axes scatter alike."""


@dataclass(frozen=True)
class SeenSpread:
    """How far the ratio of two cases scattered from process to process in one run."""

    stage: str
    kinds: tuple[str, str]
    spread: float
    freedom: float


@dataclass(frozen=True)
class SeenLevel:
    """What a case took in one run."""

    stage: str
    case: str
    """Its kind and its id."""
    level: float
    """Mean of the logarithms of its processes' medians, in seconds."""
    error: float
    """Standard error of that, by what its processes scatter by."""


def kind_of(framework: str, versions: Mapping[str, str], axes: Mapping[str, Any]) -> str:
    """Return what the spread of a case is known by."""
    of = [f"{name} {version}" for name, version in sorted(versions.items())]
    return ", ".join([framework, *of, *(f"{name} {axes[name]}" for name in AXES_OF_KIND if name in axes)])


def kind_of_case(case: Case, versions: Mapping[str, str]) -> str:
    """Return the kind of a case, given the versions of its framework's packages."""
    return kind_of(case.framework, versions, {name: getattr(case, name) for name in AXES_OF_KIND})


class NoiseStore:
    """The file `noise.json`: spreads and levels, by machine, conditions of a session, stage and kinds."""

    def __init__(self, folder: Path, **session: Any) -> None:
        """Open the file in a folder; `session` is what must be equal beside the machine."""
        self._path = folder / "noise.json"
        info = machine_info()
        # A host's name says nothing of its noise, and those of CI runners change.
        self.machine = {name: info[name] for name in ("system", "machine", "cpu", "memory_bytes", "gpus")}
        self._session: dict[str, Any] = json.loads(json.dumps({"machine": self.machine, **session}))

    def keep(self, spreads: Iterable[SeenSpread], levels: Iterable[SeenLevel]) -> None:
        """Add what one run has shown.

        Raises:
            StorageError: the file cannot be written.

        """
        new = [{**self._session, **vars(one)} for one in (*spreads, *levels)]
        with lock(self._path.with_suffix(".lock")):
            entries = [*self._entries(), *json.loads(json.dumps(new))]
            write(self._path, json.dumps(_latest(entries), indent=1).encode())

    def spreads(self) -> list[SeenSpread]:
        """Return the spreads that were seen under the conditions of the session, the oldest first."""
        return [
            SeenSpread(one["stage"], (one["kinds"][0], one["kinds"][1]), one["spread"], one["freedom"])
            for one in self._of_session()
            if "spread" in one
        ]

    def levels(self) -> list[SeenLevel]:
        """Return the levels, likewise."""
        names = ("stage", "case", "level", "error")
        return [SeenLevel(*(one[name] for name in names)) for one in self._of_session() if "level" in one]

    def _of_session(self) -> list[dict[str, Any]]:
        wanted = self._session
        return [one for one in self._entries() if {k: v for k, v in one.items() if k in wanted} == wanted]

    def _entries(self) -> list[dict[str, Any]]:
        """Return what was kept; a damaged file holds nothing, and is put aside before it is written anew."""
        try:
            return [_checked(entry) for entry in json.loads(self._path.read_text())]
        except OSError:
            return []
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            with contextlib.suppress(OSError):
                self._path.replace(self._path.with_suffix(".damaged"))
            return []


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry with figures for figures; of an older version's A/A pairs, their spread."""
    if "log_ratios" in entry:
        ratios = [float(value) for value in entry.pop("log_ratios")]
        kind = kind_of(entry.pop("framework"), entry.pop("version"), entry)
        entry = {name: value for name, value in entry.items() if name not in (*AXES, "case")}
        spread = (sum(ratio**2 for ratio in ratios) / len(ratios)) ** 0.5 if ratios else 0.0
        return {**entry, "kinds": [kind, kind], "spread": spread, "freedom": max(1, len(ratios))}
    names: Sequence[str] = ("spread", "freedom") if "spread" in entry else ("level", "error")
    if "spread" in entry:
        entry["kinds"] = [str(entry["kinds"][0]), str(entry["kinds"][1])]
    figures = {name: float(entry[name]) for name in names}
    if not all(abs(figure) < 1e6 for figure in figures.values()) or figures.get("freedom", 1) <= 0:
        raise ValueError("a figure of no machine")
    return {**entry, "stage": str(entry["stage"]), **figures}


def _latest(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the latest entries of the same cases, in their order."""
    kept: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    figures = ("spread", "freedom", "level", "error")
    for entry in reversed(entries):
        key = json.dumps({k: v for k, v in entry.items() if k not in figures} | {"level": "level" in entry})
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= KEPT:
            kept.append(entry)
    return kept[::-1]
