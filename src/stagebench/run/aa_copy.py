"""A/A copies: a case once more, to be measured against itself. What the two differ by is noise."""

from __future__ import annotations

from dataclasses import replace

from stagebench.case import Case

SUFFIX = " again"


def aa_copy(case: Case) -> Case:
    """Return a case equal to this one, to measure it against."""
    return replace(case, environment=case.environment + SUFFIX)


def is_aa_copy(case: Case) -> bool:
    """Say whether the case is the copy of another."""
    return case.environment.endswith(SUFFIX)
