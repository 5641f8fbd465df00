"""The README's table of faults is true: each row has its test."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEAST_ROWS = 60


def test_every_fault_in_the_readme_has_its_test():
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", str(Path(__file__).parent)]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tests = {line.partition("::")[2] for line in listed.splitlines()}
    names = tests | {test.partition("[")[0] for test in tests}
    _, _, section = (ROOT / "README.md").read_text().partition("## What can go wrong")
    rows = re.findall(r"^\| .* \| `(test_.*)` \|$", section.partition("\n## ")[0], re.MULTILINE)

    assert len(rows) >= LEAST_ROWS
    assert [row for row in rows if row not in names] == []
    assert len(set(rows)) == len(rows)
