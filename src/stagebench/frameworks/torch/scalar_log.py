"""What training writes for TensorBoard: the scalars of Keras' callback, under its names."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import ModuleType

from stagebench.frameworks.contract import Epoch


class ScalarLog:
    """Event files in a new folder: loss and accuracy after each step, and with the learning rate each epoch.

    Those of a step are the means over the images of the epoch so far. Steps count from 1, epochs from 0.
    """

    def __init__(self) -> None:
        # TensorBoard would import TensorFlow, where it is installed; with this module it uses its own stub.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
        from torch.utils.tensorboard import SummaryWriter  # not every case has TensorBoard

        self.writer = SummaryWriter(Path(tempfile.mkdtemp(prefix="tensorboard-")) / "train")
        self.steps = self.epochs = 0

    def add_step(self, loss: float, accuracy: float) -> None:
        self.steps += 1
        self.writer.add_scalar("batch_loss", loss, self.steps)
        self.writer.add_scalar("batch_accuracy", accuracy, self.steps)

    def add_epoch(self, epoch: Epoch, learning_rate: float) -> None:
        self.writer.add_scalar("epoch_loss", epoch.loss, self.epochs)
        self.writer.add_scalar("epoch_accuracy", epoch.accuracy, self.epochs)
        self.writer.add_scalar("epoch_learning_rate", learning_rate, self.epochs)
        self.epochs += 1

    def close(self) -> None:
        self.writer.close()
