"""How many threads a library takes that decides it by an environment variable."""

from __future__ import annotations

import os
import re

from stagebench.datasets.processors import usable_threads


def threads_by(variable: str) -> int:
    """Return the number that the variable begins with (`4,2`: four, and two within each), if it has one.

    Else there is one thread for each processor that this process may use.
    """
    number = re.match(r"\s*\d+", os.environ.get(variable, ""))
    return int(number[0] if number else 0) or usable_threads()
