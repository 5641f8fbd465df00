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

DEPLOY = "pip install 'stagebench[deploy]'"
"""Command that installs what deployments need beside the frameworks."""


@dataclass(frozen=True)
class Deployment:
    """A form in which a framework's trained model is used."""

    name: str
    suffix: str = ""
    """How its file ends; empty: it is a folder."""
    imports: tuple[str, ...] = ()
    """Top-level modules that it needs beside the framework."""
    quantize: tuple[str, ...] = ("none",)
    """Of `case.QUANTIZE`, what can be asked of it."""
    quantize_imports: tuple[str, ...] = ()
    """Top-level modules that quantisation needs."""
    refuses: Mapping[str, str] = field(default_factory=dict)
    """Of these, what cannot be had all the same, and why."""
    in_process: bool = False
    """Whether the framework runs it from its own model: `precision` applies, and nothing is exported."""
    executions: tuple[str, ...] = ("default",)
    """Of `case.EXECUTIONS`, what applies."""
    cpu_only: bool = False


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
    runs_by_default: str = "default"
    """Of `case.EXECUTIONS`, the one that its default is: asked for by name, it is the same case."""
    deployments: tuple[Deployment, ...] = ()
    """The forms in which its models are used; the first one is the framework's own."""

    def execution(self, asked: str) -> str:
        """Return an execution by the name that the case has."""
        return "default" if asked == self.runs_by_default else asked

    def deployment(self, name: str) -> Deployment:
        """Return the form of this name."""
        return next(form for form in self.deployments if form.name == name)

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
            runs_by_default="eager",
            deployments=(
                Deployment("eager", ".pt", in_process=True),
                Deployment("torchscript", ".pt"),
                Deployment("export", ".pt2"),
                Deployment(
                    "compile",
                    ".pt2",
                    in_process=True,
                    quantize=("none", "ptq"),
                    quantize_imports=("torchao",),
                ),
                Deployment(
                    "onnx",
                    ".onnx",
                    imports=("onnx", "onnxscript", "onnxruntime"),
                    quantize=("none", "dynamic", "ptq", "qat"),
                    quantize_imports=("torchao",),
                    refuses={
                        "dynamic": "torchao quantises Linear layers alone dynamically: a tenth of this "
                        "model's weights"
                    },
                    cpu_only=True,
                ),
            ),
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
            deployments=(
                Deployment(
                    "graph", ".weights.h5", in_process=True, executions=("default", "eager", "compiled")
                ),
                Deployment("savedmodel"),
                Deployment(
                    "litert",
                    ".tflite",
                    imports=("ai_edge_litert",),
                    quantize=("none", "dynamic", "ptq", "qat"),
                    cpu_only=True,
                ),
                Deployment("onnx", ".onnx", imports=("tf2onnx", "onnx", "onnxruntime"), cpu_only=True),
            ),
        ),
        Framework(
            name="simulated",
            module="stagebench.pipelines.simulated",
            imports=(),
            install="",
            model_suffix=".npy",
            deployments=(
                Deployment("matrix", ".npy", in_process=True),
                Deployment("exported", ".npy", quantize=("none", "ptq", "qat")),
            ),
        ),
    )
}
"""Every framework by name. `simulated` computes next to nothing: the suite's own tests run on it."""

FORMS = tuple(dict.fromkeys(form.name for framework in FRAMEWORKS.values() for form in framework.deployments))
"""The names of all forms of deployment."""

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
