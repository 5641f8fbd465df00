"""The folders of the package, and which way the arrows between them point."""

from __future__ import annotations

import ast
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def needed_packages():
    """Return the names of the packages that this one installs, with all extras, as far as they are here."""
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())["project"]
    asked = chain(project["dependencies"], *project["optional-dependencies"].values())
    waiting, found = [Requirement(text) for text in asked], set()
    while waiting:
        wanted = waiting.pop()
        key = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if key in found:
            continue
        found.add(key)
        try:
            needs = [Requirement(text) for text in requires(wanted.name) or ()]
        except PackageNotFoundError:  # of an extra that is not installed
            continue
        extras = [{"extra": extra} for extra in ("", *wanted.extras)]
        waiting += [one for one in needs if not one.marker or any(map(one.marker.evaluate, extras))]
    return {name for name, _ in found}


def test_no_module_is_brought_by_two_of_the_packages_that_this_one_needs():
    """Else it depends on the order in which they were installed which one is imported."""
    needed = needed_packages()
    brought = {
        module: {canonicalize_name(name) for name in names} & needed
        for module, names in packages_distributions().items()
        if module.isidentifier()
    }

    twice = {module: names for module, names in brought.items() if len(names) > 1}
    assert {module: names for module, names in twice.items() if not is_namespace(module)} == {}


def is_namespace(module):
    """Say whether packages may share a module: it has no file of its own."""
    spec = find_spec(module)
    return spec is None or spec.origin is None
