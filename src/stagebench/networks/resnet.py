"""Residual networks (He et al., "Deep Residual Learning for Image Recognition", 2015), of any depth.

The stride of a bottleneck is in its 3x3 convolution, as torchvision and MLPerf have it ("v1.5"). An input of
fewer than 64 pixels has the paper's stem for small images: a 3x3 convolution of stride 1, and no pooling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stagebench.networks.network import Network, Shapes, folded_batch_norm
from stagebench.networks.weights import Weights

SMALL_INPUT = 64
"""Pixels a side below which an input has the stem for small images."""


@dataclass(frozen=True)
class Conv:
    """A convolution without bias, zero padding of half its kernel, and the BatchNorm that follows it."""

    name: str
    kernel: int
    channels_in: int
    channels: int
    stride: int
    size: int
    """Pixels a side of what it returns."""

    @property
    def batch_norm(self) -> str:
        """Name of its BatchNorm."""
        return f"{self.name}_norm"


@dataclass(frozen=True)
class Block:
    """Convolutions with a ReLU after each but the last; the shortcut is added, and a ReLU follows."""

    convs: tuple[Conv, ...]
    shortcut: Conv | None
    """A 1x1 convolution where the shape changes; else the block's input is added as it is."""


class ResNet(Network):
    """Stem, four stages of residual blocks, global average pooling, a dense layer."""

    widths = (64, 128, 256, 512)
    """Channels of each stage's 3x3 convolutions; each stage but the first halves the image."""
    adams_apart = 0.2  # 5.3e-3 in ResNet-18, 0.064 in ResNet-50
    adam_rounds = 0.7  # after two steps 0.21 in ResNet-18, 0.36 in ResNet-50; at twice the rate, 1
    gradients_apart = 0.1  # 0.011 in ResNet-18, 0.027 in ResNet-50; in float64, 2e-12
    logits_apart = 5e-4  # 1.5e-5 in ResNet-18, 1.2e-4 in ResNet-50; in float64, 4e-13
    batch_norm_decay = 0.9
    """Share of BatchNorm's running mean and variance that a training step keeps."""
    batch_norm_epsilon = 1e-5
    """What BatchNorm adds to the variance."""

    blocks: tuple[int, ...]
    """Of each stage."""
    bottleneck: bool
    """Whether a block is 1x1, 3x3, 1x1 with four times as many channels at its end, or 3x3, 3x3."""

    @property
    def features(self) -> int:
        """Width of what the dense layer takes."""
        return self.widths[-1] * self.expansion

    @property
    def expansion(self) -> int:
        """Channels that a block returns, for each of its 3x3 convolution."""
        return 4 if self.bottleneck else 1

    def pools(self, input_size: int) -> bool:
        """Whether the stem ends in maximum pooling: 3x3, stride 2, padding 1."""
        return input_size >= SMALL_INPUT

    def stem(self, input_size: int) -> Conv:
        """Return the first convolution, which a ReLU follows."""
        if self.pools(input_size):
            return Conv("stem", 7, 3, self.widths[0], 2, half(input_size))
        return Conv("stem", 3, 3, self.widths[0], 1, input_size)

    def stages(self, input_size: int) -> Iterator[Block]:
        """Yield the blocks in their order."""
        size = half(self.stem(input_size).size) if self.pools(input_size) else input_size
        width = self.widths[0]
        for stage, (channels, count) in enumerate(zip(self.widths, self.blocks, strict=True), start=1):
            for number in range(1, count + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                size = half(size) if stride == 2 else size
                yield self._block(f"stage{stage}_block{number}", width, channels, stride, size)
                width = channels * self.expansion

    def _block(self, name: str, width: int, channels: int, stride: int, size: int) -> Block:
        out = channels * self.expansion
        if self.bottleneck:
            before = size * stride
            convs: tuple[Conv, ...] = (
                Conv(f"{name}_conv1", 1, width, channels, 1, before),
                Conv(f"{name}_conv2", 3, channels, channels, stride, size),
                Conv(f"{name}_conv3", 1, channels, out, 1, size),
            )
        else:
            convs = (
                Conv(f"{name}_conv1", 3, width, channels, stride, size),
                Conv(f"{name}_conv2", 3, channels, channels, 1, size),
            )
        changes = stride != 1 or width != out
        shortcut = Conv(f"{name}_shortcut", 1, width, out, stride, size) if changes else None
        return Block(convs, shortcut)

    def convs(self, input_size: int) -> Iterator[Conv]:
        """Yield all convolutions; a block's shortcut comes after its others."""
        yield self.stem(input_size)
        for block in self.stages(input_size):
            yield from block.convs
            if block.shortcut:
                yield block.shortcut

    def shapes(self, classes: int, input_size: int) -> Shapes:
        shapes: Shapes = {}
        for conv in self.convs(input_size):
            shapes[f"{conv.name}/kernel"] = (conv.kernel, conv.kernel, conv.channels_in, conv.channels)
            for variable in ("scale", "offset", "mean", "variance"):
                shapes[f"{conv.batch_norm}/{variable}"] = (conv.channels,)
        shapes["dense/kernel"] = (self.features, classes)
        shapes["dense/bias"] = (classes,)
        return shapes

    def multiply_adds(self, classes: int, input_size: int) -> list[int]:
        counts = [
            conv.size**2 * conv.kernel**2 * conv.channels_in * conv.channels
            for conv in self.convs(input_size)
        ]
        return [*counts, self.features * classes]

    def fold_batch_norm(self, weights: Weights) -> Weights:
        """See `Network.fold_batch_norm`; each convolution gets a bias."""
        folded: Weights = {}
        for name, value in weights.items():
            layer, variable = name.split("/")
            if layer == "dense":
                folded[name] = value
            elif variable == "kernel":
                folded[name], folded[f"{layer}/bias"] = folded_batch_norm(
                    weights, name, f"{layer}_norm", self.batch_norm_epsilon
                )
        return folded


def half(size: int) -> int:
    """Return what a stride of 2 leaves of a side."""
    return (size + 1) // 2
