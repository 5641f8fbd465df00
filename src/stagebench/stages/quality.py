"""What a deployed model must be before a time of it means anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stagebench.case import Case
from stagebench.networks.article import NETWORK

LARGEST_DIFFERENCE = 1e-4
"""Of logits, between a float32 model and the framework's own."""
LEAST_AGREEMENT = 0.97
"""Share of test images to which a model of less than float32 gives the float32 model's answer."""
LOST_ACCURACY = 0.02
FLOAT_LAYERS = {"dynamic": 1}
"""Layers that stay in float: LiteRT leaves kernels of fewer than 1,024 values, the first convolution's."""
LARGEST_SHARE = 0.4
"""Of float32's size, which is 4 bytes a parameter, that a file of int8 weights has."""


def faults(case: Case, outcome: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a deployed model, in words.

    `outcome` is that of a stage in `measurement/deployment.py`.
    """
    difference, agreement = outcome["logit_difference"], outcome["agreement"]
    lost = outcome["float32_accuracy"] - outcome["test_accuracy"]
    if case.quantize == "none" and case.precision == "float32":
        if not difference <= LARGEST_DIFFERENCE:
            yield (
                f"its logits differ by {difference:.1e} from those of the framework's own model, "
                f"{LARGEST_DIFFERENCE:.0e} is allowed"
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
    layers = NETWORK.layers_with_kernel
    if outcome["integer_layers"] != layers - FLOAT_LAYERS.get(case.quantize, 0):
        yield f"{outcome['integer_layers']} of its {layers} layers multiply integers"
    if difference <= LARGEST_DIFFERENCE:
        yield f"its logits are those of the float32 model (within {difference:.1e}): it computes in float"
