"""What is measured: a stage, for a case (one point of the matrix), on a workload equal for all cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args

Stage = Literal["data_loading", "model_building", "training", "model_saving", "model_loading", "evaluation"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""The stages, in the order in which the pipeline runs through them."""

RECIPES = ("matched", "published", "tuned")
DEVICES = ("cpu", "cuda")
SWITCH = ("off", "on")


@dataclass(frozen=True)
class Workload:
    """What is computed. Equal for all cases of a session.

    The published model and optimiser are fixed; see the `model.py` and `training.py` of each pipeline.
    """

    classes: int
    """How many classes the data set has; the width of the model's last layer."""
    input_size: int = 32
    """Height and width of the model's input, in pixels."""
    epochs: int = 1
    """Epochs in one training round."""
    learning_rate: float = 0.001
    """Adam's learning rate."""
    seed: int = 25
    """Where every random number of the pipeline comes from: initial weights, shuffling, flips."""


@dataclass(frozen=True)
class Case:
    """One point of the matrix: which framework runs the pipeline, where and how."""

    framework: str
    device: str
    batch_size: int
    workers: int | Literal["auto"]
    """Data-loading processes; `"auto"` where the framework chooses by itself (tf.data's AUTOTUNE)."""
    cache: str
    """`"on"`: prepared images are kept in memory after they were first used."""
    augment: str
    """`"on"`: training images are flipped at random, horizontally and vertically."""
    recipe: str
    environment: str
    """Name of the Python interpreter that runs it; the framework's own name where that is the running one."""

    @property
    def id(self) -> str:
        """The case in a test id. It holds no version number, so that the next run finds it again."""
        return (
            f"{self.environment}-{self.device}-batch{self.batch_size}-workers{self.workers}"
            f"-cache_{self.cache}-augment_{self.augment}-{self.recipe}"
        )

    @property
    def settings(self) -> str:
        """What all cases of a group have in common beside the stage, in words."""
        return f"{self.device}, batch {self.batch_size}, cache {self.cache}, augment {self.augment}"

    @property
    def rival(self) -> str:
        """What tells the cases of a group apart, in short: `torch published, 2w` has two workers."""
        return f"{self.environment} {self.recipe}{self._short_workers}"

    @property
    def rival_of_one_recipe(self) -> str:
        """The same where all cases have one recipe: `torch, 2w`."""
        return f"{self.environment}{self._short_workers}"

    @property
    def _short_workers(self) -> str:
        return "" if self.workers == "auto" else f", {self.workers}w"

    def group(self, stage: Stage) -> str:
        """Name of the group in which this case may be compared at this stage."""
        return f"{stage}: {self.settings}"


@dataclass(frozen=True)
class Matrix:
    """The values of each axis; the cases are their product."""

    environments: Mapping[str, str]
    """Name of the framework in each environment."""
    devices: Sequence[str]
    batch_sizes: Sequence[int]
    workers: Sequence[int]
    cache: Sequence[str]
    augment: Sequence[str]
    recipes: Sequence[str]

    def cases(self, frameworks_without_workers: Iterable[str]) -> list[Case]:
        """Every case once, rivals next to each other.

        A framework that chooses its loading threads by itself is one case, not one for each value of
        `workers`.
        """
        chooses_itself = set(frameworks_without_workers)
        auto: Sequence[int | Literal["auto"]] = ("auto",)
        return [
            Case(framework, device, batch_size, workers, cache, augment, recipe, environment)
            for device, batch_size, cache, augment, recipe, (environment, framework) in product(
                self.devices,
                self.batch_sizes,
                self.cache,
                self.augment,
                self.recipes,
                self.environments.items(),
            )
            for workers in (auto if framework in chooses_itself else self.workers)
        ]


def plain(value: Any) -> dict[str, Any]:
    """Return a frozen dataclass of this module as a dict, to send to a worker process or to save as JSON."""
    return dict(vars(value))
