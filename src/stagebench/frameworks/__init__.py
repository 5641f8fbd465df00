"""The frameworks: one folder each, with the same files, and one entry in `FRAMEWORKS`.

This module only tells which there are and whether they are installed: it imports no framework, so that the
pytest process can ask.
"""

from __future__ import annotations

from stagebench.frameworks import simulated, tensorflow, torch
from stagebench.frameworks.framework import ExportFormat, Framework

__all__ = ["DEPLOY", "FORMATS", "FRAMEWORKS", "INSTALLED", "THREAD_VARIABLES", "ExportFormat", "Framework"]

FRAMEWORKS = {entry.name: entry for entry in (torch.FRAMEWORK, tensorflow.FRAMEWORK, simulated.FRAMEWORK)}
"""Every framework by name. `simulated` computes next to nothing: the suite's own tests run on it."""

FORMATS = tuple(dict.fromkeys(form.name for entry in FRAMEWORKS.values() for form in entry.export_formats))
"""The names of all export formats."""

INSTALLED = [name for name, framework in FRAMEWORKS.items() if framework.imports and not framework.missing()]
"""The real frameworks that can run here."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    *(name for framework in FRAMEWORKS.values() for name in framework.thread_variables),
)
"""Environment variables from which the libraries under the frameworks take their number of threads."""

DEPLOY = "pip install 'stagebench[deploy]'"
"""Command that installs what export formats need beside the frameworks."""
