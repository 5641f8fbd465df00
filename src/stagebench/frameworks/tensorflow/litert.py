"""LiteRT, the runtime of `.tflite` files."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from stagebench.frameworks.contract import Operation, costliest


class LiteRTRunner:
    """See `contract.Runner`."""

    def __init__(self, path: Path, batch_size: int, threads: int) -> None:
        """Load a file whose one input is [B, H, W, 3]."""
        self.interpreter = Interpreter(str(path), num_threads=threads)
        (images,), (logits,) = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        self.input, self.output = images["index"], logits["index"]
        self.interpreter.resize_tensor_input(self.input, (batch_size, *images["shape"][1:]))
        self.interpreter.allocate_tensors()

    def feed(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(images)

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.interpreter.set_tensor(self.input, batch)
        self.interpreter.invoke()
        logits: NDArray[np.float32] = self.interpreter.get_tensor(self.output)
        return logits

    def integer_layers(self) -> int:
        """Count the layers with an int8 kernel.

        With float32 images such a layer is a hybrid: it rounds them first, then multiplies integers. Where a
        kernel is made float32 again before it is used, another operator does that, and the layer has a
        float32 kernel.
        """
        layers = [
            operator["operand_types"]  # images, kernel, bias
            for operator in self.interpreter._get_ops_details()
            if operator["op_name"] in ("CONV_2D", "FULLY_CONNECTED")
        ]
        return sum(kernel == np.int8 for _, kernel, *_ in layers)  # not each has a bias

    def profile(self, path: Path, batch: NDArray[np.float32], calls: int) -> list[Operation]:
        """Run a batch some times and time the steps of each call: LiteRT shows Python none of its operators.

        Writes them as a trace, in Chrome's format, to `path` with the suffix `.json`. Returns the steps, the
        one that took most first.
        """
        steps = {
            "set_tensor": lambda: self.interpreter.set_tensor(self.input, batch),
            "invoke": self.interpreter.invoke,
            "get_tensor": lambda: self.interpreter.get_tensor(self.output),
        }
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        events = []
        for name, step in list(steps.items()) * calls:
            began = perf_counter()
            step()
            seconds[name].append(perf_counter() - began)
            duration = {"ts": 1e6 * began, "dur": 1e6 * seconds[name][-1]}
            events.append({"ph": "X", "pid": 0, "tid": 0, "name": name, **duration})
        path.with_name(f"{path.name}.json").write_text(json.dumps({"traceEvents": events}))
        return costliest(seconds)
