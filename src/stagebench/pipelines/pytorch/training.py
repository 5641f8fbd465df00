"""The article's training and evaluation loops in PyTorch."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from stagebench.pipelines.contract import Epoch, Evaluation

Batches = Iterable[tuple[Tensor, Tensor]]


def build_optimizer(model: nn.Module, learning_rate: float) -> Adam:
    """Adam with its state in place: PyTorch would otherwise allocate it in the first step."""
    optimizer = Adam(model.parameters(), lr=learning_rate)
    reset_optimizer(optimizer)
    return optimizer


def reset_optimizer(optimizer: Adam) -> None:
    """Put Adam into the state that it has before its first step."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                "step": torch.tensor(0.0),  # on the CPU, where Adam keeps it unless it is fused or captured
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }


def train_epoch(model: nn.Module, optimizer: Optimizer, batches: Batches, device: torch.device) -> Epoch:
    """One pass over the batches. The loss reported is the mean of the batches' means, as published."""
    criterion = nn.CrossEntropyLoss()
    loss_sum, correct, images_seen, steps = 0.0, 0.0, 0, 0
    model.train()
    for images, labels in batches:
        images, labels = images.to(device), labels.to(device)

        optimizer.zero_grad()
        logits = model(images)
        loss = criterion(logits, labels)
        loss.backward()
        optimizer.step()

        loss_sum += loss.item()
        correct += (logits.argmax(1) == labels).sum().item()
        images_seen += len(labels)
        steps += 1
    return Epoch(loss_sum / steps, correct / images_seen, images_seen)


@torch.no_grad()
def evaluate(model: nn.Module, batches: Batches, device: torch.device) -> Evaluation:
    """Loss and accuracy over the batches. The loss is the mean of the batches' means, as published."""
    criterion = nn.CrossEntropyLoss()
    loss_sum, correct, images_seen, steps = 0.0, 0.0, 0, 0
    model.eval()
    for images, labels in batches:
        images, labels = images.to(device), labels.to(device)
        logits = model(images)
        loss_sum += criterion(logits, labels).item()
        correct += (logits.argmax(1) == labels).sum().item()
        images_seen += len(labels)
        steps += 1
    return Evaluation(loss_sum / steps, correct / images_seen, images_seen)
