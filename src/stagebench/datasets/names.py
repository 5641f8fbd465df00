"""Names of files and classes: in which order they stand, and how they are shown."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

SHOWN = 10
"""How many of a list of faults are named."""


def sort_names(names: Iterable[str]) -> list[str]:
    """Return names in numeric order if all are whole numbers, else in alphabetical (code point) order."""
    names = list(names)
    if all(name.isascii() and name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def sort_files(names: Iterable[str]) -> list[str]:
    """Return file names in natural order: runs of digits compare as numbers (`2.jpg` before `10.jpg`)."""

    def key(name: str) -> tuple[list[tuple[int, str]], str]:
        # Splitting by a group puts text at even and digits at odd places, so equals meet equals.
        parts = re.split(r"([0-9]+)", name)
        return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)], name

    return sorted(names, key=key)


def shown(name: str | Path) -> str:
    """Return a name for people: line breaks, control characters and what is not UTF-8 stand as escapes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in str(name)
    )


def listed(sentences: Sequence[str], what: str) -> str:
    """Return one sentence as it is, and of several their number and the first ten, a line each."""
    if len(sentences) == 1:
        return sentences[0]
    more = [f"and {len(sentences) - SHOWN} more"] if len(sentences) > SHOWN else []
    return "\n  ".join([f"{len(sentences)} {what}:", *sentences[:SHOWN], *more])
