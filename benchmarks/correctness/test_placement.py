"""The axis `placement`: a network over two devices computes what it does on one, each half where it lies."""

from __future__ import annotations

import functools
from collections import Counter

import numpy as np
import pytest

import devices_of_work
import gate
from pair import OF_SETTINGS, Pair
from patches import TENSORFLOW, TORCH, patched
from saved_runs import saved_run
from stagebench.case import Case
from stagebench.frameworks.contract import UnavailableError
from stagebench.frameworks.stacks import halves
from stagebench.networks import NETWORKS
from stagebench.report.html import page
from stagebench.report.report import Report
from stagebench.report.terminal import summary_lines
from stagebench.results.file import run_of

GRADIENTS = ("Conv2DBackpropFilter", "BiasAddGrad", "MatMul")
"""What TensorFlow calls operations of the backward pass; a dense layer's forward pass is fused."""


@pytest.fixture(scope="module")
def own_process(framework, start_worker, small_dataset):
    """A process of the framework, in TensorFlow with two logical CPUs, which must be there from its start."""
    worker = start_worker(f"{framework}-split")
    if framework == "tensorflow":
        Pair({framework: worker}, small_dataset).pipelines(placement="split")
    return worker


@pytest.fixture
def two_devices(framework, own_process):
    """The same process; in torch, the one CPU is both devices. What a test patches is undone with that."""
    twice = {f"{TORCH}.placement:devices": "lambda case: ('cpu', 'cpu')"}
    with patched(own_process, twice if framework == "torch" else {}):
        yield own_process


@pytest.fixture
def pair_of(framework, two_devices, small_dataset):
    """Return a function that gives the framework by a recipe, with a network."""
    return lambda *of: Pair({framework: two_devices}, small_dataset, *of)


@pytest.mark.parametrize(
    ("layers", "first", "second"),
    [
        ("cbrpcbrpcbrpcbrpgdrd", "cbrpcbrpcbrp", "cbrpgdrd"),  # article
        ("crpcrpcrfdrd", "crpcrp", "crfdrd"),  # cifar10
        ("fdrd", "fdr", "d"),  # mlp
        ("cccd", "cc", "cd"),
    ],
)
def test_half_of_the_kernels_are_before_the_second_half_which_begins_with_one(layers, first, second):
    assert halves(layers, lambda layer: layer in "cd") == (first, second)


@pytest.mark.parametrize("recipe", OF_SETTINGS)
@pytest.mark.parametrize("network", ["article", "cifar10", "mlp"])
@pytest.mark.parametrize(
    "precision", ["float64", pytest.param("float32", marks=pytest.mark.nightly("an epoch is in it"))]
)
def test_outputs_and_gradients_are_those_of_one_device(pair_of, recipe, network, precision):
    pair = pair_of(recipe, network)
    one, two = (gate.arithmetic(pair, precision, placement=placement) for placement in ("single", "split"))

    gate.equal(one, two)


def epoch(pair, placement):
    """Train for an epoch; returns its loss and the weights after it."""
    (pipeline,) = pair.pipelines(placement=placement)
    pipeline.build_model()
    (reported,) = pipeline.train(1)
    return {"loss": reported["loss"], **pipeline.weights()}


@pytest.fixture(scope="module")
def on_one_device(framework, own_process, small_dataset):
    """Return a function that gives a recipe's epoch on one device, trained once for all tests."""
    return functools.cache(
        lambda *recipe: epoch(Pair({framework: own_process}, small_dataset, *recipe), "single")
    )


@pytest.mark.parametrize("recipe", OF_SETTINGS)
def test_an_epoch_ends_in_the_weights_of_one_device(pair_of, on_one_device, recipe):
    gate.equal(on_one_device(recipe), epoch(pair_of(recipe), "split"))


STOPPED_AT_THE_BORDER = {
    "torch": (
        f"{TORCH}.placement:Split.forward",
        "lambda self, images: self.second(self.first(images).detach())",
    ),
    "tensorflow": (
        f"{TENSORFLOW}.placement:on_device",
        "lambda layer, device: (original(layer, device), setattr(layer, 'call', (lambda call: lambda inputs, "
        "**k: call(tf.stop_gradient(inputs), **k))(layer.call)) if layer.name == 'conv4' else None)[0]",
    ),
}
SECOND_HALF_NOT_TRAINED = {
    "torch": (
        f"{TORCH}.training:build_optimizer",
        "lambda recipe, parameters, rate: original(recipe, [*parameters][:12], rate)",
    ),
    "tensorflow": (
        f"{TENSORFLOW}.placement:Adam.update_step",
        "lambda self, gradient, variable, rate: None if variable.device.endswith('CPU:1') else "
        "keras.optimizers.Adam.update_step(self, gradient, variable, rate)",
    ),
}


@pytest.mark.parametrize(
    ("mutant", "untrained"),
    [(STOPPED_AT_THE_BORDER, "conv1/kernel"), (SECOND_HALF_NOT_TRAINED, "dense2/kernel")],
    ids=["border", "second half"],
)
def test_a_half_that_is_not_trained_is_noticed(
    pair_of, on_one_device, framework, two_devices, mutant, untrained
):
    single = on_one_device("matched")
    target, replacement = mutant[framework]
    two_devices.request("patch", target=target, replacement=replacement)
    split = epoch(pair_of(), "split")

    assert np.array_equal(split[untrained], NETWORKS["article"].initial_weights(100, 32, 25)[untrained])
    with pytest.raises(AssertionError, match="differ by"):
        gate.equal(single, split)


def test_work_of_the_second_half_is_done_on_its_device(pair_of, framework, two_devices):
    """TensorFlow by itself computes gradients and Adam's updates of both halves on the first device."""
    if framework == "torch":
        pytest.skip("PyTorch computes where tensors lie")
    look = f"__import__('runpy').run_path({devices_of_work.__file__!r})['devices_of_work']"
    target = f"{TENSORFLOW}.pipeline:Pipeline.trainable_weights"
    two_devices.request("patch", target=target, replacement=look)
    (pipeline,) = pair_of().pipelines(placement="split")
    pipeline.build_model()
    nodes = pipeline.trainable_weights()

    of_layers = {
        layer: {device for device, operation, name in nodes if f"/{layer}" in name and operation in GRADIENTS}
        for layer in ("conv1", "conv2", "conv3", "conv4", "dense1", "dense2")
    }
    assert [*of_layers.values()] == [{"CPU:0"}] * 3 + [{"CPU:1"}] * 3
    updates = Counter(device for device, operation, _ in nodes if operation == "AssignSubVariableOp")
    assert updates == {"CPU:0": 3 * 4, "CPU:1": 4 + 2 * 2}  # kernel, bias, scale, offset
    back = sorted(name for device, operation, name in nodes if (device, operation) == ("CPU:1", "_Send"))
    data = [name for name in back if "CrossDeviceControlEdges" not in name]
    assert [next((layer for layer in of_layers if layer in name), name) for name in data] == [
        "conv4",
        "dense2",
    ]


def test_torch_needs_a_gpu(own_process, framework, small_dataset):
    if framework != "torch":
        pytest.skip("TensorFlow has logical devices")
    with pytest.raises(UnavailableError, match="torch has one CPU device: split needs a GPU"):
        Pair({framework: own_process}, small_dataset).pipelines(placement="split")


@pytest.mark.parametrize(
    ("reason", "axes"),
    [
        ("--placement=split goes with --api=sequential alone, not with --api=subclass", {"api": "subclass"}),
        ("--placement=split computes in float32", {"precision": "bfloat16"}),
        ("--placement=split is not compiled", {"execution": "compiled"}),
        (
            "published code stays as it is: not with --placement=split",
            {"recipe": "published"},
        ),
    ],
)
def test_what_two_devices_do_not_go_with_is_refused_with_the_reason(pair_of, reason, axes):
    with pytest.raises(UnavailableError, match=reason):
        pair_of().pipelines(placement="split", **axes)


@pytest.mark.parametrize("placement", ["single", "split"])
def test_training_says_how_long_transfers_take(pair_of, two_devices, tmp_path, placement):
    pair_of().pipelines(placement=placement)
    two_devices.request("set_up", stage="training", folder=str(tmp_path))
    outcome = two_devices.request("execute")["outcome"]

    assert (outcome["transfer_seconds"] or 0) >= 0
    assert (outcome["transfer_seconds"] is None) == (placement == "single")


def test_a_report_says_how_long_transfers_take():
    case = Case("torch", "torch", device="cuda", placement="split")
    run = run_of("", saved_run([case], stages=("training",), transfer_seconds=0.00121))
    told = (
        "training: torch split, 0w moves activations and gradients between its devices for 1.21 ms in a step."
    )

    assert told in " ".join(summary_lines(run.results, 200))
    assert told in page(Report([run]))
