"""How much this machine gives at best of what the stages take: arithmetic, memory, decoded files, disk.

Runs in a worker process that imports no framework.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter

import numpy as np
import simplejpeg

SECONDS = 0.15
"""How long each rate is measured."""
START = 10.0
"""How long the processes that decode may take to start, in seconds."""


@dataclass(frozen=True)
class Ground:
    """What the rates are measured with."""

    files: Sequence[bytes]
    """Paths of JPEG files of the data set."""
    folder: Path
    """Where model files are written."""
    file_bytes: int
    """Size of a model file."""
    threads: int
    """Processors that a worker process may use."""


def measure_rates(resources: Sequence[str], ground: Ground) -> dict[str, float]:
    """Measure how much of each resource this machine gives in a second, now."""
    return {resource: RESOURCES[resource](ground) for resource in resources}


def _operations(ground: Ground) -> float:
    """Floating-point operations a second: float32 matrix products of 1024 x 1024, all cores (OpenBLAS)."""
    side = 1024
    matrix, product = np.ones((side, side), np.float32), np.empty((side, side), np.float32)
    return 2 * side**3 / _shortest(lambda: np.matmul(matrix, matrix, out=product))


def _copied_bytes(ground: Ground) -> float:
    """Bytes a second, read and written together: copies of 64 MiB, which no cache holds, by all cores."""
    source = np.ones(2**24, np.float32)
    target = np.empty_like(source)
    parts = list(
        zip(np.array_split(source, ground.threads), np.array_split(target, ground.threads), strict=True)
    )
    with ThreadPoolExecutor(ground.threads) as pool:  # numpy copies without the interpreter's lock
        return (
            2
            * source.nbytes
            / _shortest(lambda: list(pool.map(lambda part: np.copyto(part[1], part[0]), parts)))
        )


def _jpegs(ground: Ground) -> float:
    """Files of the data set decoded a second, from memory to pixels, by a process on each core at once."""
    files = [Path(os.fsdecode(file)).read_bytes() for file in ground.files]
    context = multiprocessing.get_context("fork")
    together = context.Barrier(ground.threads)

    def decode(rate: Connection) -> None:
        try:
            simplejpeg.decode_jpeg(files[0], strict=False)
            together.wait(timeout=START)
            count, start = 0, perf_counter()
            while (seconds := perf_counter() - start) < SECONDS:
                simplejpeg.decode_jpeg(files[count % len(files)], strict=False)
                count += 1
            rate.send(count / seconds)
        except Exception as error:
            rate.send(error)

    pipes = [context.Pipe(duplex=False) for _ in range(ground.threads)]
    for _, sender in pipes:
        context.Process(target=decode, args=(sender,), daemon=True).start()
    total = 0.0
    for receiver, _ in pipes:
        rate = receiver.recv() if receiver.poll(2 * START) else TimeoutError("a process does not answer")
        if isinstance(rate, Exception):
            raise rate
        total += rate
    return total


def _written_bytes(ground: Ground) -> float:
    """Bytes a second into a new file as large as a model's; like the stage, it is not flushed to the disk."""
    path, content = ground.folder / "peak", bytes(ground.file_bytes)

    def write() -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(content)

    return ground.file_bytes / _shortest(write)


def _read_bytes(ground: Ground) -> float:
    """Bytes a second from a file as large as a model's, which the system holds in memory."""
    path = ground.folder / "peak"
    path.write_bytes(bytes(ground.file_bytes))
    return ground.file_bytes / _shortest(path.read_bytes)


RESOURCES: dict[str, Callable[[Ground], float]] = {
    "operations": _operations,
    "copied_bytes": _copied_bytes,
    "jpegs": _jpegs,
    "written_bytes": _written_bytes,
    "read_bytes": _read_bytes,
}
"""What each resource is, and how its rate is measured."""


def _shortest(function: Callable[[], object]) -> float:
    """Return the shortest time that a function takes, of those within `SECONDS` but the first."""
    function()
    times: list[float] = []
    end = perf_counter() + SECONDS
    while not times or perf_counter() < end:
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return min(times)
