"""The network of the article: 271,652 parameters at 100 classes.

Values are stated even where they are one framework's default, so that no default of either decides what is
computed.
"""

from __future__ import annotations

from stagebench.networks.network import Network, Shapes, dense_shapes, folded_batch_norm
from stagebench.networks.weights import Weights


class Article(Network):
    """Blocks of convolution, BatchNorm, ReLU and pooling; global average pooling; two dense layers."""

    name = "article"
    recipes = ("published", "matched", "tuned")
    deployed_epochs = 8
    channels = (32, 64, 128, 128)
    """Output channels of each block's convolution: 3x3, stride 1, zero padding, with bias."""
    pool = 2
    """Side and stride of each block's maximum pooling."""
    hidden = 128
    """Width of the first dense layer, which a ReLU follows."""
    batch_norm_decay = 0.9
    """Share of BatchNorm's running mean and variance that a training step keeps."""
    batch_norm_epsilon = 1e-5
    """What BatchNorm adds to the variance."""

    def shapes(self, classes: int, input_size: int) -> Shapes:
        shapes: Shapes = {}
        width = 3
        for number, channels in enumerate(self.channels, start=1):
            shapes[f"conv{number}/kernel"] = (3, 3, width, channels)
            shapes[f"conv{number}/bias"] = (channels,)
            for variable in ("scale", "offset", "mean", "variance"):
                shapes[f"batch_norm{number}/{variable}"] = (channels,)
            width = channels
        return shapes | dense_shapes(width, self.hidden, classes)

    def multiply_adds(self, classes: int, input_size: int) -> list[int]:
        counts, width, size = [], 3, input_size
        for channels in self.channels:
            counts.append(size * size * 9 * width * channels)
            width, size = channels, size // self.pool
        return [*counts, width * self.hidden, self.hidden * classes]

    def changes_nothing(self, name: str) -> bool:
        """See `Network.changes_nothing`. BatchNorm takes away what a bias before it adds."""
        return name.startswith("conv") and name.endswith("/bias")

    def fold_batch_norm(self, weights: Weights) -> Weights:
        """See `Network.fold_batch_norm`."""
        folded = {name: value for name, value in weights.items() if not name.startswith("batch_norm")}
        for number in range(1, len(self.channels) + 1):
            kernel, bias = f"conv{number}/kernel", f"conv{number}/bias"
            folded[kernel], folded[bias] = folded_batch_norm(
                weights, kernel, f"batch_norm{number}", self.batch_norm_epsilon, weights[bias]
            )
        return folded


NETWORK = Article()
