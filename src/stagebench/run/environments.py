"""Environments: named Python interpreters, each with one framework in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentTypeError
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from stagebench.case import AXES, Case
from stagebench.frameworks import EXTRA, FRAMEWORKS
from stagebench.run.launch import cleaned

_PROBE = """
import json, os, sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

def version_of(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"

print()  # ends a line that a wrapper or `sitecustomize` has begun
print(json.dumps({name: version_of(name) for name in sys.argv[1:] if find_spec(name)}), flush=True)
os._exit(0)  # nothing more is printed
"""
NEEDED = {"numpy": "numpy", "PIL": "pillow", "platformdirs": "platformdirs"}
"""Modules that a worker process needs beside its framework, and the packages that bring them."""


@dataclass(frozen=True)
class Environment:
    """A Python interpreter, and which framework it is there for."""

    name: str
    """`torch`, or `torch@LABEL`."""
    framework: str
    python: str = sys.executable

    @classmethod
    def parse(cls, text: str) -> Environment:
        """Take `NAME=PYTHON`, where NAME is a framework or `FRAMEWORK@LABEL`."""
        name, _, python = text.partition("=")
        framework, at, label = name.partition("@")
        if not python or framework not in FRAMEWORKS or bool(at) != bool(label):
            raise ArgumentTypeError(
                f"{text!r} is not NAME=PYTHON, NAME being a framework ({', '.join(FRAMEWORKS)}) "
                "or FRAMEWORK@LABEL, e.g. torch@2.14.1=venv/bin/python"
            )
        if not all(letter.isalnum() or letter in "._+" for letter in label):
            raise ArgumentTypeError(
                f"label {label!r} in {text!r} has more than letters, digits, '.', '_', '+'"
            )
        if not Path(python).is_file():
            raise ArgumentTypeError(f"{python!r}, the Python of {name}, is not a file")
        return cls(name, framework, str(Path(python).absolute()))

    def lacks(self, case: Case) -> str | None:
        """Say why a case cannot run in the environment, or None when all that it needs is there."""
        framework = FRAMEWORKS[self.framework]
        if reason := framework.has_no(case):
            return f"{case.label(by_recipe=False)}: {reason}"
        if not case.deploy:
            for name, needed in framework.axis_imports.items():
                if AXES[name].named(getattr(case, name)) and (
                    lack := self.missing(case.recipe, needed, name)
                ):
                    return lack
            return self.missing(case.recipe)
        form = framework.export_format(case.deploy)
        needed = (*form.imports, *(form.quantize_imports if case.quantize != "none" else ()))
        reason = form.refuses.get(case.quantize)
        if form.cpu_only and case.device != "cpu":
            reason = "runs on the CPU alone"
        return f"{case.label(by_recipe=False)}: {reason}" if reason else self.missing(case.recipe, needed)

    def missing(
        self, recipe: str = "matched", modules: tuple[str, ...] = (), extra: str = "deploy"
    ) -> str | None:
        """Say why a recipe cannot run in the environment, or None when all that it needs is there.

        `modules` are what is needed beside the framework; `extra` is that of this package which brings them.
        """
        framework = FRAMEWORKS[self.framework]
        if self.python == sys.executable:  # all but these is there with this package
            absent = [name for name in modules if find_spec(name) is None]
            install = EXTRA.format(extra)
            lack = (
                f"{self.name}: {' and '.join(absent)} not installed here; try: {install}" if absent else None
            )
            return framework.missing() or lack
        tuned = framework.tuned_imports if recipe == "tuned" else ()
        needed = (*framework.imports, *NEEDED, *tuned, *modules)
        found = _probe(self.python, needed)
        if isinstance(found, str):
            return f"{self.name}: {self.python} does not answer as a Python: {found}"
        absent = [name for name in needed if name not in found]
        if absent:
            install = f"{self.python} -m pip install {' '.join(NEEDED.get(name, name) for name in absent)}"
            return f"{self.name}: {' and '.join(absent)} not installed there; try: {install}"
        return None

    def versions(self) -> dict[str, str]:
        """Versions of the framework's modules there, read from metadata without importing them."""
        framework = FRAMEWORKS[self.framework]
        if self.python == sys.executable:
            return framework.versions()
        found = _probe(self.python, (*framework.imports, *NEEDED))
        return (
            {}
            if isinstance(found, str)
            else {name: found[name] for name in framework.imports if name in found}
        )


@cache
def _probe(python: str, imports: tuple[str, ...]) -> dict[str, str] | str:
    """Return the versions of those modules that are there, or why the interpreter does not answer."""
    try:
        answer = subprocess.run(  # noqa: S603  # the interpreter that the user named
            [python, "-c", _PROBE, *imports],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=cleaned(dict(os.environ)),
        )
        versions: dict[str, str] = json.loads(answer.stdout.rstrip().rpartition("\n")[2])
    except subprocess.TimeoutExpired as late:
        return f"it took longer than {late.timeout:g} s"
    except subprocess.CalledProcessError as failed:
        last = failed.stderr.rstrip().rpartition("\n")[2] or "nothing on stderr"
        return f"it exited with status {failed.returncode}: {last}"
    except ValueError:
        return "it printed something else than its versions"
    except OSError as error:
        return str(error)
    return versions
