"""Virtual environments with one version of a framework each: made once by `uv`, kept in the cache folder."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stagebench.frameworks import FRAMEWORKS
from stagebench.machine.files import lock
from stagebench.run.environments import NEEDED, Environment

NEWEST = "newest"
MADE = "made-by-stagebench"
"""File in an environment that is complete."""
_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc|\.dev|\.post)\d+)*(\+[A-Za-z0-9.]+)?")


class VirtualEnvironmentError(Exception):
    """An environment cannot be made; one sentence, and what `uv` said last."""


@dataclass(frozen=True)
class Requirement:
    """A framework and its version: `torch==2.14.1`."""

    framework: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Take `FRAMEWORK==VERSION`, where VERSION may be `newest`."""
        framework, _, version = text.partition("==")
        known = [name for name, found in FRAMEWORKS.items() if found.imports]
        if framework not in known or not (version == NEWEST or _VERSION.fullmatch(version)):
            raise ArgumentTypeError(
                f"{text!r} is not FRAMEWORK==VERSION, FRAMEWORK being {' or '.join(known)} and VERSION a "
                f"release or {NEWEST!r}, e.g. torch==2.14.1"
            )
        return cls(framework, version)

    def __str__(self) -> str:
        return f"{self.framework}=={self.version}"


def make(
    requirement: Requirement, folder: Path, tell: Callable[[str], None], source: Path | None = None
) -> Environment:
    """Return an environment with that version, from the folder or made anew.

    It has what a worker process needs: the framework, what its pipelines import beside it (for torch the
    torchvision that fits), and a few small packages.

    Args:
        requirement: what it is for.
        folder: where environments are kept.
        tell: takes a line on what is done.
        source: a checkout whose pipelines are measured instead of this one's; the environment is called
            `FRAMEWORK@VERSION+base` then.

    Raises:
        VirtualEnvironmentError: there is no `uv`, no such version, or not enough space.
        StorageError: the folder cannot be written.

    """
    uv = _uv()
    if requirement.version == NEWEST:
        requirement = _newest(uv, requirement.framework)
    label = requirement.version if source is None else f"{requirement.version}+base"
    place = folder / f"{requirement.framework}-{requirement.version}{_suffix(source)}"
    python = place / "bin" / "python"
    with lock(
        folder / "environments.lock",
        lambda: tell(f"waiting for another session, which makes environments in {folder}"),
    ):
        if not (place / MADE).is_file() or not python.is_file():
            tell(f"making an environment for {requirement} in {place}")
            shutil.rmtree(place, ignore_errors=True)
            _run(uv, "venv", "--quiet", "--python", sys.executable, str(place))
            framework = FRAMEWORKS[requirement.framework]
            modules = {name: name for name in (*framework.imports, *framework.tuned_imports)} | NEEDED
            packages = [str(requirement), *(set(modules.values()) - {requirement.framework})]
            _run(uv, "pip", "install", "--quiet", "--python", str(python), *packages)
            if source is not None:
                (site_packages,) = place.glob("lib/python*/site-packages")
                (site_packages / "stagebench.pth").write_text(f"{source.resolve() / 'src'}\n")
            (place / MADE).touch()
    return Environment(f"{requirement.framework}@{label}", requirement.framework, str(python))


def _suffix(source: Path | None) -> str:
    """Tell environments of other interpreters and other checkouts apart."""
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"
    if source is None:
        return f"-{python}"
    return f"-{python}-base-{hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:8]}"


def _uv() -> str:
    if found := shutil.which("uv"):
        return found
    if importlib.util.find_spec("uv"):
        return str(Path(sys.executable).with_name("uv"))
    raise VirtualEnvironmentError("uv, which makes environments, is not installed; try: pip install uv")


def _newest(uv: str, framework: str) -> Requirement:
    bare = ("--quiet", "--no-deps", "--no-header", "--no-annotate")
    listed = _run(uv, "pip", "compile", *bare, "-", text=framework)
    name, _, version = listed.strip().partition("==")
    if name != framework:
        raise VirtualEnvironmentError(f"the newest {framework} cannot be found: uv said {listed!r}")
    return Requirement(framework, version)


def _run(uv: str, *arguments: str, text: str = "") -> str:
    try:
        done = subprocess.run(  # noqa: S603  # the arguments are checked, and no shell sees them
            [uv, *arguments], input=text, capture_output=True, text=True, check=True
        )
    except OSError as error:
        raise VirtualEnvironmentError(f"{uv} cannot be run: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()[-60:])
        raise VirtualEnvironmentError(f"`uv {' '.join(arguments)}` failed: {said}") from None
    return done.stdout
