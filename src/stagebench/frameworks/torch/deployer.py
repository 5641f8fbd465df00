"""Trained PyTorch models in the forms in which they are used.

In PyTorch, all of them run in channels_last, as its guide to performance advises for convolutions: the logits
are the same, and a batch of 32 takes less than half of the time. Files hold them as they come.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import ExportedProgram

from stagebench.case.training import training_batch
from stagebench.frameworks.contract import Runner
from stagebench.frameworks.torch import execution
from stagebench.frameworks.torch import model as models

if TYPE_CHECKING:
    from stagebench.frameworks.torch.pipeline import Pipeline

INTEGER_OPERATORS = ("qconv", "qlinear")
"""What the names of those operators have in common that multiply integers, e.g. `onednn::qconv_pointwise`."""


class Deployer:
    """See `contract.Deployer`. Files for `torch.compile` and for onnxruntime may hold int8 weights."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.case = pipeline, pipeline.case
        size = pipeline.workload.input_size
        self.shape = (self.case.batch_size, 3, size, size)
        """Of what the deployed model takes."""
        self._quantized: nn.Module | None = None

    def quantize(self, calibration: NDArray[np.float32]) -> dict[str, float]:
        from stagebench.frameworks.torch import quantization  # it imports torchao

        match self.case.quantize:
            case "ptq":
                self._quantized, seconds = quantization.post_training(
                    self._model(), calibration, self.case.deploy
                )
            case "qat":
                # With its BatchNorm, as it is to be trained; the conversion folds it afterwards.
                model = self.pipeline.new_network()
                models.set_weights(model, self.pipeline.weights())
                self._quantized, seconds = quantization.quantization_aware(
                    model, self.pipeline.workload.input_size, self._trainer().train_other, self.case.deploy
                )
            case how:
                raise ValueError(f"PyTorch's models are quantized by ptq or qat, not by {how}")
        if self.case.deploy == "onnx":
            quantization.add_last_bias_apart(self._quantized)
        return seconds

    def export(self, path: Path) -> None:
        match self.case.deploy:
            case "eager":
                torch.save(self._model().state_dict(), path)
            case "torchscript":
                model = self._model().to(memory_format=torch.channels_last)  # as it stays, once frozen
                torch.jit.freeze(torch.jit.script(model)).save(str(path))  # which folds BatchNorm
            case "export" | "compile":
                torch.export.save(self._program(), path)
            case "onnx":
                # As it comes, it would put the weights into a second file and print its progress.
                torch.onnx.export(self._program(), f=path, dynamo=True, external_data=False, verbose=False)

    def load(self, path: Path) -> Runner:
        match self.case.deploy:
            case "eager":
                model = self.pipeline.new_network(self.pipeline.deploys_batch_norm).eval()
                model.load_state_dict(torch.load(path, map_location=self.pipeline.device, weights_only=True))
                model = execution.in_precision(model, self.case)
            case "torchscript":
                model = torch.jit.load(str(path), map_location=self.pipeline.device)
            case "export":
                model = torch.export.load(path).module()
            case "compile":
                if self.case.quantize != "none":
                    from stagebench.frameworks.torch import quantization  # noqa: F401  # teaches the compiler
                model = execution.in_precision(torch.export.load(path).module(), self.case)
                return self._compiled(model)
            case "onnx":
                from stagebench.frameworks.onnx import OnnxRunner

                return OnnxRunner(path, channels_first=True)
        return TorchRunner(model, self.shape, self.pipeline.device)

    def _compiled(self, model: nn.Module) -> TorchRunner:
        runner = TorchRunner(execution.compiled(model), self.shape, self.pipeline.device)
        # The weights no longer change, so that the compiler may fold and reorder them. This is none of the
        # options of `torch.compile`, as what traces the model does not see those.
        import torch._inductor.config as compiler  # not in the memory of a process that compiles nothing

        with compiler.patch(freezing=True):
            runner.run(runner.feed(runner.blank()))
        return runner

    def _trainer(self) -> Pipeline:
        """Return what trains: the pipeline, if its batches can be trained in."""
        case = replace(self.case, batch_size=training_batch(self.case.batch_size))
        if case == self.case:
            return self.pipeline
        return type(self.pipeline)(case, self.pipeline.workload, self.pipeline.manifest)

    def _model(self) -> nn.Module:
        """Return a copy of the pipeline's model as it is deployed."""
        batch_norm, weights = self.pipeline.deploys_batch_norm, self.pipeline.weights()
        model = self.pipeline.new_network(batch_norm)
        models.set_weights(model, weights if batch_norm else self.pipeline.network.fold_batch_norm(weights))
        return model.eval()

    def _program(self) -> ExportedProgram:
        """Return the graph of what is deployed."""
        model = self._model() if self._quantized is None else self._quantized
        # In channels_last, an ONNX graph would have a node more, to restore strides that it does not have.
        model = model.to(memory_format=torch.contiguous_format)
        program = torch.export.export(model, (torch.zeros(self.shape, device=self.pipeline.device),))
        program.example_inputs = None  # they would go into the file
        return program


class TorchRunner:
    """See `contract.Runner`."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], device: torch.device) -> None:
        """Take a model for images of this shape, [B, 3, H, W]."""
        self.model = model.to(memory_format=torch.channels_last)
        self.shape, self.device = shape, device

    def feed(self, images: NDArray[np.float32]) -> Tensor:
        planes = torch.from_numpy(images).permute(0, 3, 1, 2)
        return planes.to(self.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(self, batch: Tensor) -> NDArray[np.float32]:
        logits: Tensor = self.model(batch)
        return logits.cpu().numpy()

    def blank(self) -> NDArray[np.float32]:
        """Return images to be fed, of which nothing but the shape matters."""
        images, channels, height, width = self.shape
        return np.zeros((images, height, width, channels), np.float32)

    def integer_layers(self) -> int:
        """Count the operators of one call that multiply integers, as PyTorch's profiler sees them."""
        batch = self.feed(self.blank())
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            self.run(batch)
        events = profiler.key_averages()
        return sum(event.count for event in events if any(name in event.key for name in INTEGER_OPERATORS))
