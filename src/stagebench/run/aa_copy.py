"""A/A copies: a case once more, to be measured against itself. What the two differ by is noise."""

from __future__ import annotations

from dataclasses import replace

from stagebench.case import Case

SUFFIX = " again"
"""Of the environment of an A/A copy; no environment of the user's has a space."""
AGAIN = "+again"
"""Of an environment that `stagebench versions` measures under a second name: its cases are saved and
compared, which A/A copies are not."""


def aa_copy(case: Case) -> Case:
    """Return a case equal to this one, to measure it against."""
    return replace(case, environment=case.environment + SUFFIX)


def is_aa_copy(case: Case) -> bool:
    """Say whether the case is the copy of another."""
    return case.environment.endswith(SUFFIX)
