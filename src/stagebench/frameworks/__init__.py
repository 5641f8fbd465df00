"""The frameworks: one folder each, with the same files, and one entry in `FRAMEWORKS`.

This module only tells which there are and whether they are installed: it imports no framework, so that the
pytest process can ask.
"""

from __future__ import annotations

from stagebench.case import Axis
from stagebench.frameworks import simulated, tensorflow, torch
from stagebench.frameworks.entry import ExportFormat, Framework

__all__ = ["EXTRA", "FRAMEWORKS", "INSTALLED", "THREAD_VARIABLES", "ExportFormat", "Framework", "values_of"]

FRAMEWORKS = {entry.name: entry for entry in (torch.FRAMEWORK, tensorflow.FRAMEWORK, simulated.FRAMEWORK)}
"""Every framework by name. `simulated` computes next to nothing: the suite's own tests run on it."""

INSTALLED = [name for name, framework in FRAMEWORKS.items() if framework.imports and not framework.missing()]
"""The real frameworks that can run here."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    *(name for framework in FRAMEWORKS.values() for name in framework.thread_variables),
)
"""Environment variables from which the libraries under the frameworks take their number of threads."""

EXTRA = "pip install 'stagebench[{}]'"
"""Command that installs what is needed beside the frameworks: `deploy` by export formats."""


def values_of(axis: Axis) -> tuple[str, ...]:
    """Return what an axis may be, of whatever framework; nothing where it takes numbers."""
    if axis.values == ():  # what the frameworks have
        return tuple(dict.fromkeys(v for entry in FRAMEWORKS.values() for v in entry.values(axis, ())))
    return axis.values or ()
