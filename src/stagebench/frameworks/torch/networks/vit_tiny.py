"""The small vision transformer in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from stagebench.networks.vit_tiny import NETWORK


class Tokens(nn.Module):
    """Put the patches of an image into a row behind the class token, and add what tells places apart."""

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(NETWORK.width))
        self.positions = nn.Parameter(torch.zeros(NETWORK.tokens(input_size), NETWORK.width))

    def forward(self, patches: Tensor) -> Tensor:
        """Take [B, width, rows, columns], return [B, tokens, width]."""
        tokens = patches.flatten(2).transpose(1, 2)
        first = self.class_token.expand(len(tokens), 1, -1)
        return torch.cat([first, tokens], dim=1) + self.positions


class Block(nn.Module):
    """Attention, then two dense layers; each half is added to what it was given."""

    def __init__(self) -> None:
        super().__init__()
        width, hidden = NETWORK.width, NETWORK.hidden
        self.norm1 = nn.LayerNorm(width, eps=NETWORK.layer_norm_epsilon)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=NETWORK.layer_norm_epsilon)
        self.expand = nn.Linear(width, hidden)
        self.gelu = nn.GELU()
        self.contract = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Take [B, tokens, width], return the same."""
        tokens = tokens + self.attention(self.norm1(tokens))
        added: Tensor = tokens + self.contract(self.gelu(self.expand(self.norm2(tokens))))
        return added

    def attention(self, tokens: Tensor) -> Tensor:
        """Mix the values of all tokens, in each head by how much their keys are like a token's query."""
        query, key, value = (
            layer(tokens).unflatten(2, (NETWORK.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.project(mixed.transpose(1, 2).flatten(2))
        return projected


class ClassToken(nn.Module):
    """Keep the class token alone."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Take [B, tokens, width], return [B, width]."""
        return tokens[:, 0]


def build(recipe: str, classes: int, input_size: int, batch_norm: bool = True) -> nn.Sequential:
    """Return the network, which is equal in all recipes and has no BatchNorm. Tokens and positions are 0.

    It takes images float32 [B, 3, H, W] and returns logits float32 [B, classes].
    """
    patch = NETWORK.patch(input_size)
    return nn.Sequential(
        nn.Conv2d(3, NETWORK.width, kernel_size=patch, stride=patch),
        Tokens(input_size),
        *(Block() for _ in range(NETWORK.depth)),
        nn.LayerNorm(NETWORK.width, eps=NETWORK.layer_norm_epsilon),
        ClassToken(),
        nn.Linear(NETWORK.width, classes),
    )


KINDS: Mapping[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    Tokens: "tokens",
    nn.LayerNorm: "layer_norm",
    nn.Linear: "dense",
}
"""What the model table calls the layers; others have no row."""
