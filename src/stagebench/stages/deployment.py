"""What the stages after the pipeline share: trained weights to start from, a check of what is deployed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stagebench.case import Case, Trait, Workload
from stagebench.frameworks.contract import Runner, StartingPoint
from stagebench.networks import NETWORKS
from stagebench.stages.stage import Executions, Stage

LARGEST_DIFFERENCE = {"cpu": 1e-4, "cuda": 0.05}
"""Of logits, between a deployed float32 model and the framework's own. On a GPU, cuDNN's convolutions keep 10
bits of float32 (TF32), and one into which BatchNorm is folded rounds differently: 0.011 on an H100."""
LEAST_AGREEMENT = 0.97
"""Share of test images to which a model of less than float32 gives the float32 model's answer."""
LOST_ACCURACY = 0.02
SMALL_KERNEL = 1024
"""Values: LiteRT leaves kernels of fewer in float32 when it quantizes dynamically."""
LARGEST_SHARE = 0.4
"""Of float32's size, which is 4 bytes a parameter, that a file of int8 weights has."""


class DeploymentStage(Stage):
    """Starts from trained weights and ends in a file that another process could use."""

    traits: ClassVar[tuple[Trait, ...]] = ("has_model", "deploys")
    start: StartingPoint

    @property
    def case(self) -> Case:
        return self.pipeline.case

    def set_up(self) -> None:
        for pipeline in (self.pipeline, self.checker):
            pipeline.build_model()
            pipeline.set_weights(self.start.weights)
        self.deployer = self.pipeline.deployer()
        if self.case.quantize == "qat":
            self.checker.fine_tune()  # what it is trained to answer like has been trained for as long
        self.float32_logits = in_batches(
            self.checker.predict, self.start.images, self.checker.case.batch_size
        )

    def prepare(self) -> None:
        if self.path.is_dir():
            shutil.rmtree(self.path)
        self.path.unlink(missing_ok=True)

    def quality(self, runner: Runner) -> dict[str, Any]:
        """Compare a deployed model with the framework's own, in float32, over the test split."""
        labels = self.start.labels
        logits = in_batches(
            lambda images: runner.run(runner.feed(images)), self.start.images, self.case.batch_size
        )
        answers, own = logits.argmax(1), self.float32_logits.argmax(1)
        return {
            "file_bytes": size_of(self.path),
            "parameters": sum(value.size for value in self.start.weights.values()),
            "integer_layers": runner.integer_layers(),
            "logit_difference": float(np.abs(logits - self.float32_logits).max()),
            "agreement": float((answers == own).mean()),
            "test_accuracy": float((answers == labels).mean()),
            "float32_accuracy": float((own == labels).mean()),
        }

    @classmethod
    def validate(cls, ran: Executions) -> Iterator[str]:
        for outcome in ran.outcomes:
            yield from validate_deployed(ran.case, ran.workload, outcome)

    @classmethod
    def values(cls, axis: str, asked: Sequence[Any]) -> Sequence[Any]:
        return asked[:1] if axis == "batch_size" else asked  # an exported file is of one batch size


def validate_deployed(case: Case, workload: Workload, outcome: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a deployed model; `outcome` is that of `DeploymentStage.quality`."""
    difference, agreement = outcome["logit_difference"], outcome["agreement"]
    lost = outcome["float32_accuracy"] - outcome["test_accuracy"]
    if case.quantize == "none" and case.precision == "float32":
        if not difference <= LARGEST_DIFFERENCE[case.device]:
            yield (
                f"its logits differ by {difference:.1e} from those of the framework's own model, "
                f"{LARGEST_DIFFERENCE[case.device]:.0e} is allowed"
            )
        return
    if not agreement >= LEAST_AGREEMENT:
        yield (
            f"it answers like the float32 model on {agreement:.1%} of the test images, "
            f"{LEAST_AGREEMENT:.0%} is the least allowed"
        )
    if not lost <= LOST_ACCURACY:
        yield (
            f"its accuracy is {outcome['test_accuracy']:.1%}, {100 * lost:.1f} points below that of the "
            f"float32 model; {100 * LOST_ACCURACY:.0f} are allowed"
        )
    if case.quantize == "none":
        return
    share = outcome["file_bytes"] / (4 * outcome["parameters"])
    if share >= LARGEST_SHARE:
        yield (
            f"its file has {share:.0%} of the size of the float32 weights, "
            f"int8 weights have less than {LARGEST_SHARE:.0%}"
        )
    kernels = NETWORKS[case.network].kernels(workload.classes, workload.input_size)
    quantized = [size for size in kernels if size >= SMALL_KERNEL or case.quantize != "dynamic"]
    if outcome["integer_layers"] != len(quantized):
        yield f"{outcome['integer_layers']} of its {len(kernels)} layers multiply integers"
    if difference <= LARGEST_DIFFERENCE[case.device]:
        yield f"its logits are those of the float32 model (within {difference:.1e}): it computes in float"


def in_batches(predict: Any, images: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Return the logits of all images, given in batches of `size`; the last one is filled up."""
    starts = range(0, len(images), size)
    logits = [predict(images.take(range(start, start + size), axis=0, mode="wrap")) for start in starts]
    return np.concatenate(logits)[: len(images)]


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())
