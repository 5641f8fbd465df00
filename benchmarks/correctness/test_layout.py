"""The folders of the package, and which way the arrows between them point."""

from __future__ import annotations

import ast
from pathlib import Path

import stagebench

PACKAGE = Path(stagebench.__file__).parent
LAYERS = (
    ("cli", "plugin", "versions", "history"),
    ("article", "report"),
    ("results", "statistics"),
    ("run",),
    ("machine",),
    ("stages",),
    ("frameworks",),
    ("case",),
    ("networks", "datasets"),
)
"""From top to bottom: a folder imports from its own layer, both ways, and from those below it."""
LEVEL = {folder: level for level, layer in enumerate(LAYERS) for folder in layer}


def imported(file: Path) -> set[str]:
    """Return the folders of this package from which a file imports, for types too."""
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in found if name.startswith("stagebench.")}


def test_arrows_point_down():
    files = {file: file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in PACKAGE.rglob("*.py")}
    wrong = [
        f"{file.relative_to(PACKAGE)} imports from {other}"
        for file, folder in files.items()
        if folder in LEVEL
        for other in imported(file)
        if LEVEL[other] < LEVEL[folder]
    ]

    assert wrong == []


def test_every_module_is_in_a_folder_that_the_layers_name():
    at_the_root = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py"}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert at_the_root == {"__init__.py", "__main__.py", "cli.py"}
    assert folders | {"cli"} == LEVEL.keys()
