"""Networks that are stacks of layers: which of them may take another form, and where one is split in two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import TypeVar

from stagebench.case import AXES, Case
from stagebench.frameworks.contract import UnavailableError

T = TypeVar("T")


def check(case: Case, build: Callable[..., object]) -> None:
    """Raise `UnavailableError` where a case asks for a form that its network cannot take.

    `build` is the network's builder. That of a stack takes `assemble`, which makes a model of the layers.
    """
    axes = AXES["api"], AXES["placement"]
    asked = [f"{a.option}={getattr(case, a.name)}" for a in axes if a.named(getattr(case, a.name))]
    if not asked:
        return
    if case.recipe == "published":
        raise UnavailableError(f"published code stays as it is: {asked[0]} is for matched and tuned")
    if "assemble" not in signature(build).parameters:
        raise UnavailableError(f"{case.network} is no stack of layers: its builder has one form")
    if case.placement == "single":
        return
    if case.api != AXES["api"].default:
        raise UnavailableError(f"--placement=split goes with --api=sequential alone, not with {asked[0]}")
    if case.precision != "float32":
        raise UnavailableError(f"--placement=split computes in float32: in {case.precision} devices differ")
    if case.execution == "compiled":
        raise UnavailableError("--placement=split is not compiled: a compiler makes a step for one device")


def halves(layers: Sequence[T], has_kernel: Callable[[T], bool]) -> tuple[Sequence[T], Sequence[T]]:
    """Return the halves of a stack that `--placement=split` puts on two devices.

    The second one begins with the layer with a kernel before which half of those lie; of an odd number, the
    smaller half.
    """
    kernels = [at for at, layer in enumerate(layers) if has_kernel(layer)]
    border = kernels[len(kernels) // 2]
    return layers[:border], layers[border:]
