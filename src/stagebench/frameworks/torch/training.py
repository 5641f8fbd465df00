"""Training and evaluation loops in PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stagebench.case.training import ADAM as SPECIFIED
from stagebench.frameworks.contract import Epoch, Evaluation
from stagebench.frameworks.torch.scalar_log import ScalarLog

ADAM: Mapping[str, Mapping[str, Any]] = {
    "published": {},  # betas 0.9 and 0.999, eps 1e-8
    "matched": {"betas": (SPECIFIED.beta_1, SPECIFIED.beta_2), "eps": SPECIFIED.epsilon},
    "tuned": {"betas": (SPECIFIED.beta_1, SPECIFIED.beta_2), "eps": SPECIFIED.epsilon, "fused": True},
}

criterion = nn.CrossEntropyLoss()
Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass
class Accumulation:
    """The batches whose gradients, averaged, make one update."""

    batches: int = 1
    waiting: int = 0
    """Those that wait for the others: at the end of an epoch for the next epoch's, as in Keras."""


@dataclass(frozen=True)
class Settings:
    """What a case adds to the loop."""

    accumulation: Accumulation = field(default_factory=Accumulation)
    scheduler: LRScheduler | None = None
    """Sets the learning rate after each update."""
    log: ScalarLog | None = None


def build_optimizer(recipe: str, parameters: Iterable[Tensor], learning_rate: float) -> Adam:
    """Adam with its state in place: PyTorch would otherwise allocate it in the first step."""
    optimizer = Adam(parameters, lr=learning_rate, **ADAM[recipe])
    reset_optimizer(optimizer)
    return optimizer


def reset_optimizer(optimizer: Adam) -> None:
    """Put Adam into the state that it has before its first step."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                # Adam keeps it on the CPU, unless it is fused or captured.
                "step": torch.tensor(0.0, device=parameter.device if group["fused"] else "cpu"),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }


def train_epoch(
    recipe: str,
    model: nn.Module,
    optimizer: Optimizer,
    batches: Batches,
    device: torch.device,
    scaler: GradScaler | None = None,
    settings: Settings | None = None,
) -> Epoch:
    """One pass over the batches; the figures are those of the training steps, before each update."""
    settings = settings or Settings()
    loss_sum, correct, images_seen, steps = 0.0, 0.0, 0, 0
    model.train()
    for images, labels in batches:
        images, labels = images.to(device), labels.to(device)
        loss, logits = train_step(model, optimizer, images, labels, scaler, settings.accumulation)
        if settings.scheduler and not settings.accumulation.waiting:
            settings.scheduler.step()
        loss_sum += loss.item() * batch_weight(recipe, labels)
        correct += (logits.argmax(1) == labels).sum().item()
        images_seen += len(labels)
        steps += 1
        if settings.log:
            settings.log.add_step(loss_sum / images_seen, correct / images_seen)
    return Epoch(loss_sum / total_weight(recipe, images_seen, steps), correct / images_seen, images_seen)


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    scaler: GradScaler | None = None,
    accumulation: Accumulation | None = None,
) -> tuple[Tensor, Tensor]:
    """Forward, backward; after the last batch of an update, update by the mean of their gradients.

    Returns the batch's mean loss, and the logits before the update. `scaler` is given in float16 alone.
    """
    accumulation = accumulation or Accumulation()
    if accumulation.waiting == 0:
        optimizer.zero_grad()
    logits = model(images)
    loss = criterion(logits, labels)
    share = loss if accumulation.batches == 1 else loss / accumulation.batches
    (share if scaler is None else scaler.scale(share)).backward()
    accumulation.waiting = (accumulation.waiting + 1) % accumulation.batches
    if accumulation.waiting == 0:
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
    return loss, logits


@torch.no_grad()
def evaluate(recipe: str, model: nn.Module, batches: Batches, device: torch.device) -> Evaluation:
    """Loss and accuracy over the batches, in inference mode."""
    loss_sum, correct, images_seen, steps = 0.0, 0.0, 0, 0
    model.eval()
    for images, labels in batches:
        images, labels = images.to(device), labels.to(device)
        logits = model(images)
        loss_sum += criterion(logits, labels).item() * batch_weight(recipe, labels)
        correct += (logits.argmax(1) == labels).sum().item()
        images_seen += len(labels)
        steps += 1
    return Evaluation(loss_sum / total_weight(recipe, images_seen, steps), correct / images_seen, images_seen)


def batch_weight(recipe: str, labels: Tensor) -> int:
    """Published: the mean of the batches' means, in which images of a small last batch count for more."""
    return 1 if recipe == "published" else len(labels)


def total_weight(recipe: str, images: int, steps: int) -> int:
    """What the weighted losses are divided by."""
    return steps if recipe == "published" else images


class WatchedBatches:
    """Batches, and for how long the loop over them had to wait."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self.wait_seconds = 0.0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        asked = perf_counter()
        for batch in self.batches:
            self.wait_seconds += perf_counter() - asked
            yield batch
            asked = perf_counter()
        self.wait_seconds += perf_counter() - asked
