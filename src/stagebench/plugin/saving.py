"""Saved runs that appear whole or not at all, where pytest-benchmark leaves half a file on a full disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.session import BenchmarkSession
from pytest_benchmark.storage.file import FileStorage
from pytest_benchmark.utils import safe_dumps

from stagebench.machine.errors import StorageError
from stagebench.machine.files import write

Content = dict[str, Any]


def save_whole_files() -> None:
    """Write what pytest-benchmark saves, by itself and for `--benchmark-json`, to its name when it is whole.

    Where that cannot be, the session ends with a sentence; what is finished stays in its journal.
    """

    def save(storage: FileStorage, content: Content, name: str) -> None:
        while (path := storage.get(f"{storage._next_num}_{name}.json")).exists():
            pass  # another session was faster; the next number is another one
        _write(path, content)
        storage.logger.info(f"Saved benchmark data in: {path}")

    def save_json(session: BenchmarkSession, content: Content) -> None:
        _write(Path(session.json), content)
        session.logger.info(f"Wrote benchmark data in: {session.json}", purple=True)

    FileStorage.save = save
    BenchmarkSession.save_json = save_json


def _write(path: Path, content: Content) -> None:
    try:
        write(path, safe_dumps(content, ensure_ascii=True, indent=4).encode())
    except StorageError as error:
        hint = "once it can, pytest benchmarks --resume takes what is finished from the journal"
        pytest.exit(f"{error}; {hint}", returncode=pytest.ExitCode.INTERNAL_ERROR)
