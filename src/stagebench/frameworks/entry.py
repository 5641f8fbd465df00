"""What can be said of a framework without importing it; each states it in the `__init__` of its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from stagebench.case import AXES, Axis, Case


@dataclass(frozen=True)
class ExportFormat:
    """A format in which a framework's trained model is used."""

    name: str
    suffix: str = ""
    """How its file ends; empty: it is a folder."""
    imports: tuple[str, ...] = ()
    """Top-level modules that it needs beside the framework."""
    quantize: tuple[str, ...] = ("none",)
    """The quantization methods that can be asked of it."""
    quantize_imports: tuple[str, ...] = ()
    """Top-level modules that quantization needs."""
    refuses: Mapping[str, str] = field(default_factory=dict)
    """Of these methods, what cannot be had all the same, and why."""
    in_process: bool = False
    """Whether the framework runs it from its own model: `precision` applies, and nothing is exported."""
    executions: tuple[str, ...] = ("default",)
    """The values of the axis `execution` that apply."""
    cpu_only: bool = False

    @property
    def title(self) -> str:
        """Its name, with the quantization methods that it has."""
        methods = [method for method in self.quantize if method != "none"]
        return f"{self.name} ({', '.join(methods)})" if methods else self.name


@dataclass(frozen=True)
class Framework:
    """What can be said of a framework without importing it.

    Its code stands in `stagebench.frameworks.NAME`: `pipeline` has its `Pipeline`, `inspection` its
    `Inspector`, `networks` a builder of each network, and `tuned.pipeline` the `Pipeline` of the recipe
    `tuned` where that is another one.
    """

    name: str
    title: str
    """As its makers write it."""
    colour: str
    """In charts; it is seen on white and on black, and differs from the others to the colour-blind."""
    marks: tuple[str, ...]
    """Shapes of its points in charts, as Vega names them: its own, then what tells its cases apart."""
    imports: tuple[str, ...]
    """Top-level modules that the pipeline needs; none: it computes next to nothing, for tests."""
    model_suffix: str
    """How its model files end."""
    install: str = ""
    """Command that installs the modules."""
    has_tuned: bool = False
    """Whether the recipe `tuned` has a `Pipeline` of its own."""
    tuned_imports: tuple[str, ...] = ()
    """Top-level modules that the recipe `tuned` needs beside `imports`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables to set before it is imported."""
    thread_variables: tuple[str, ...] = ()
    """Variables, beside those of common libraries, from which it takes its number of threads."""
    speed_variables: tuple[str, ...] = ()
    """Its other variables that change speed, as shells match names; see `machine.conditions`."""
    chooses_workers: bool = False
    """Whether it sizes its own loading threads, so that the axis `workers` does not apply."""
    shuffled_copies: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Where it shuffles prepared images (not in the recipe `tuned`), by cache and augment: how much a process
    grows in four epochs, in units of these."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """By axis, the value that its default is: asked for by name, it is the same case."""
    sleeping_recipes: tuple[str, ...] = ()
    """Recipes whose loading of data sleeps by the clock beside computing: such a sleep goes on while the
    process is stopped, so that it is measured in whole rounds."""
    export_formats: tuple[ExportFormat, ...] = ()
    """The first one is the framework's own."""
    implements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of the axes that are `of_frameworks`, the values beside the default that it has; of numbers, `any`."""
    axis_imports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By axis, top-level modules that its values beside the default need; this package's extra of the axis's
    name brings them."""

    @property
    def folder(self) -> str:
        """Dotted name of the package with its code."""
        return f"stagebench.frameworks.{self.name}"

    def pipeline_module(self, recipe: str) -> str:
        """Return the module of a recipe's `Pipeline` class."""
        own = recipe == "tuned" and self.has_tuned
        return f"{self.folder}.tuned.pipeline" if own else f"{self.folder}.pipeline"

    def values(self, axis: Axis, asked: Sequence[Any]) -> Sequence[Any]:
        """Return the values of an axis that the framework is measured with, of those that were asked for."""
        if axis.name == "workers" and self.chooses_workers:
            return axis.words
        if axis.name == "deploy":
            return [form.name for form in self.export_formats if not asked or form.name in asked]
        own = self.defaults.get(axis.name, axis.default)
        return [axis.default if value == own else value for value in asked]

    def has_no(self, case: Case) -> str | None:
        """Name an axis whose value in a case the framework does not implement, or None."""
        for axis in AXES.values():
            value = getattr(case, axis.name)
            if axis.of_frameworks and axis.named(value) and not self._implements(axis, value):
                return f"{axis.option}={value} is not implemented for {self.title}"
        return None

    def _implements(self, axis: Axis, value: Any) -> bool:
        implemented = self.implements.get(axis.name, ())
        return value in implemented or "any" in implemented

    def export_format(self, name: str) -> ExportFormat:
        """Return the export format of this name."""
        return next(form for form in self.export_formats if form.name == name)

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
