"""The axis `api`: however its layers are put together, a network computes the same to the last digit."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import gate
from pair import OF_SETTINGS, Pair
from patches import TENSORFLOW, TORCH, patched
from stagebench.case import Case
from stagebench.frameworks import FRAMEWORKS, INSTALLED
from stagebench.frameworks.contract import UnavailableError
from stagebench.networks import NETWORKS

IMAGES = np.random.default_rng(0).random((7, 32, 32, 3), np.float32)
STACKS = ("article", "cifar10", "mlp")


@pytest.fixture
def apis(framework):
    """Each API of the framework, its default first."""
    return ["sequential", *FRAMEWORKS[framework].implements["api"]]


@pytest.fixture
def pair_of(framework, process_of, small_dataset):
    """Return a function that gives the framework by a recipe, with a network."""
    return lambda *of: Pair({framework: process_of(framework)}, small_dataset, *of)


@pytest.mark.parametrize("recipe", OF_SETTINGS)
@pytest.mark.parametrize("network", STACKS)
@pytest.mark.parametrize(
    "precision", ["float64", pytest.param("float32", marks=pytest.mark.nightly("an epoch is in it"))]
)
def test_outputs_and_gradients_are_those_of_the_sequential_model(pair_of, apis, recipe, network, precision):
    pair = pair_of(recipe, network)

    gate.equal(*(gate.arithmetic(pair, precision, api=api) for api in apis))


@pytest.mark.parametrize("recipe", OF_SETTINGS)
@pytest.mark.parametrize("network", STACKS)
def test_layers_and_parameters_are_those_of_the_sequential_model(open_pipeline, apis, recipe, network):
    tables, trained, weights = [], [], []
    for api in apis:
        pipeline = open_pipeline(api=api, recipe=recipe, network=network)
        pipeline.build_model()
        tables.append(pipeline.layers())
        trained.append(pipeline.trainable_weights())
        weights.append(pipeline.weights())

    assert len(tables[0]) > 3
    assert tables == [tables[0]] * len(apis)
    assert trained == [trained[0]] * len(apis)
    gate.equal(*weights)


@pytest.mark.parametrize("recipe", OF_SETTINGS)
def test_an_epoch_ends_in_the_weights_of_the_sequential_model(open_pipeline, apis, recipe):
    trained = []
    for api in apis:
        pipeline = open_pipeline(recipe=recipe, api=api)
        pipeline.build_model()
        (epoch,) = pipeline.train(1)
        trained.append({"loss": epoch["loss"], **pipeline.weights()})

    gate.equal(*trained)


def test_less_than_float32_is_the_same_in_every_layer_too(open_pipeline, apis):
    logits = {}
    for api, precision in product(apis, ("float32", "bfloat16")):
        pipeline = open_pipeline(api=api, precision=precision)
        pipeline.build_model()
        logits[api, precision] = pipeline.predict(IMAGES)

    for api in apis:
        assert np.array_equal(logits[api, "bfloat16"], logits["sequential", "bfloat16"])
        assert not np.array_equal(logits[api, "bfloat16"], logits[api, "float32"])


WITHOUT_RELU = {
    ("torch", "subclass"): {
        f"{TORCH}.api:Subclass.forward": "lambda self, images: nn.Sequential("
        "*[layer for layer in self.children() if not isinstance(layer, nn.ReLU)])(images)"
    },
    ("tensorflow", "subclass"): {
        f"{TENSORFLOW}.api:Subclass.call": "lambda self, images, training=False: keras.Sequential("
        "[layer for layer in self.stack if not isinstance(layer, keras.layers.ReLU)])(images)"
    },
    ("tensorflow", "functional"): {
        f"{TENSORFLOW}.api:FORMS": "{**original, 'functional': {'assemble': lambda stack: functional("
        "[layer for layer in stack if not isinstance(layer, keras.layers.ReLU)])}}"
    },
}


def test_a_layer_that_is_left_out_is_noticed(pair_of, framework, process_of, apis):
    default, *others = apis
    expected = gate.arithmetic(pair_of(), "float32", api=default)
    for api in others:
        with patched(process_of(framework), WITHOUT_RELU[framework, api]):
            other = gate.arithmetic(pair_of(), "float32", api=api)
        with pytest.raises(AssertionError, match="logits, training False differ"):
            gate.equal(expected, other)


def test_a_network_that_branches_has_one_form(open_pipeline):
    for axes in ({"api": "subclass"}, {"placement": "split"}):
        with pytest.raises(
            UnavailableError, match="resnet18 is no stack of layers: its builder has one form"
        ):
            open_pipeline(network="resnet18", **axes)


def test_published_code_is_not_put_together_anew(open_pipeline):
    with pytest.raises(UnavailableError, match="published code stays as it is: not with --api=subclass"):
        open_pipeline(recipe="published", api="subclass")


def test_torch_has_no_functional_api():
    case = Case("torch", "torch", api="functional")

    assert FRAMEWORKS["torch"].has_no(case) == "--api=functional is not implemented for PyTorch"
    assert FRAMEWORKS["tensorflow"].has_no(replace(case, framework="tensorflow")) is None


@pytest.mark.skipif("torch" not in INSTALLED, reason="torch is not installed")
def test_a_checkpoint_of_either_form_in_torch_fits_the_other(process_of, small_dataset, model_file):
    pair, path = Pair({"torch": process_of("torch")}, small_dataset), model_file("torch")
    (pipeline,) = pair.pipelines(api="subclass", seed=7)
    pipeline.build_model()
    pipeline.save_model(path)
    (pipeline,) = pair.pipelines()
    pipeline.load_model(path)

    gate.equal(NETWORKS["article"].initial_weights(100, 32, 7), pipeline.weights())
