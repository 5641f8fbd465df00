"""The pipelines: one folder a framework, with the same files in each.

This module only tells which there are and whether they are installed: it imports no framework, so that the
pytest process can ask. To add a framework, write a folder whose `Pipeline` fulfils `contract.Pipeline` and
add its line to `FRAMEWORKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec


@dataclass(frozen=True)
class Framework:
    """What can be said of a framework without importing it."""

    name: str
    module: str
    """Module of its `Pipeline` class; it is imported in worker processes only."""
    imports: tuple[str, ...]
    """Top-level modules that the pipeline needs."""
    install: str
    """Command that installs them."""
    model_suffix: str
    """How its model files end."""
    tuned_module: str | None = None
    """Module of the `Pipeline` class of the recipe `tuned`, where that is another one."""
    tuned_imports: tuple[str, ...] = ()
    """Top-level modules that the recipe `tuned` needs beside `imports`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables to set before it is imported."""
    chooses_workers: bool = False
    """Whether it sizes its own loading threads, so that the axis `workers` does not apply."""
    shuffles_images: bool = False
    """Whether it shuffles prepared images (but by `tuned`), so that all of them are in memory."""

    def module_of(self, recipe: str) -> str:
        """Return the module of a recipe's `Pipeline` class."""
        return self.tuned_module if recipe == "tuned" and self.tuned_module else self.module

    def missing(self) -> str | None:
        """Say why the framework cannot run here, or None when everything that it needs is installed."""
        absent = [name for name in self.imports if find_spec(name) is None]
        if absent:
            return f"{self.name}: {' and '.join(absent)} not installed here; try: {self.install}"
        return None

    def versions(self) -> dict[str, str]:
        """Versions of the installed modules, from their metadata."""
        found = {}
        for name in self.imports:
            try:
                found[name] = version(name)
            except PackageNotFoundError:  # e.g. tensorflow-cpu: module and distribution differ in name
                found[name] = "unknown"
        return found


FRAMEWORKS = {
    framework.name: framework
    for framework in (
        Framework(
            name="torch",
            module="stagebench.pipelines.pytorch",
            tuned_module="stagebench.pipelines.pytorch.tuned",
            tuned_imports=("simplejpeg",),
            imports=("torch", "torchvision"),
            install="pip install torch torchvision",
            model_suffix=".pt",
        ),
        Framework(
            name="tensorflow",
            module="stagebench.pipelines.tensorflow",
            tuned_module="stagebench.pipelines.tensorflow.tuned",
            imports=("tensorflow", "keras"),
            install="pip install tensorflow",
            model_suffix=".keras",
            environment={"KERAS_BACKEND": "tensorflow"},  # else a user's setting makes it something else
            chooses_workers=True,
            shuffles_images=True,
        ),
        Framework(
            name="simulated",
            module="stagebench.pipelines.simulated",
            imports=(),
            install="",
            model_suffix=".npy",
        ),
    )
}
"""Every framework by name. `simulated` computes next to nothing: the suite's own tests run on it."""

INSTALLED = [name for name, framework in FRAMEWORKS.items() if framework.imports and not framework.missing()]
"""The real frameworks that can run here."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""Environment variables from which the libraries under the frameworks take their number of threads."""
