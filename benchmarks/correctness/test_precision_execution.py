"""The axes `precision` and `execution`: what is computed stays the same, within what the numbers can hold."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import pair
from patches import patched
from stagebench.case import AXES
from stagebench.frameworks import INSTALLED
from stagebench.frameworks.contract import UnavailableError
from stagebench.run.process import WorkerError

needs_torch = pytest.mark.skipif("torch" not in INSTALLED, reason="torch is not installed")

LARGEST_DIFFERENCE = {"float32": 1e-4, "bfloat16": 0.1}
"""Of the logits of a fresh model, which are up to 4; bfloat16 has 8 bits."""


def trained(open_case, **axes):
    """Return what a pipeline reports of an epoch, and its logits before."""
    pipeline = open_case(cache="on", **axes)
    pipeline.build_model()
    images = np.random.default_rng(0).random((16, 32, 32, 3), np.float32)
    logits = pipeline.predict(images)
    (epoch,) = pipeline.train(1)
    return epoch, pipeline.evaluate(), logits


@pytest.fixture(scope="session")
def by_default(open_pipeline):
    """Return a function that gives what a recipe reports by default, trained once for all tests."""
    return functools.cache(lambda recipe: trained(open_pipeline, recipe=recipe))


@pytest.mark.parametrize(
    "recipe", ["matched", pytest.param("tuned", marks=pytest.mark.nightly("the other recipe"))]
)
@pytest.mark.parametrize(
    ("execution", "precision"),
    [
        pytest.param("eager", "float32", marks=pytest.mark.nightly("how to debug, not how to compute")),
        pytest.param(
            "compiled",
            "float32",
            marks=pytest.mark.nightly("torch compiles for up to a minute; a pull request compiles inference"),
        ),
        ("default", "bfloat16"),
    ],
)
def test_every_precision_and_execution_trains_alike(open_pipeline, by_default, recipe, execution, precision):
    first, evaluation, expected = by_default(recipe)
    epoch, found, logits = trained(open_pipeline, recipe=recipe, execution=execution, precision=precision)

    assert np.abs(logits - expected).max() <= LARGEST_DIFFERENCE[precision]
    assert logits.dtype == np.float32
    assert epoch["images"] == first["images"]
    assert found["images"] == evaluation["images"]
    assert epoch["loss"] == pytest.approx(first["loss"], rel=0.02)
    if precision != "float32":
        assert np.abs(logits - expected).max() > 1e-5, "it computes in float32"


ALWAYS = "lambda *a, **k: 1 / 0 if a else original(*a, **k)"  # without `a` it decorates a part of Keras
BY_XLA = "lambda *a, **k: 1 / 0 if a and k.get('jit_compile') else original(*a, **k)"


@pytest.mark.parametrize(
    ("name", "function", "failure", "failing"),
    [
        ("torch", "torch:compile", ALWAYS, {"compiled"}),
        ("tensorflow", "tensorflow:function", ALWAYS, {"default", "compiled"}),
        ("tensorflow", "tensorflow:function", BY_XLA, {"compiled"}),
    ],
)
@pytest.mark.parametrize("execution", AXES["execution"].values)
def test_each_execution_is_what_its_name_says(
    process_of, small_dataset, name, function, failure, failing, execution
):
    """Let what makes graphs or compiles them fail: a case that fails uses it."""
    worker = process_of(name)
    pipeline = pair.open_pipeline(worker, name, small_dataset, {}, execution=execution)
    pipeline.build_model()
    with patched(worker, {function: failure}):
        if execution in failing:
            with pytest.raises(WorkerError, match="ZeroDivisionError"):
                pipeline.train(1)
        else:
            pipeline.train(1)


@pytest.mark.fault("a variable by which torch compiles nothing", "`compiled` is unavailable, and says so")
@pytest.mark.parametrize(
    "switch",
    [
        "TORCH_COMPILE_DISABLE",
        "TORCHDYNAMO_DISABLE",
        "TORCHDYNAMO_SUPPRESS_ERRORS",
        "TORCH_COMPILE_OVERRIDE_BACKENDS",
    ],
)
@needs_torch
def test_what_torch_may_run_eagerly_is_not_called_compiled(process_of, small_dataset, switch):
    worker = process_of("torch")
    with patched(worker, {"os:environ": f"{{**original, {switch!r}: '1'}}"}):
        with pytest.raises(UnavailableError, match=f"may leave the network as it is: {switch}=1 is set"):
            pair.open_pipeline(worker, "torch", small_dataset, {}, execution="compiled")
        pair.open_pipeline(worker, "torch", small_dataset, {}, execution="default")


@needs_torch
def test_a_network_that_torch_leaves_as_it_is_is_not_called_compiled(process_of, small_dataset):
    worker = process_of("torch")
    pipeline = pair.open_pipeline(worker, "torch", small_dataset, {}, execution="compiled")
    pipeline.build_model()
    unchanged = {"torch:compile": "lambda network, **_: network"}
    with patched(worker, unchanged), pytest.raises(UnavailableError, match="it is switched off"):
        pipeline.train(1)


def test_float16_on_a_cpu_is_refused_in_one_sentence(open_pipeline):
    with pytest.raises(Exception, match="float16 is for GPUs"):
        open_pipeline(precision="float16")
