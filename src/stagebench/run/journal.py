"""The journal: every finished group on disk, so that a run that is interrupted can be resumed."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from stagebench.case import Case, from_plain
from stagebench.datasets.locks import locked, try_lock
from stagebench.frameworks.contract import RuntimeInfo
from stagebench.machine.errors import StorageError
from stagebench.run.fingerprint import Fingerprint, differences
from stagebench.run.sample import Failure, Measurement, ProcessRecord, Sample
from stagebench.run.wire import encode

Results = Mapping[Case, Measurement | Failure]
Entry = dict[str, Any]


@dataclass
class _Earlier:
    """The journal of a session that has ended without saving."""

    path: Path
    file: IO[str]
    """Locked, so that no other session takes the same groups."""

    entries: list[Entry]
    used: list[Entry] = field(default_factory=list)
    """Entries that this session has taken, or measured again under the same fingerprint."""

    def use(self, fingerprint: Fingerprint) -> None:
        """Note that nothing is left to take of a group; one that was continued has several lines."""
        self.used += [entry for entry in self.entries if entry["fingerprint"] == fingerprint]


class Journal:
    """Files of JSON lines, a line for each finished group; each locked while its session lives.

    A session makes its own with the first group that it keeps. It goes when the session ends well: what it
    holds is then in the saved results. An earlier one goes when nothing in it is left to take.
    """

    def __init__(self, folder: Path, resume: bool = False) -> None:
        """Begin an empty journal; with `resume`, next to those of sessions that live no more.

        Raises:
            StorageError: no file can be written in the folder.

        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()  # now, and not after the first group
        except OSError as error:
            raise StorageError(f"no result can be kept in {folder.absolute()}: {error.strerror}") from None
        self.path = folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}-{os.getpid()}.jsonl"
        self._file: IO[bytes] | None = None
        self._earlier = list(_unlocked(folder)) if resume else []

    @property
    def groups(self) -> int:
        """How many groups earlier sessions have left."""
        return len({entry["group"] for journal in self._earlier for entry in journal.entries})

    def take(self, group: str, fingerprint: Fingerprint, cases: list[Case]) -> Results | str | None:
        """Return what an earlier session found, why it cannot be taken, or None if there is nothing."""
        why: str | None = None
        for journal, entry in self._entries_of(group):
            found = _results(entry, fingerprint, cases)
            if not isinstance(found, str):
                journal.use(fingerprint)
                return found
            why = why or found
        return why

    def keep(self, group: str, fingerprint: Fingerprint, results: Results) -> None:
        """Write a finished group; when this returns, it is on disk.

        Raises:
            StorageError: the file cannot be written.

        """
        found = [encode(results[case]) for case in _in_order(results)]
        self._write({"group": group, "fingerprint": fingerprint, "results": found})
        for journal in self._earlier:
            journal.use(fingerprint)

    def forget(self, group: str) -> None:
        """Take a group of this session back, because a check of it has failed: it is to be measured again."""
        if self._file:
            self._write({"forgotten": group})

    def end(self, well: bool) -> None:
        """Delete what is saved, if the session has ended well; leave the rest to a later one."""
        if self._file:
            if well:
                self.path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # of a line for which there was no space; it was said then
                self._file.close()
        for journal in self._earlier:
            if well and all(entry in journal.used for entry in journal.entries):
                journal.path.unlink(missing_ok=True)
            journal.file.close()

    def _entries_of(self, group: str) -> Iterator[tuple[_Earlier, Entry]]:
        """Yield what earlier sessions left of a group, the newest first."""
        for journal in self._earlier:
            for entry in reversed(journal.entries):
                if entry["group"] == group:
                    yield journal, entry

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            if self._file is None:
                hidden = self.path.with_suffix(".new")  # nobody resumes it before it is locked
                self._file = locked(hidden)
                hidden.rename(self.path)
            self._file.write(f"{json.dumps(line)}\n".encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StorageError(f"the journal {self.path} cannot be written: {error.strerror}") from None


def _unlocked(folder: Path) -> list[_Earlier]:
    """Return the journals in the folder that no living session holds, the newest first, and hold them."""
    found = []
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        with contextlib.suppress(OSError):  # it is gone, or not ours to read
            file = path.open("r+")
            if try_lock(file):
                found.append(_Earlier(path, file, _entries(path)))
            else:
                file.close()
    return found


def _entries(path: Path) -> list[Entry]:
    """Return the groups of a journal; a last line that was cut off, or a damaged one, is no group."""
    entries: list[Entry] = []
    for line in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and "forgotten" in entry:
                entries = [other for other in entries if other["group"] != entry["forgotten"]]
            elif isinstance(entry, dict) and entry.keys() == {"group", "fingerprint", "results"}:
                entries.append(entry)
    return entries


def _results(entry: Entry, fingerprint: Fingerprint, cases: list[Case]) -> Results | str:
    """Return an entry's results, or why they cannot be taken."""
    try:
        if apart := "; ".join(differences(entry["fingerprint"], fingerprint)):
            return apart
        results = [_result(value) for value in entry["results"]]
        if any(isinstance(result, Failure) and not result.unavailable for result in results):
            return "a case has failed"
        found = dict(zip(_in_order(cases), results, strict=True))
        return {case: found[case] for case in cases}
    except (AttributeError, KeyError, TypeError, ValueError):
        return "its line in the journal is damaged"


def _in_order(cases: Iterable[Case]) -> list[Case]:
    """Return the cases as a journal has them, in whatever order they are measured."""
    return sorted(cases, key=lambda case: case.id)


def _result(value: Mapping[str, Any]) -> Measurement | Failure:
    if "reason" in value:
        return Failure(**value)
    processes = [
        ProcessRecord(
            **{
                **process,
                "runtime": from_plain(RuntimeInfo, process["runtime"]),
                "cold": from_plain(Sample, process["cold"]),
                "rounds": [from_plain(Sample, sample) for sample in process["rounds"]],
            }
        )
        for process in value["processes"]
    ]
    return Measurement(processes, value["stopped_by"], value["rates"])
