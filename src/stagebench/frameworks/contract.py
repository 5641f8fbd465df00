"""What a pipeline must do: one method a stage, and what the stages are checked with.

Everything above the pipelines (stages, run, plugin, report) knows a framework only through this contract.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stagebench.case import Case, Workload
from stagebench.datasets.manifest import Manifest
from stagebench.networks.weights import Weights

Split = Literal["train", "test"]
Array = NDArray[Any]


class UnavailableError(Exception):
    """The case cannot run on this machine, e.g. its device is not there. The message says why."""


@dataclass(frozen=True)
class Epoch:
    """What one training epoch reports, as the framework computes it."""

    loss: float
    accuracy: float
    images: int
    """Images that the loss was computed from."""


@dataclass(frozen=True)
class WatchedEpoch:
    """One training epoch, and how much of it the training loop waited for batches."""

    epoch: Epoch
    seconds: float
    """Wall-clock time, device synchronised at the end."""
    data_wait_seconds: float | None = None
    """From each request for the next batch until it came; None where that cannot be seen. TensorFlow cannot
    see the last request, which finds the epoch at its end."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation reports, as the framework computes it."""

    loss: float
    accuracy: float
    images: int


@dataclass(frozen=True)
class Operation:
    """What a profiler saw of one kind of operation."""

    name: str
    """As the framework calls it, e.g. `aten::mkldnn_convolution`."""
    seconds: float
    """In the operation itself, without those that it calls; summed over threads."""
    calls: int


def costliest(seconds: Mapping[str, Sequence[float]]) -> list[Operation]:
    """Return the ten operations that took most, first, from the seconds of each one's calls."""
    operations = (Operation(name, sum(each), len(each)) for name, each in seconds.items())
    return sorted(operations, key=lambda operation: -operation.seconds)[:10]


@dataclass(frozen=True)
class Layer:
    """One row of the model table."""

    kind: str
    """As the network's builder calls it, e.g. `conv`, `batch_norm`, `global_average_pool` or `dense`."""
    output_shape: tuple[int, ...]
    """Without the batch: `(height, width, channels)` or `(features,)`."""
    parameters: int
    """Trainable and not; BatchNorm counts its running mean and variance."""


@dataclass(frozen=True)
class RuntimeInfo:
    """What a worker process knows about itself once its framework is imported."""

    framework_version: str
    device_name: str
    threads: int
    """Threads that one operation may use."""


@dataclass(frozen=True)
class StartingPoint:
    """What every case of deployment starts from."""

    weights: Weights
    calibration: Array
    """Training images without flips, float32 [N, H, W, 3], in the same order for all."""
    images: Array
    """All images of the test split, float32 [N, H, W, 3]."""
    labels: Array
    """Their class indices, int64 [N]."""


class Runner(Protocol):
    """A deployed model in its runtime, for batches of the case's size."""

    def feed(self, images: NDArray[np.float32]) -> Any:
        """Return images float32 [B, H, W, 3] as the runtime takes them, on the device. Not timed.

        B is the case's batch size.
        """

    def run(self, batch: Any) -> NDArray[np.float32]:
        """Return the logits, float32 [B, classes], in main memory, of what `feed` returned. Timed."""

    def integer_layers(self) -> int:
        """Return how many of the convolutions and dense layers multiply integers, as the runtime runs them.

        Found out from what is loaded, not from how it was made.
        """


class Deployer(Protocol):
    """Takes the model of a pipeline to the form `case.deploy`, by way of `case.quantize`."""

    def quantize(self, calibration: NDArray[np.float32]) -> dict[str, float]:
        """Make an int8 model of the pipeline's, as `case.quantize` says, for the next `export`.

        The pipeline's own model stays as it is. `calibration` are images float32 [N, H, W, 3]. Post-training
        quantization (`ptq`) is calibrated with them; quantization-aware training (`qat`) is from the
        pipeline's weights, as `fine_tune` trains. Returns the seconds of each step by name: `calibration`,
        `training`, `conversion`, as far as there are such steps.
        """

    def export(self, path: Path) -> None:
        """Write the model, or the one that `quantize` has made, to a new file or folder that is complete."""

    def load(self, path: Path) -> Runner:
        """Read what `export` has written, as one does who has nothing but the file."""


class Pipeline(ABC):
    """One case of one framework. It holds the data loaders, the model and the optimiser.

    Stages take no device and no batch size: those are the case's. A new framework starts with the abstract
    methods; what it does not offer beyond them is skipped or left empty.
    """

    case: Case

    @abstractmethod
    def __init__(self, case: Case, workload: Workload, manifest: Manifest) -> None:
        """Set up device and seed, nothing else; raises `UnavailableError` for what cannot be here."""

    # The six stages. Each is timed as it stands, between two calls of `synchronize`.

    @abstractmethod
    def load_data(self) -> list[Any]:
        """Deliver one epoch of training batches on the device, and read every batch.

        Returns the label batches, in the framework's own form, for `class_indices` to look at later.
        """

    @abstractmethod
    def build_model(self) -> None:
        """Make the model and its optimiser, with all variables in place on the device."""

    @abstractmethod
    def train(self, epochs: int) -> list[Epoch]:
        """Train the model over the training split."""

    @abstractmethod
    def save_model(self, path: Path) -> None:
        """Write the model to `path`; when this returns, the file is closed and complete."""

    @abstractmethod
    def load_model(self, path: Path) -> None:
        """Make the model in `path` the one that `predict` and `evaluate` use, on the device."""

    @abstractmethod
    def evaluate(self) -> Evaluation:
        """Loss and accuracy over the whole test split, in inference mode."""

    # What a stage is prepared and checked with. Never timed.

    @abstractmethod
    def runtime_info(self) -> RuntimeInfo:
        """Versions, device and threads, as the framework sees them."""

    @abstractmethod
    def class_indices(self, labels: list[Any]) -> NDArray[np.int64]:
        """Return the class index of every image of the label batches: int64 [N]."""

    @abstractmethod
    def batches(self, split: Split) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yield the batches of one epoch as the model gets them: images float32 [B, H, W, 3].

        Pixels are from 0 to 1, or from -1 to 1 as `Case.pixels` says. Labels are class indices, int64 [B].
        """

    @abstractmethod
    def weights(self) -> Weights:
        """Return copies of all model variables, canonical in name, order and layout: see `Weights`."""

    @abstractmethod
    def trainable_weights(self) -> int:
        """Return how many of the model's parameters the optimiser updates."""

    @abstractmethod
    def set_weights(self, weights: Weights) -> None:
        """Give the variables these values, and the optimiser the state in which it was built."""

    @abstractmethod
    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits, float32 [N, classes], of images float32 [N, H, W, 3], in inference mode."""

    # What a framework may offer beside.

    def synchronize(self) -> None:  # noqa: B027  # on the CPU there is nothing to wait for
        """Wait until the device has finished everything that was asked of it."""

    def layers(self) -> list[Layer]:
        """Return the model's layers in order."""
        return []

    def peak_gpu_bytes(self) -> int | None:
        """Return the most GPU memory that tensors took at once in this process; None on the CPU."""
        return None

    def watch_training(self) -> WatchedEpoch:
        """Train one epoch as `train` does, and take the time of waiting for batches."""
        start = perf_counter()
        (epoch,) = self.train(1)
        self.synchronize()
        return WatchedEpoch(epoch, perf_counter() - start)

    def transfers(self) -> Callable[[], object] | None:
        """Return what moves all that crosses between the devices of a split model in a training step, once.

        These are activations, logits, and the gradients of both. None: the model is on one device.
        """
        return None

    def profile(self, path: Path, work: Callable[[], object]) -> list[Operation]:
        """Do some work under the framework's profiler; write its trace, return what took most, first.

        `path` is a file without a suffix. The trace opens in Perfetto or TensorBoard.
        """
        raise UnavailableError(f"{self.case.framework} has no profiler here")

    def fine_tune(self) -> None:
        """Train the model for one more epoch, at `training.FINE_TUNING` of the learning rate."""
        raise UnavailableError(f"{self.case.framework} has no quantization-aware training here")

    def deployer(self) -> Deployer:
        """Return what deploys the model that the pipeline has now. Imports what only deployment needs."""
        raise UnavailableError(f"{self.case.framework} deploys no model here")


class Inspector(Protocol):
    """The arithmetic of a recipe's network laid open, to be compared with the other framework's.

    It uses what the pipeline uses: its `model.py`, its loss, its optimiser. Weights and gradients are
    canonical; images are [B, H, W, 3] and labels class indices, int64 [B].
    """

    def __init__(self, case: Case, workload: Workload, precision: str) -> None:
        """Build the case's network on the CPU; `precision` is `float32` or `float64`.

        Of the case, its recipe, network, API and placement count.
        """

    def logits(self, weights: Weights, images: Array, training: bool) -> Array:
        """Return the logits [B, classes], in inference or in training mode."""

    def loss_and_gradients(self, weights: Weights, images: Array, labels: Array) -> tuple[float, Weights]:
        """Return the training loss of one batch, and its gradient by each trainable variable."""

    def train(
        self,
        weights: Weights,
        batches: list[tuple[Array, Array]],
        optimizer: Literal["sgd", "adam"],
        learning_rate: float,
        accumulate: int = 1,
        loop: str = "default",
    ) -> tuple[list[float], Weights]:
        """Take one step on each batch. Returns the losses before each step, and the weights after the last.

        `adam` is the recipe's; `sgd` is plain gradient descent. The gradients of `accumulate` batches make
        one update; `loop` is as in the axis of that name.
        """

    def adam_path(self, start: Array, gradients: list[Array], learning_rate: float) -> list[Array]:
        """Return where the recipe's Adam moves a variable, step by step, given its gradients."""
