"""From PyTorch models to models in int8, by torchao's PT2E.

Activations become uint8 with one scale each, weights int8 with one scale a channel; BatchNorm goes into the
convolutions. What comes out computes in float32 still, between roundings: `torch.compile` and onnxruntime
make operations on integers of it. `torch.compile` learns how from this module's import of the quantizer;
without it, the model would stay in float32, and nothing would say so.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.export import Dim
from torch.fx import GraphModule
from torchao.quantization.pt2e import allow_exported_model_train_eval, move_exported_model_to_eval
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY, QuantizationAnnotation
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)

Seconds = dict[str, float]
BATCH = 32
"""Images that are calibrated with at once, whatever batch the model is for: the ranges found hang on it."""


def post_training(
    model: nn.Module, calibration: NDArray[np.float32], runtime: str
) -> tuple[GraphModule, Seconds]:
    """Return a model in int8, calibrated with images float32 [N, H, W, 3], and the seconds of each step.

    `runtime` is a key of `QUANTIZERS`.
    """
    start = perf_counter()
    observed = prepare_pt2e(_graph(model.eval(), calibration.shape[1]), _quantizer(runtime, is_qat=False))
    prepared = perf_counter()
    with torch.no_grad():
        for images in torch.from_numpy(calibration).permute(0, 3, 1, 2).split(BATCH):
            observed(images)
    calibrated = perf_counter()
    converted = _converted(observed)
    conversion = perf_counter() - calibrated + prepared - start
    return converted, {"calibration": calibrated - prepared, "conversion": conversion}


def quantization_aware(
    model: nn.Module, size: int, train: Callable[[nn.Module], None], runtime: str
) -> tuple[GraphModule, Seconds]:
    """Return a model in int8 that was trained to be, from the model's weights, and the seconds of each step.

    The model takes images of `size` x `size` pixels. The ranges of activations are those of the training.
    """
    start = perf_counter()
    rounding = prepare_qat_pt2e(_graph(model.train(), size), _quantizer(runtime, is_qat=True))
    allow_exported_model_train_eval(rounding)  # a training loop says which of them it wants
    prepared = perf_counter()
    train(rounding)
    trained = perf_counter()
    move_exported_model_to_eval(rounding)
    converted = _converted(rounding)
    conversion = perf_counter() - trained + prepared - start
    return converted, {"training": trained - prepared, "conversion": conversion}


class OnnxQuantizer(X86InductorQuantizer):
    """Rounds summands too: onnxruntime multiplies integers only where what comes out is rounded.

    `torch.compile` adds a shortcut within the convolution, before it rounds.
    """

    def annotate(self, model: GraphModule) -> GraphModule:
        model = super().annotate(model)
        for node in model.graph.nodes:
            if node.target is torch.ops.aten.add.Tensor:
                for summand in node.args:
                    annotation = summand.meta.setdefault(Q_ANNOTATION_KEY, QuantizationAnnotation())
                    annotation.output_qspec = self.get_global_quantization_config().input_activation
        return model


QUANTIZERS = {"compile": X86InductorQuantizer, "onnx": OnnxQuantizer}
"""What decides which values are rounded, by what runs the model."""


def add_last_bias_apart(model: GraphModule) -> None:
    """Let the last dense layer be a product and a sum, so that onnxruntime multiplies integers there too.

    It cannot where a bias is in float32, and rounds one by itself only where the layer's output is rounded.
    """
    aten = torch.ops.aten
    dense = [node for node in model.graph.nodes if node.target is aten.linear.default][-1]
    inputs, kernel, bias = dense.args
    with model.graph.inserting_after(dense):
        total = model.graph.call_function(aten.add.Tensor)
    dense.replace_all_uses_with(total)
    total.args, dense.args = (dense, bias), (inputs, kernel)
    model.recompile()


def _graph(model: nn.Module, size: int) -> GraphModule:
    """Return the graph of a model, for batches of any size: the last one of an epoch may be smaller."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.padding == "same":  # which the quantizer passes over
            layer.padding = tuple(side // 2 for side in layer.kernel_size)
    batch = torch.zeros(BATCH, 3, size, size)
    return torch.export.export(model, (batch,), dynamic_shapes=({0: Dim.DYNAMIC},)).module()


def _quantizer(runtime: str, is_qat: bool) -> X86InductorQuantizer:
    # Without VNNI instructions, sums of two products of 8 bits overflow in the processor: 7 bits do not.
    reduce_range = not torch.cpu._is_vnni_supported()
    config = get_default_x86_inductor_quantization_config(is_qat=is_qat, reduce_range=reduce_range)
    return QUANTIZERS[runtime]().set_global(config)


def _converted(model: GraphModule) -> GraphModule:
    """Round the weights, and drop those in float32, which the converted graph keeps but does not use."""
    converted: GraphModule = convert_pt2e(model)
    used = {node.target for node in converted.graph.nodes if node.op == "get_attr"}
    for name in [name for name, _ in converted.named_parameters() if name not in used]:
        owner, _, attribute = name.rpartition(".")
        delattr(converted.get_submodule(owner), attribute)
    return converted
