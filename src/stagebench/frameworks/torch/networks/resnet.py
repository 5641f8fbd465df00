"""Residual networks in PyTorch, of any depth."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from stagebench.frameworks.torch.networks.relu import RELU
from stagebench.networks.resnet import Block, Conv, ResNet


class Builder:
    """Builds the layers of one network by one recipe, with BatchNorm or with it folded into convolutions."""

    def __init__(self, network: ResNet, recipe: str, batch_norm: bool) -> None:
        self.network, self.recipe, self.batch_norm = network, recipe, batch_norm

    def conv(self, conv: Conv) -> nn.Sequential:
        """Return a convolution and its BatchNorm."""
        bias = not self.batch_norm
        layer = nn.Conv2d(
            conv.channels_in, conv.channels, conv.kernel, conv.stride, conv.kernel // 2, bias=bias
        )
        if not self.batch_norm:
            return nn.Sequential(layer)
        # PyTorch's momentum is the share of a running statistic that a step replaces.
        momentum, epsilon = 1 - self.network.batch_norm_decay, self.network.batch_norm_epsilon
        return nn.Sequential(layer, nn.BatchNorm2d(conv.channels, momentum=momentum, eps=epsilon))

    def relu(self) -> nn.ReLU:
        """Return an activation."""
        return nn.ReLU(**RELU[self.recipe])

    def stem(self, input_size: int) -> list[nn.Module]:
        """Return what comes before the blocks."""
        pooling = [nn.MaxPool2d(3, 2, padding=1)] if self.network.pools(input_size) else []
        return [self.conv(self.network.stem(input_size)), self.relu(), *pooling]


class ResidualBlock(nn.Module):
    """Convolutions, to whose output the shortcut is added."""

    def __init__(self, block: Block, builder: Builder) -> None:
        super().__init__()
        first, *others = block.convs
        branch = [builder.conv(first)]
        for conv in others:
            branch += [builder.relu(), builder.conv(conv)]
        self.branch = nn.Sequential(*branch)
        self.shortcut = builder.conv(block.shortcut) if block.shortcut else nn.Identity()
        self.relu = builder.relu()

    def forward(self, images: Tensor) -> Tensor:
        """Take [B, C, H, W], return the same or, after a stride of 2, half as many rows and columns."""
        added: Tensor = self.branch(images) + self.shortcut(images)
        activated: Tensor = self.relu(added)
        return activated


def build_resnet(
    network: ResNet, recipe: str, classes: int, input_size: int, batch_norm: bool = True
) -> nn.Sequential:
    """Return a network, with PyTorch's initial weights.

    It takes images float32 [B, 3, H, W] and returns logits float32 [B, classes]. Without `batch_norm`, it is
    the network that takes the weights of `Network.fold_batch_norm`.
    """
    builder = Builder(network, recipe, batch_norm)
    return nn.Sequential(
        *builder.stem(input_size),
        *(ResidualBlock(block, builder) for block in network.stages(input_size)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(network.features, classes),
    )


KINDS: Mapping[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.BatchNorm2d: "batch_norm",
    nn.MaxPool2d: "max_pool",
    nn.Flatten: "global_average_pool",  # together with the AdaptiveAvgPool2d before it
    nn.Linear: "dense",
}
"""What the model table calls the layers; others have no row."""
