"""Where a network that is a stack of layers is split in two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def halves(layers: Sequence[T], has_kernel: Callable[[T], bool]) -> tuple[Sequence[T], Sequence[T]]:
    """Return the halves of a stack that `--placement=split` puts on two devices.

    The second one begins with the layer with a kernel before which half of those lie; of an odd number, the
    smaller half.
    """
    kernels = [at for at, layer in enumerate(layers) if has_kernel(layer)]
    border = kernels[len(kernels) // 2]
    return layers[:border], layers[border:]
