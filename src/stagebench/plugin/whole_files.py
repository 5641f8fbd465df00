"""Saved runs that appear whole or not at all, where pytest-benchmark leaves half a file on a full disk."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.session import BenchmarkSession
from pytest_benchmark.storage.file import FileStorage
from pytest_benchmark.utils import safe_dumps

from stagebench.datasets.files import try_to_write
from stagebench.machine.errors import StorageError
from stagebench.machine.files import write

Content = dict[str, Any]


def save_whole_files() -> None:
    """Write what pytest-benchmark saves, by itself and for `--benchmark-json`, to its name when it is whole.

    Where that cannot be, the session ends with a sentence; what is finished stays in its journal.
    """

    def save(storage: FileStorage, content: Content, name: str) -> None:
        for number in count(int(storage._next_num)):
            path = storage.get(f"{number:04}_{name}.json")
            if _write(path, content, new=True):  # else another session took this number meanwhile
                break
        storage.logger.info(f"Saved benchmark data in: {path}")

    def save_json(session: BenchmarkSession, content: Content) -> None:
        _write(Path(session.json), content)
        session.logger.info(f"Wrote benchmark data in: {session.json}", purple=True)

    FileStorage.save = save
    BenchmarkSession.save_json = save_json


def refuse_unwritable(benchmarks: BenchmarkSession) -> None:
    """See to it early that the run can be saved, if it is to be saved in a folder.

    Raises:
        StorageError: it cannot.

    """
    if not isinstance(benchmarks.storage, FileStorage) or not (benchmarks.save or benchmarks.autosave):
        return
    path = benchmarks.storage.get("run.json")
    try:
        try_to_write(path)
    except OSError as error:
        raise StorageError(f"no run can be saved in {path.parent}: {error.strerror}") from None


def _write(path: Path, content: Content, new: bool = False) -> bool:
    try:
        return write(path, safe_dumps(content, ensure_ascii=True, indent=4).encode(), new)
    except StorageError as error:
        hint = "once it can, pytest benchmarks --resume takes what is finished from the journal"
        pytest.exit(f"{error}; {hint}", returncode=pytest.ExitCode.INTERNAL_ERROR)
