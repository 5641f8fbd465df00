"""A case, one point of the matrix. Each axis is declared here, and all else is derived from the fields."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from stagebench.case.axis import Axis, Trait, axis
from stagebench.networks import DEFAULT, NETWORKS, Network


@dataclass(frozen=True)
class Case:
    """Which framework runs the pipeline, in which environment and how.

    An axis that does not apply to a stage has the value None in the stage's cases, and its default if it came
    `later`. A pipeline never sees None: it gets the `complete` case.
    """

    framework: str
    environment: str
    """Name of the Python interpreter that runs it; the framework's own name where that is the running one."""
    device: str = axis(
        "cpu",
        help="devices",
        option="--devices",
        values=("cpu", "cuda"),
        separates=True,
    )
    batch_size: int = axis(
        32,
        help="images in a batch",
        option="--batch-sizes",
        least=1,
        traits=("loads_data", "deploys"),
        separates=True,
        pooled=True,
        id="batch{}",
        text="batch {}",
    )
    workers: int | Literal["auto"] = axis(
        0,
        help="loader processes",
        option="--workers",
        words=("auto",),
        traits=("loads_data",),
        pooled=True,
        id="workers{}",
        text="workers {}",
        label=", {}w",
    )
    cache: str = axis(
        "on",
        help="keep prepared images in memory",
        option="--cache",
        values=("off", "on"),
        measured=("off", "on"),
        traits=("loads_data",),
        separates=True,
        pooled=True,
        id="cache_{}",
        text="cache {}",
    )
    augment: str = axis(
        "on",
        help="flip training images at random",
        option="--augment",
        values=("off", "on"),
        traits=("loads_data",),
        separates=True,
        pooled=True,
        id="augment_{}",
        text="augment {}",
    )
    recipe: str = axis(
        "matched",
        help="how pipelines are written",
        option="--recipes",
        values=("matched", "published", "tuned"),
    )
    precision: str = axis(
        "float32",
        help="what layers compute in",
        option="--precision",
        values=("float32", "bfloat16", "float16"),
        traits=("computes",),
        later=True,
    )
    execution: str = axis(
        "default",
        help="how it runs",
        option="--execution",
        values=("default", "eager", "compiled"),
        traits=("computes",),
        later=True,
    )
    deploy: str = axis(
        "",
        help="export formats, see stages/README.md",
        option="--deploy",
        values=(),
        traits=("deploys",),
        later=True,
    )
    quantize: str = axis(
        "none",
        help="quantization",
        option="--quantize",
        values=("none", "dynamic", "ptq", "qat"),
        measured=("none", "dynamic", "ptq", "qat"),
        traits=("deploys",),
        later=True,
    )
    network: str = axis(
        DEFAULT,
        help="",
        option="--networks",
        values=tuple(NETWORKS),
        traits=("has_model",),
        separates=True,
        later=True,
    )
    api: str = axis(
        "sequential",
        help="model API",
        option="--api",
        values=("sequential", "functional", "subclass"),
        traits=("builds",),
        of_frameworks=True,
        later=True,
    )
    loop: str = axis(
        "default",
        help="training loop",
        option="--loop",
        values=("default", "custom"),
        traits=("trains",),
        of_frameworks=True,
        later=True,
        id="{}_loop",
        text="{} loop",
        label=" {} loop",
    )
    schedule: str = axis(
        "constant",
        help="learning rate",
        option="--schedule",
        values=("constant", "one_cycle", "one_cycle_step"),
        traits=("trains",),
        of_frameworks=True,
        later=True,
    )
    accumulate: int = axis(
        1,
        help="batches whose gradients make an update",
        option="--accumulate",
        least=1,
        traits=("trains",),
        of_frameworks=True,
        later=True,
        id="accumulate{}",
        text="accumulate {}",
        label=" accumulate {}",
    )
    logging: str = axis(
        "none",
        help="what training writes to files",
        option="--logging",
        values=("none", "tensorboard"),
        traits=("trains",),
        of_frameworks=True,
        later=True,
    )
    normalize: str = axis(
        "none",
        help="pixels from 0 to 1, or from -1 to 1",
        option="--normalize",
        values=("none", "half"),
        traits=("loads_data",),
        of_frameworks=True,
        later=True,
        id="normalize_{}",
        text="normalize {}",
        label=" normalize {}",
    )
    placement: str = axis(
        "single",
        help="devices of one model",
        option="--placement",
        values=("single", "split"),
        traits=("trains",),
        of_frameworks=True,
        later=True,
    )

    @property
    def id(self) -> str:
        """The case in a test id. It holds no version number, so that the next run finds it again."""
        return "-".join([self.environment, *(a.id.format(value) for a, value in self._named())])

    @property
    def settings(self) -> str:
        """What all cases of a group have in common beside the stage, in words."""
        return ", ".join(a.text.format(value) for a, value in self._named() if a.separates)

    def settings_of(self, titles: Collection[str]) -> list[str]:
        """Return the same of some axes only, by their titles."""
        return [a.text.format(value) for a, value in self._named() if a.separates and a.title in titles]

    @property
    def variant(self) -> list[str]:
        """The values of the axes that came later, but their defaults."""
        return [a.text.format(value) for a, value in self._named() if a.later]

    def label(self, by_recipe: bool = True) -> str:
        """Return what tells the cases of a group apart, in short: `torch published, 2w` has two workers.

        Args:
            by_recipe: whether there are several recipes.

        """
        told = [
            a.label.format(value)
            for a, value in self._named()
            if not a.separates and value != "auto" and (by_recipe or a.name != "recipe")
        ]
        return self.environment + "".join(sorted(told, key=lambda part: part.startswith(",")))

    def group(self, stage: str) -> str:
        """Name of the group in which this case may be compared at this stage."""
        return f"{stage}: {self.settings}"

    def at(self, traits: Sequence[Trait]) -> Case:
        """Return the case at a stage with these traits: without the axes that do not apply there."""
        others = [a for a in AXES.values() if not a.applies(traits)]
        return self._with({a.name: a.default if a.later else None for a in others})

    @property
    def complete(self) -> Case:
        """The case for a pipeline: with the default of each axis that does not apply."""
        return self._with({a.name: a.default for a in AXES.values() if getattr(self, a.name) is None})

    @property
    def pixels(self) -> str:
        """How its pixels are normalized: as the axis says, or else as a published form has them."""
        return self.normalize if self.normalize != "none" else self.built_network.normalize

    @property
    def built_network(self) -> Network:
        """What its recipe builds; see `Network.form`."""
        return NETWORKS[self.network].form(self.recipe, self.framework)

    @property
    def default_computation(self) -> Case:
        """The case whose layers compute as the framework comes, in float32."""
        return self._with({a.name: a.default for a in AXES.values() if a.traits == ("computes",)})

    @property
    def options(self) -> list[str]:
        """The options that measure it again, but those of its framework."""
        return [f"{a.option}={value}" for a, value in self._named() if value != "auto"]

    def _named(self) -> Iterator[tuple[Axis, Any]]:
        for a in AXES.values():
            value = getattr(self, a.name)
            if a.named(value):
                yield a, value

    def _with(self, values: dict[str, Any]) -> Case:
        return replace(self, **values)


AXES: dict[str, Axis] = {
    field.name: replace(field.metadata["axis"], name=field.name)
    for field in fields(Case)
    if "axis" in field.metadata
}
"""Every axis by name, in the order in which a test id has them."""
