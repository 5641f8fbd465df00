"""A deployed model answers as the framework's own does; one that does not is caught."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

import pytest

from pair import open_pipeline
from patches import patched
from stagebench.case import AXES, Case, Workload
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare
from stagebench.frameworks import FRAMEWORKS
from stagebench.networks import DEFAULT, NETWORKS
from stagebench.networks.weights import load_weights, save_weights
from stagebench.run.environments import Environment
from stagebench.run.process import WorkerProcess
from stagebench.run.trained import trained_weights
from stagebench.stages import STAGES, matrix
from stagebench.stages.deployment import validate_deployed
from stagebench.stages.inference import calls


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    request = DatasetRequest("synthetic", train_images=2000, test_images=400, classes=20)
    return prepare(request, tmp_path_factory.mktemp("deployed"), lambda *_: None)


@pytest.fixture(scope="session")
def trainer():
    """The first that is there: it trains the model that all deploy."""
    return next(name for name, f in FRAMEWORKS.items() if f.imports and not f.missing())


@pytest.fixture(scope="session")
def weights_of(trainer, process_of, dataset, tmp_path_factory):
    """Return a function that gives the file of a network that one framework has trained, for all."""

    @cache
    def train(network: str) -> Path:
        axes = {"cache": "on", "recipe": "tuned", "network": network}
        workload = {"learning_rate": NETWORKS[network].deployed_rate * Workload(1).learning_rate}
        pipeline = open_pipeline(process_of(trainer), trainer, dataset, workload, **axes)
        pipeline.build_model()
        pipeline.train(max(2, NETWORKS[network].deployed_epochs))  # of a fifth of the images
        path = tmp_path_factory.mktemp("weights") / f"{network}.npz"
        save_weights(path, pipeline.weights())
        return path

    return train


@pytest.fixture
def wrong(process_of, dataset, weights_of, tmp_path):
    """Return a function that executes a stage for a case, and says what is wrong with the deployed model."""

    def execute(stage: str, case: Case, plants: dict[str, str] | None = None) -> str:
        weights = weights_of(case.network)
        worker: WorkerProcess = process_of(case.framework)
        workload = Workload(classes=len(dataset.classes))
        worker.send_open(case, workload, dataset)
        worker.receive()
        with patched(worker, plants or {}):
            worker.request("set_up", stage=stage, folder=tmp_path, weights=str(weights))
            outcome = worker.request("execute")["outcome"]
        print({name: value for name, value in outcome.items() if name != "call_seconds"})  # noqa: T201
        return "; ".join(validate_deployed(case, workload, outcome))

    return execute


EXECUTIONS = AXES["execution"].values
ONE_OF_A_KIND = {
    ("torch", "torchscript", "none"),
    ("tensorflow", "litert", "none"),
    ("tensorflow", "litert", "ptq"),
    ("tensorflow", "graph", "none"),
}
"""Deployed models that a pull request must pass: of each framework one that is exported, and the quickest
of those in int8 and of those that are compiled (a graph, by XLA)."""


def cells(stage, **axes):
    """Return every case of a stage, at batch 32, with the reason where it cannot run here.

    Those beyond one of a kind, and what is eager, are nightly.
    """
    found = []
    for name in (name for name, framework in FRAMEWORKS.items() if framework.imports):
        values = {name: [axis.default] for name, axis in AXES.items()} | {"deploy": ()} | axes
        for case in matrix.cases(STAGES[stage], {name: name}, values):
            reason = Environment(name, name).lacks(case)
            marks = [pytest.mark.skip(reason=reason)] if reason else []
            if (name, case.deploy, case.quantize) not in ONE_OF_A_KIND or case.execution == "eager":
                marks.append(pytest.mark.nightly("a deployed model beyond one of its kind"))
            if case.network != DEFAULT:
                marks.append(pytest.mark.nightly("a network beside the default"))
            if case.batch_size == 32:
                found.append(pytest.param(case, id=case.id, marks=marks))
    return found


DEPLOYED_NETWORKS = [name for name, network in NETWORKS.items() if network.deployed_epochs]


@pytest.mark.nightly("trains on 10,000 images")
@pytest.mark.parametrize("network", DEPLOYED_NETWORKS)
def test_the_model_that_deployment_starts_from_has_learned(
    trainer, network, process_of, tmp_path, monkeypatch
):
    monkeypatch.setenv("STAGEBENCH_CACHE", str(tmp_path))
    environments, request = {trainer: Environment(trainer, trainer)}, DatasetRequest("synthetic")
    manifest = prepare(request, tmp_path, lambda *_: None)
    workload, case = Workload(len(manifest.classes)), Case(trainer, trainer, network=network)
    path = trained_weights(environments, workload, request, [case], print)
    pipeline = open_pipeline(process_of(trainer), trainer, manifest, {}, network=network)
    pipeline.build_model()
    pipeline.set_weights(load_weights(path))

    chance = 1 / len(manifest.classes)
    assert pipeline.evaluate()["accuracy"] > 10 * chance, "answers that say nothing are compared"


@pytest.mark.parametrize("case", cells("exporting", network=DEPLOYED_NETWORKS))
def test_an_exported_model_answers_like_the_frameworks_own(wrong, case):
    assert wrong("exporting", case) == ""


@pytest.mark.parametrize(
    "case", cells("quantization", quantize=AXES["quantize"].values[1:], network=DEPLOYED_NETWORKS)
)
def test_an_int8_model_answers_like_the_float32_one(wrong, case):
    assert wrong("quantization", case) == ""


@pytest.mark.parametrize("case", cells("inference", precision=("bfloat16",), execution=EXECUTIONS))
def test_a_model_of_less_than_float32_answers_like_the_float32_one(wrong, case):
    assert wrong("inference", case) == ""


@pytest.mark.parametrize("case", cells("inference", deploy=("eager", "graph", "onnx", "litert")))
def test_a_profile_names_the_operations_and_writes_a_trace(wrong, process_of, tmp_path, case):
    assert wrong("inference", case) == ""
    operations = process_of(case.framework).request("profile", path=str(tmp_path / "trace"))

    expected = "invoke" if case.deploy == "litert" else "conv"  # LiteRT shows none of its operators
    assert expected in operations[0]["name"].lower()
    assert all(operation["seconds"] > 0 and operation["calls"] > 0 for operation in operations)
    (trace,) = tmp_path.glob("trace.json*")
    content = json.loads((gzip.open if trace.suffix == ".gz" else open)(trace).read())
    events = content if isinstance(content, list) else content["traceEvents"]
    assert sum(event["ph"] == "X" and event["dur"] > 0 for event in events) > 30


def planted(stage, **axes):
    """Return the cases, and where their deployers are."""
    found = []
    for parameter in cells(stage, **axes):
        (case,) = parameter.values
        module = FRAMEWORKS[case.framework].folder
        found.append(pytest.param(case, f"{module}.deployer:Deployer", id=case.id, marks=parameter.marks))
    return found


@pytest.mark.parametrize(("case", "deployer"), planted("exporting", deploy=("onnx", "litert")))
def test_an_export_that_drops_the_statistics_of_batch_norm_is_caught(wrong, case, deployer):
    fresh = "{n: v * 0 if n.endswith('mean') else v for n, v in self.pipeline.weights().items()}"
    plant = f"lambda self, path: (self.pipeline.set_weights({fresh}), original(self, path))[1]"

    assert "its logits differ by" in wrong("exporting", case, {f"{deployer}.export": plant})


@pytest.mark.parametrize(
    ("case", "deployer"), planted("quantization", deploy=("onnx", "litert"), quantize=("ptq",))
)
def test_a_calibration_on_zeros_is_caught(wrong, case, deployer):
    plant = "lambda self, calibration: original(self, 0 * calibration)"

    assert "it answers like the float32 model on" in wrong(
        "quantization", case, {f"{deployer}.quantize": plant}
    )


@pytest.mark.parametrize(
    ("case", "deployer"), planted("quantization", deploy=("onnx", "litert"), quantize=("ptq",))
)
def test_a_quantised_model_that_is_float32_is_caught(wrong, case, deployer):
    found = wrong("quantization", case, {f"{deployer}.quantize": "lambda self, calibration: {}"})

    for what in ("its file has", "it computes in float", "0 of its 6 layers multiply integers"):
        assert what in found


@pytest.mark.parametrize(
    ("network", "batch_size", "expected"),
    [("article", 1, 100), ("article", 32, 30), ("resnet18", 1, 100), ("resnet18", 32, 8)],
)
def test_a_round_of_a_large_network_has_fewer_calls(network, batch_size, expected):
    case = Case("torch", "torch", network=network, batch_size=batch_size, deploy="eager")

    assert calls(case, Workload(classes=100)) == expected
