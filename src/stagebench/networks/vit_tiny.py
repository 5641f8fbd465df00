"""ViT-Ti (Touvron et al., 2021): 5.7 million parameters at 224 pixels and 1,000 classes."""

from __future__ import annotations

from stagebench.networks.network import Network, Shapes


class VitTiny(Network):
    """Patches as tokens behind a class token, transformer blocks, LayerNorm, a dense layer on that token.

    Blocks are pre-norm; GELU is the one by the error function. Nothing is dropped out.
    """

    name = "vit_tiny"
    width = 192
    """Values of a token."""
    depth = 12
    """Blocks."""
    heads = 3
    """Parts into which attention splits a token."""
    hidden = 4 * width
    """Width of the first dense layer of a block's second half."""
    adams_apart = 1e-3  # 1.9e-4
    gradients_apart = 1e-3  # 1.1e-4, of the kernel of the last keys
    layer_norm_epsilon = 1e-6
    """What LayerNorm adds to the variance."""

    def patch(self, input_size: int) -> int:
        """Return the pixels a side of a patch, which is also its distance to the next one."""
        return 16 if input_size >= 128 else 4

    def refuses(self, input_size: int) -> str | None:
        """See `Network.refuses`."""
        patch = self.patch(input_size)
        if input_size % patch:
            return f"{self.name} takes a multiple of {patch} pixels a side, not {input_size}"
        return super().refuses(input_size)

    def tokens(self, input_size: int) -> int:
        """Return how many tokens an image becomes."""
        across: int = input_size // self.patch(input_size)
        return across * across + 1

    @property
    def dense(self) -> dict[str, tuple[int, int]]:
        """The dense layers of a block, in order: what they take and what they return."""
        square = dict.fromkeys(("query", "key", "value", "project"), (self.width, self.width))
        return {**square, "expand": (self.width, self.hidden), "contract": (self.hidden, self.width)}

    def shapes(self, classes: int, input_size: int) -> Shapes:
        width, patch = self.width, self.patch(input_size)
        shapes: Shapes = {
            "patches/kernel": (patch, patch, 3, width),
            "patches/bias": (width,),
            "tokens/class": (width,),
            "tokens/position": (self.tokens(input_size), width),
        }
        norm_before = {"query": "norm1", "expand": "norm2"}
        for number in range(1, self.depth + 1):
            for name, (width_in, width_out) in self.dense.items():
                if name in norm_before:
                    shapes |= _layer_norm(f"block{number}_{norm_before[name]}", width)
                layer = f"block{number}_{name}"
                shapes |= {f"{layer}/kernel": (width_in, width_out), f"{layer}/bias": (width_out,)}
        shapes |= _layer_norm("norm", width)
        return shapes | {"dense/kernel": (width, classes), "dense/bias": (classes,)}

    def changes_nothing(self, name: str) -> bool:
        """See `Network.changes_nothing`. A bias of all keys adds the same to all that a softmax compares."""
        return name.endswith("_key/bias")

    def multiply_adds(self, classes: int, input_size: int) -> list[int]:
        tokens, patch = self.tokens(input_size), self.patch(input_size)
        dense = [tokens * width_in * width_out for width_in, width_out in self.dense.values()]
        attention = [tokens * tokens * self.width] * 2  # each token with each, and the mean of values by that
        patches = (tokens - 1) * patch * patch * 3 * self.width
        return [patches, *(dense + attention) * self.depth, self.width * classes]


def _layer_norm(name: str, width: int) -> Shapes:
    return {f"{name}/scale": (width,), f"{name}/offset": (width,)}


NETWORK = VitTiny()
