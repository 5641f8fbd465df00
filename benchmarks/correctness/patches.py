"""Changes to what a worker process runs, for the length of a block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from stagebench.run.process import WorkerProcess

TORCH, TENSORFLOW = "stagebench.frameworks.torch", "stagebench.frameworks.tensorflow"

IN_ORDER = {
    "torch": {f"{TORCH}.training:torch.randperm": "lambda n, **_: torch.arange(n)"},
    "tensorflow": {f"{TENSORFLOW}.training:tf.data.Dataset.shuffle": "lambda self, *_, **__: self"},
}
"""By framework: every epoch has the images in the manifest's order, and so both have the same batches."""


@contextmanager
def patched(worker: WorkerProcess, changes: Mapping[str, str]) -> Iterator[None]:
    """Replace, from `module:attribute` to the expression; `original` is what was there. Do not nest."""
    try:
        for target, replacement in changes.items():
            worker.request("patch", target=target, replacement=replacement)
        yield
    finally:
        worker.request("unpatch")
