"""Looks from inside a TensorFlow process on which devices the work of an epoch was done."""

from __future__ import annotations

from typing import Any


def devices_of_work(pipeline: Any) -> list[tuple[str, str, str]]:
    """Train for an epoch; returns device, operation and name of each node that was executed."""
    from tensorflow.python.eager.context import context

    context().enable_graph_collection()
    pipeline.train(1)
    graphs = context().export_run_metadata().function_graphs
    context().disable_graph_collection()
    nodes = [node for graph in graphs for part in graph.partition_graphs for node in part.node]
    return [(node.device.rpartition("device:")[2], node.op, node.name) for node in nodes]
