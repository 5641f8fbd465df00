"""One hidden layer on the pixels: 406,244 parameters at 32 pixels and 100 classes."""

from __future__ import annotations

from stagebench.networks.network import Network, Shapes, dense_shapes


class Mlp(Network):
    """Pixels in a row, a dense layer, ReLU, a dense layer."""

    name = "mlp"
    hidden = 128
    """Width of the first dense layer, which a ReLU follows."""
    deployed_epochs = 16
    deployed_rate = 0.1  # at 0.001 a step moves its sums over 3,072 pixels so far that all ReLUs return 0
    adams_apart = 1e-3  # 4.6e-4

    def shapes(self, classes: int, input_size: int) -> Shapes:
        return dense_shapes(input_size * input_size * 3, self.hidden, classes)

    def multiply_adds(self, classes: int, input_size: int) -> list[int]:
        return [input_size * input_size * 3 * self.hidden, self.hidden * classes]


NETWORK = Mlp()
