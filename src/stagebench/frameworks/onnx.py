"""ONNX files in onnxruntime: the one runtime that runs the models of both frameworks."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from stagebench.frameworks.contract import Operation, costliest
from stagebench.frameworks.threads import threads_by

INTEGER_OPERATORS = ("QLinearConv", "ConvInteger", "QGemm", "QLinearMatMul", "MatMulInteger")
"""Operators that multiply integers; the last part of their names, as `DynamicQuantizeMatMul` has one too."""


class OnnxRunner:
    """See `contract.Runner`."""

    def __init__(self, path: Path, channels_first: bool) -> None:
        """Load a file whose one input is [B, 3, H, W] (`channels_first`) or [B, H, W, 3]."""
        self.path, self.channels_first = path, channels_first
        self.session = _session(path, _options())
        (self.name,) = (tensor.name for tensor in self.session.get_inputs())

    def feed(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2) if self.channels_first else images)

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self.session.run(None, {self.name: batch})[0]
        return logits

    def integer_layers(self) -> int:
        """Count the integer operators of the graph that onnxruntime makes of the file."""
        import onnx  # not to be in the memory of a process that only runs models

        with tempfile.TemporaryDirectory() as folder:
            options = _options()
            options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
            _session(self.path, options)
            nodes = onnx.load(options.optimized_model_filepath).graph.node
        return sum(node.op_type.endswith(INTEGER_OPERATORS) for node in nodes)

    def profile(self, path: Path, batch: NDArray[np.float32], calls: int) -> list[Operation]:
        """Run a batch some times under onnxruntime's own profiler, in a session of its own.

        Writes its trace, in Chrome's format, to `path` with the suffix `.json`. Returns the ten operators
        that took most, first.
        """
        options = _options()
        options.enable_profiling = True
        options.profile_file_prefix = str(path)
        session = _session(self.path, options)
        for _ in range(calls):
            session.run(None, {self.name: batch})
        trace = Path(session.end_profiling()).replace(path.with_name(f"{path.name}.json"))
        seconds: dict[str, list[float]] = defaultdict(list)
        for event in json.loads(trace.read_text()):
            if event["name"].endswith("_kernel_time"):
                seconds[event["args"]["op_name"]].append(event["dur"] / 1e6)
        return costliest(seconds)


def _session(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _options() -> onnxruntime.SessionOptions:
    """As many threads as the frameworks take; onnxruntime would take one for each physical core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads_by("OMP_NUM_THREADS")
    options.log_severity_level = 3  # it warns that an optimised file is for this machine alone
    return options
