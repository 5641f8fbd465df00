"""What TensorFlow's profiler sees of some work."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from stagebench.frameworks.contract import Operation, costliest

EAGER = "EagerLocalExecute: "

Span = tuple[int, int, str]
"""Of an operation: when it began, when it ended (picoseconds), its type."""


def profile(path: Path, work: Callable[[], object]) -> list[Operation]:
    """See `contract.Pipeline.profile`. Writes what Perfetto opens, and beside it TensorFlow's own format."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        with tf.profiler.experimental.Profile(folder):
            work()
        found = next(Path(folder).rglob("*.xplane.pb"), None)
        space = xplane_pb2.XSpace()
        if found:
            space.ParseFromString(found.read_bytes())
            shutil.move(found, path.with_name(f"{path.name}.xplane.pb"))
    with gzip.open(path.with_name(f"{path.name}.json.gz"), "wt") as file:
        json.dump({"traceEvents": list(_chrome_events(space))}, file)
    return _operations(space)


def _chrome_events(space: Any) -> Iterator[dict[str, Any]]:
    """Yield the trace in Chrome's format: a process for each plane (host, GPU), a thread for each line."""
    for process, plane in enumerate(space.planes):
        yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": plane.name}}
        for thread, line in enumerate(plane.lines):
            name = line.display_name or line.name
            yield {"ph": "M", "pid": process, "tid": thread, "name": "thread_name", "args": {"name": name}}
            for event in line.events:
                if event.duration_ps == 0:  # allocations, hand-overs between threads: most of the events
                    continue
                yield {
                    "ph": "X",
                    "pid": process,
                    "tid": thread,
                    "name": plane.event_metadata[event.metadata_id].name,
                    "ts": line.timestamp_ns / 1e3 + event.offset_ps / 1e6,
                    "dur": event.duration_ps / 1e6,
                }


def _operations(space: Any) -> list[Operation]:
    """Return the kinds of operations that took most time on the host."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for plane in space.planes:
        if plane.name.startswith("/host:"):
            for line in plane.lines:
                for name, picoseconds in _self_times(_spans(plane, line)):
                    seconds[name].append(picoseconds / 1e12)
    return costliest(seconds)


def _spans(plane: Any, line: Any) -> list[Span]:
    """Return the operations of one thread in the order in which they began, outer ones first."""
    spans = [
        (event.offset_ps, event.offset_ps + event.duration_ps, name)
        for event in line.events
        if (name := _kind(plane, event))
    ]
    return sorted(spans, key=lambda span: (span[0], -span[1]))


def _kind(plane: Any, event: Any) -> str | None:
    """Return the type of an operation, which stands in another place for each way to execute it."""
    metadata = plane.event_metadata[event.metadata_id]
    name = metadata.display_name  # in a graph: of `block/relu/Relu:Relu`, the last word
    if metadata.name.startswith(EAGER):
        name = metadata.name.removeprefix(EAGER)
    for stat in event.stats:
        if plane.stat_metadata[stat.metadata_id].name == "hlo_op":  # by XLA: `convolution.4`
            name = re.sub(r"\.\d+$", "", stat.str_value or plane.stat_metadata[stat.ref_value].name)
    return None if name.startswith("__") else name  # a whole graph is no operation


def _self_times(spans: list[Span]) -> Iterator[tuple[str, int]]:
    """Yield how long each operation of one thread took by itself, in picoseconds."""
    own = [end - start for start, end, _ in spans]
    around: list[int] = []
    for number, (start, end, _) in enumerate(spans):
        while around and spans[around[-1]][1] <= start:
            around.pop()
        if around:
            own[around[-1]] -= end - start
        around.append(number)
    return zip((name for _, _, name in spans), own, strict=True)
