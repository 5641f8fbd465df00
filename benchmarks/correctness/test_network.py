"""The network is the article's, layer by layer."""

from __future__ import annotations

import pytest

from stagebench.case import AXES

pytestmark = pytest.mark.gate

BLOCKS = ((32, 32, 896, 128), (16, 64, 18_496, 256), (8, 128, 73_856, 512), (4, 128, 147_584, 512))
"""Height and width, channels, parameters of the convolution and of BatchNorm, of each block."""

ARTICLE_TABLE = [
    row
    for size, channels, conv, batch_norm in BLOCKS
    for row in (
        ("conv", (size, size, channels), conv),
        ("batch_norm", (size, size, channels), batch_norm),
        ("relu", (size, size, channels), 0),
        ("max_pool", (size // 2, size // 2, channels), 0),
    )
] + [
    ("global_average_pool", (128,), 0),
    ("dense", (128,), 16_512),
    ("relu", (128,), 0),  # a part of the layer before it in Keras, and a layer in PyTorch
    ("dense", (100,), 12_900),
]


@pytest.mark.parametrize("recipe", AXES["recipe"].values)
def test_every_layer_is_the_articles(open_pipeline, recipe):
    pipeline = open_pipeline(recipe=recipe)
    pipeline.build_model()

    rows = [(row["kind"], tuple(row["output_shape"]), row["parameters"]) for row in pipeline.layers()]
    assert rows == ARTICLE_TABLE


@pytest.mark.parametrize("recipe", AXES["recipe"].values)
def test_parameters_are_271652_of_which_270948_trainable(open_pipeline, recipe):
    pipeline = open_pipeline(recipe=recipe)
    pipeline.build_model()

    total = sum(value.size for value in pipeline.weights().values())
    trainable = pipeline.trainable_weights()

    assert (total, trainable, total - trainable) == (271_652, 270_948, 704)


def test_the_models_last_layer_follows_the_number_of_classes(open_pipeline):
    pipeline = open_pipeline(classes=7)
    pipeline.build_model()

    assert pipeline.layers()[-1]["output_shape"] == (7,)
