"""Operations as PyTorch's profiler sees them."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity

from stagebench.frameworks.contract import Operation

LARGE = 2**20
"""Bytes of a trace from which on it is compressed; Perfetto and TensorBoard open either."""


def profile(path: Path, work: Callable[[], object], device: torch.device) -> list[Operation]:
    """Do some work, write its Chrome trace, `.json` or `.json.gz`; return the ten that took most, first.

    On a GPU, the seconds of an operation are those of the kernels that it starts.
    """
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with torch.profiler.profile(activities=activities) as profiler:
        work()
        if on_gpu:
            torch.cuda.synchronize()
    trace = path.with_name(f"{path.name}.json")
    profiler.export_chrome_trace(str(trace))
    if trace.stat().st_size > LARGE:
        with trace.open("rb") as plain, gzip.open(f"{trace}.gz", "wb") as compressed:
            shutil.copyfileobj(plain, compressed)
        trace.unlink()
    found = [
        Operation(
            row.key, (row.self_device_time_total if on_gpu else row.self_cpu_time_total) / 1e6, row.count
        )
        for row in profiler.key_averages()
        if row.device_type == DeviceType.CPU  # a GPU's kernels have rows of their own
    ]
    return sorted(found, key=lambda operation: -operation.seconds)[:10]
