"""The CNN with which a comparison of frameworks classifies CIFAR-10: 122,570 parameters at 10 classes.

The comparison's two sides are not alike. `matched` and `tuned` have its Keras side, with three convolutions;
`published` has each side as it was: see `PublishedInTorch`.
"""

from __future__ import annotations

from stagebench.networks.network import Network, Shapes, dense_shapes


class Cifar10(Network):
    """Convolutions with pooling between them, two dense layers."""

    name = "cifar10"
    recipes = ("published", "matched", "tuned")
    channels: tuple[int, ...] = (32, 64, 64)
    """Output channels of each convolution: 3x3, stride 1, with bias; a ReLU follows."""
    padding = 0
    """Zeros on each side of what a convolution takes."""
    pool = 2
    """Side and stride of the maximum pooling behind each convolution but the last."""
    pools_last = False
    """Whether it is behind the last one too."""
    hidden = 64
    """Width of the first dense layer, which a ReLU follows."""
    smallest_input = 22

    def form(self, recipe: str, framework: str) -> Cifar10:
        """See `Network.form`."""
        return PublishedInTorch() if (recipe, framework) == ("published", "torch") else self

    def sizes(self, input_size: int) -> list[int]:
        """Return the pixels a side of what each convolution returns."""
        sizes, size = [], input_size
        for _ in self.channels:
            size += 2 * self.padding - 2
            sizes.append(size)
            size //= self.pool
        return sizes

    def features(self, input_size: int) -> int:
        """Return the width of what the first dense layer takes."""
        last = self.sizes(input_size)[-1]
        side: int = last // self.pool if self.pools_last else last
        return side**2 * self.channels[-1]

    def shapes(self, classes: int, input_size: int) -> Shapes:
        shapes: Shapes = {}
        width = 3
        for number, channels in enumerate(self.channels, start=1):
            shapes[f"conv{number}/kernel"] = (3, 3, width, channels)
            shapes[f"conv{number}/bias"] = (channels,)
            width = channels
        return shapes | dense_shapes(self.features(input_size), self.hidden, classes)

    def multiply_adds(self, classes: int, input_size: int) -> list[int]:
        counts, width = [], 3
        for size, channels in zip(self.sizes(input_size), self.channels, strict=True):
            counts.append(size * size * 9 * width * channels)
            width = channels
        return [*counts, self.features(input_size) * self.hidden, self.hidden * classes]


class PublishedInTorch(Cifar10):
    """The comparison's PyTorch side: two padded convolutions, 282,250 parameters, pixels from -1 to 1."""

    channels = (32, 64)
    padding = 1
    pools_last = True
    normalize = "half"


NETWORK = Cifar10()
