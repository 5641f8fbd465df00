"""The table of faults in README.md, made of the markers of the tests that try them.

`python benchmarks/correctness/faults.py` writes it anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
README = FOLDER / "README.md"
BEGIN, END = "<!-- faults.py writes what follows -->\n", "<!-- up to here -->\n"
COLLECT = (str(FOLDER), "--collect-only", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly")


class Collected:
    """A plugin of pytest that keeps the rows of the tests that are collected, slow ones included."""

    def __init__(self) -> None:
        self._tests: dict[tuple[str, str], list[pytest.Item]] = {}

    @pytest.hookimpl(tryfirst=True)  # before any is left out
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for marker in item.iter_markers("fault"):
                what, happens = marker.args
                callspec = getattr(item, "callspec", None)
                row = what.format(**callspec.params) if callspec else what, happens
                self._tests.setdefault(row, []).append(item)

    @property
    def rows(self) -> list[str]:
        """The table's lines: what the fault is, what happens, and the file whose tests try it."""
        lines = ["| fault | what happens | tried in |", "|---|---|---|"]
        for (what, happens), tests in sorted(self._tests.items(), key=lambda row: _place(row[1][0])):
            nightly = all(test.get_closest_marker("nightly") for test in tests)
            where = f"`{tests[0].path.name}`{', nightly' if nightly else ''}"
            lines.append(f"| {what} | {happens} | {where} |")
        return lines


def _place(test: pytest.Item) -> tuple[str, int]:
    """Return where a test stands: its file, and its line there."""
    return test.path.name, test.location[1] or 0


def written(rows: list[str]) -> str:
    """Return the README with these rows in it."""
    before, _, rest = README.read_text().partition(BEGIN)
    table = "\n".join(rows)
    return f"{before}{BEGIN}\n{table}\n\n{END}{rest.partition(END)[2]}"


def main() -> int:
    """Write the README anew."""
    collected = Collected()
    code = pytest.main([*COLLECT], plugins=[collected])
    if code == pytest.ExitCode.OK:
        README.write_text(written(collected.rows))
    return code


if __name__ == "__main__":
    sys.exit(main())
