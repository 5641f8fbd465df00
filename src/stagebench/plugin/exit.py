"""The end of a session for which data set, memory or disk do not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stagebench.datasets.errors import DatasetError
from stagebench.machine.errors import ShortageError, StorageError


@contextmanager
def exit_if_impossible() -> Iterator[None]:
    """End the session in one sentence where data set, memory or disk do not allow what is done within."""
    try:
        yield
    except DatasetError as error:
        pytest.exit(f"data set: {error}", returncode=pytest.ExitCode.USAGE_ERROR)
    except ShortageError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    except StorageError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)
