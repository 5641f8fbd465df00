"""What is measured: a stage, for a case (one point of the matrix), on a workload equal for all cases."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, get_args

PipelineStage = Literal[
    "data_loading", "model_building", "training", "model_saving", "model_loading", "evaluation"
]
DeploymentStage = Literal["exporting", "quantization", "inference"]
Stage = Literal[PipelineStage, DeploymentStage]
STAGES: tuple[Stage, ...] = get_args(PipelineStage)
"""The stages of the pipeline, in the order in which it runs through them; measured by default."""
DEPLOYMENT_STAGES: tuple[Stage, ...] = get_args(DeploymentStage)
"""What comes after it: a trained model on its way to where it is used."""
ALL_STAGES = (*STAGES, *DEPLOYMENT_STAGES)
COMPUTING: tuple[Stage, ...] = ("training", "evaluation", "inference")
"""The stages to which the axes `precision` and `execution` apply."""

RECIPES = ("matched", "published", "tuned")
DEVICES = ("cpu", "cuda")
SWITCH = ("off", "on")
PRECISIONS = ("float32", "bfloat16", "float16")
EXECUTIONS = ("default", "eager", "compiled")
QUANTIZE = ("none", "dynamic", "ptq", "qat")


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
    precision: str = "float32"
    """What the layers compute in; weights and logits are float32 all the same ("mixed precision")."""
    execution: str = "default"
    """`"eager"`: operation by operation; `"compiled"`: `torch.compile`, XLA; or as the framework comes."""
    deploy: str = ""
    """In which form the trained model is used, e.g. `"onnx"`; empty at the stages of the pipeline."""
    quantize: str = "none"
    """How its weights became int8: `"dynamic"`, `"ptq"` (calibrated) or `"qat"` (trained); or `"none"`."""

    @property
    def id(self) -> str:
        """The case in a test id. It holds no version number, so that the next run finds it again.

        Axes that came later are named only where they leave their default, so that old runs still compare.
        """
        loading = f"-workers{self.workers}-cache_{self.cache}-augment_{self.augment}"
        parts = [f"{self.environment}-{self.device}-batch{self.batch_size}{'' if self.deploy else loading}"]
        return "-".join([*parts, self.recipe, *self.variant])

    @property
    def settings(self) -> str:
        """What all cases of a group have in common beside the stage, in words."""
        data = "" if self.deploy else f", cache {self.cache}, augment {self.augment}"
        return f"{self.device}, batch {self.batch_size}{data}"

    @property
    def rival(self) -> str:
        """What tells the cases of a group apart, in short: `torch published, 2w` has two workers."""
        return f"{self.environment} {self.recipe}{self._short}"

    @property
    def rival_of_one_recipe(self) -> str:
        """The same where all cases have one recipe: `torch, 2w`."""
        return f"{self.environment}{self._short}"

    @property
    def _short(self) -> str:
        workers = "" if self.workers == "auto" or self.deploy else f", {self.workers}w"
        return "".join(f" {word}" for word in self.variant) + workers

    @property
    def variant(self) -> list[str]:
        """The values of the axes that came later, but their defaults."""
        later = [field for field in fields(self) if field.default is not MISSING]
        return [getattr(self, field.name) for field in later if getattr(self, field.name) != field.default]

    def group(self, stage: Stage) -> str:
        """Name of the group in which this case may be compared at this stage."""
        return f"{stage}: {self.settings}"


def plain(value: Any) -> dict[str, Any]:
    """Return a frozen dataclass of this module as a dict, to send to a worker process or to save as JSON."""
    return dict(vars(value))
