"""The journal: every finished group on disk, so that a run that is interrupted can be resumed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from stagebench.case import Case
from stagebench.measurement.fingerprint import Fingerprint, differences
from stagebench.measurement.sample import Failure, Measurement, ProcessRecord, Sample
from stagebench.measurement.wire import encode
from stagebench.pipelines.contract import Facts

Results = Mapping[Case, Measurement | Failure]


class JournalError(Exception):
    """The journal cannot be written; the message is one sentence with its path."""


class Journal:
    """A file of JSON lines, one for each finished group; locked while its session lives.

    It is made with the first group that is kept, and goes when its session ends well: what it holds is then
    in the session's saved results.
    """

    def __init__(
        self, path: Path, entries: Mapping[str, dict[str, Any]] | None = None, file: IO[str] | None = None
    ) -> None:
        self.path = path
        self._entries = entries or {}
        self._file = file

    @classmethod
    def new(cls, folder: Path) -> Journal:
        """Return an empty journal in the folder."""
        return cls(folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}-{os.getpid()}.jsonl")

    @classmethod
    def resume(cls, folder: Path) -> Journal | None:
        """Return the newest journal in the folder that no living session holds, or None."""
        for path in sorted(folder.glob("*.jsonl"), reverse=True):
            file = _lock(path)
            if file:
                entries = _entries(path)
                complete = path.read_bytes().rfind(b"\n") + 1
                os.truncate(path, complete)  # a line that was cut off by a kill
                return cls(path, {entry["group"]: entry for entry in entries}, file)
        return None

    @property
    def groups(self) -> int:
        """How many groups an earlier session has left."""
        return len(self._entries)

    def take(self, group: str, fingerprint: Fingerprint, cases: list[Case]) -> Results | str | None:
        """Return what an earlier session found, why it cannot be taken, or None if there is nothing."""
        entry = self._entries.get(group)
        if entry is None:
            return None
        if apart := "; ".join(differences(entry["fingerprint"], fingerprint)):
            return apart
        if any("reason" in result for result in entry["results"]):
            return "a case has failed"
        return {case: _measurement(result) for case, result in zip(cases, entry["results"], strict=True)}

    def keep(self, group: str, fingerprint: Fingerprint, results: Results) -> None:
        """Write a finished group; when this returns, it is on disk."""
        entry = {
            "group": group,
            "fingerprint": fingerprint,
            "results": [encode(result) for result in results.values()],
        }
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                hidden = self.path.with_suffix(".new")  # nobody resumes it before it is locked
                self._file = hidden.open("x")
                fcntl.flock(self._file, fcntl.LOCK_EX)
                hidden.rename(self.path)
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise JournalError(f"the journal {self.path} cannot be written: {error.strerror}") from None

    def end(self, well: bool) -> None:
        """Delete the file if its session has saved everything; else leave it to a later one."""
        if self._file:
            if well:
                self.path.unlink(missing_ok=True)
            self._file.close()


def _lock(path: Path) -> IO[str] | None:
    """Open the file to append to it, or return None if a living session holds it."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _entries(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a journal; a last line that was cut off, or a damaged one, is no entry."""
    entries = []
    for line in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and entry.keys() == {"group", "fingerprint", "results"}:
                entries.append(entry)
    return entries


def _measurement(value: Mapping[str, Any]) -> Measurement:
    processes = [
        ProcessRecord(
            **{
                **process,
                "facts": Facts(**process["facts"]),
                "cold": Sample(**process["cold"]),
                "rounds": [Sample(**sample) for sample in process["rounds"]],
            }
        )
        for process in value["processes"]
    ]
    return Measurement(processes, value["stopped_by"])
