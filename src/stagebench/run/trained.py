"""The trained model that deployment starts from: the same weights in every framework, made once and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from stagebench.case import Case, Workload, plain
from stagebench.datasets.cache import default_cache_folder
from stagebench.datasets.manifest import Manifest
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare
from stagebench.frameworks import FRAMEWORKS
from stagebench.machine.files import write
from stagebench.networks import NETWORKS
from stagebench.networks.weights import Weights, save_weights
from stagebench.run.environments import Environment
from stagebench.run.process import WorkerProcess
from stagebench.run.scratch import scratch_folder

IMAGES = 10_000
"""Training images of a synthetic data set, if the session has not more itself: of 2,000 in 100 classes, a
network learns next to nothing."""


def trained_weights(
    environments: Mapping[str, Environment],
    workload: Workload,
    request: DatasetRequest,
    cases: Sequence[Case],
    report: Callable[[str], None],
) -> Path:
    """Return the file of canonical weights for these cases, which all start from it.

    The first framework in `FRAMEWORKS` that is among the cases trains it, on the CPU, in the recipe `tuned`.
    It is kept in the cache folder, by all that it depends on.

    Raises:
        WorkerError: the worker process died, or its pipeline raised.
        DatasetError, StorageError: the images cannot be made.

    """
    order, folder = list(FRAMEWORKS), default_cache_folder()
    first = min(cases, key=lambda case: order.index(case.framework))
    if request.source == "synthetic":
        request = replace(request, train_images=max(request.train_images, IMAGES))
    manifest = prepare(request, folder, lambda *_: None)
    environment = environments[first.environment]
    network = NETWORKS[first.network]
    epochs, rate = network.deployed_epochs, network.deployed_rate * workload.learning_rate
    workload = replace(workload, epochs=epochs, learning_rate=rate)
    parts = {
        "network": first.network,
        "workload": plain(workload),
        "data set": manifest.fingerprint,
        "framework": {"name": first.framework, **environment.versions()},
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / "weights" / f"{digest}.npz"
    if not path.exists():
        report(
            f"training the model to deploy: {first.environment}, {epochs} epochs of {len(manifest.train):,}"
        )
        content = BytesIO()
        save_weights(content, _train(first, environment, workload, manifest))
        write(path, content.getvalue())
    return path


def _train(case: Case, environment: Environment, workload: Workload, manifest: Manifest) -> Weights:
    case = Case(case.framework, case.environment, recipe="tuned", network=case.network)
    with (
        scratch_folder() as folder,
        WorkerProcess(f"training of {case.environment}", folder, environment.python) as worker,
    ):
        worker.send_open(case, workload, manifest)
        worker.receive()
        for method, arguments in (("build_model", []), ("train", [workload.epochs])):
            worker.request("call", target="pipeline", method=method, arguments=arguments)
        weights: Weights = worker.request("call", target="pipeline", method="weights", arguments=[])
    return weights
