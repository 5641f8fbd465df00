"""One hidden layer on the pixels: 406,244 parameters at 32 pixels and 100 classes."""

from __future__ import annotations

from stagebench.networks.network import Network


class Mlp(Network):
    """Pixels in a row, a dense layer, ReLU, a dense layer."""

    name = "mlp"
    hidden = 128
    """Width of the first dense layer, which a ReLU follows."""
    layers_with_kernel = 2
    adams_apart = 1e-3  # 4.6e-4

    def shapes(self, classes: int, input_size: int) -> dict[str, tuple[int, ...]]:
        return {
            "dense1/kernel": (input_size * input_size * 3, self.hidden),
            "dense1/bias": (self.hidden,),
            "dense2/kernel": (self.hidden, classes),
            "dense2/bias": (classes,),
        }

    def multiply_adds(self, classes: int, input_size: int) -> list[int]:
        return [input_size * input_size * 3 * self.hidden, self.hidden * classes]


NETWORK = Mlp()
