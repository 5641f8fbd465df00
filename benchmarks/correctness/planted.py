"""Environments with a fault planted in them: a `sitecustomize` wraps one function, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

SITECUSTOMIZE = '''
import importlib.util, sys, time

class Planter:
    """Wraps a function as soon as its module is imported."""

    def find_spec(self, name, path, target=None):
        if name != {module!r}:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            *owners, function = {function!r}.split(".")
            owner = module
            for part in owners:
                owner = getattr(owner, part)
            setattr(owner, function, wrapper(getattr(owner, function)))

        spec.loader.exec_module = exec_module
        return spec

{wrapper}

sys.meta_path.insert(0, Planter())
'''
SLOWER = """
def wrapper(original):
    def slower(*arguments, **options):
        start = time.perf_counter()
        result = original(*arguments, **options)
        end = time.perf_counter() + {share} * (time.perf_counter() - start)
        while time.perf_counter() < end:
            pass
        return result
    return slower
"""
PERMUTED = """
def wrapper(original):
    def permuted(self, weights, *arguments, **options):
        first = next(iter(weights))
        return original(self, {**weights, first: weights[first].flip(0)}, *arguments, **options)
    return permuted
"""


def plant(folder: Path, python: str, module: str, function: str, wrapper: str) -> str:
    """Return the Python of a copy of an environment in which `function` of `module` is wrapped.

    The copy has the packages of the original, not files of its own.
    """
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    original = subprocess.run(
        [python, "-c", where], check=True, capture_output=True, text=True
    ).stdout.strip()
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "original.pth").write_text(f"import site; site.addsitedir({original!r})\n")
    code = SITECUSTOMIZE.format(module=module, function=function, wrapper=wrapper)
    (site_packages / "sitecustomize.py").write_text(code)
    return str(folder / "bin" / "python")
