"""The network is the article's, layer by layer; each network has a file, and a builder in each framework."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from stagebench.case import AXES
from stagebench.frameworks import FRAMEWORKS
from stagebench.networks import DEFAULT, NETWORKS

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


@pytest.mark.parametrize(
    ("network", "input_size", "classes", "count"),
    [
        ("article", 32, 100, 270_948),
        ("cifar10", 32, 10, 122_570),  # Keras' own tutorial on this network
        ("mlp", 28, 10, 302_474),  # (2,352 + 1) x 128 + (128 + 1) x 10
        ("resnet18", 224, 1000, 11_689_512),  # as torchvision has it
        ("resnet50", 224, 1000, 25_557_032),  # as torchvision has it
        ("vit_tiny", 224, 1000, 5_717_416),  # as timm has DeiT-Ti; Touvron et al. have 5.7 million
    ],
)
def test_a_network_has_the_published_number_of_trained_parameters(network, input_size, classes, count):
    sizes = NETWORKS[network].variable_sizes(classes, input_size)

    assert sum(size for name, size in sizes.items() if NETWORKS[network].trainable(name)) == count


@pytest.mark.parametrize(
    ("network", "giga"),
    [
        ("resnet18", "1.81"),  # as torchvision counts, in its table of weights
        ("resnet50", "4.09"),  # the same
    ],
)
def test_a_network_has_the_published_number_of_multiply_adds(network, giga):
    assert f"{sum(NETWORKS[network].multiply_adds(1000, 224)) / 1e9:.2f}" == giga


def test_what_was_published_for_cifar10_is_not_one_network():
    sizes = {}
    for framework in ("torch", "tensorflow"):
        form = NETWORKS["cifar10"].form("published", framework)
        sizes[framework] = sum(form.variable_sizes(10, 32).values())

    # torch: 896 + 18,496 of the convolutions, 262,208 + 650 of the dense layers
    assert sizes == {"torch": 282_250, "tensorflow": 122_570}


@pytest.mark.parametrize("network", [name for name in NETWORKS if "published" in NETWORKS[name].recipes])
def test_a_published_network_trains_and_keeps_its_model(open_pipeline, framework, network, tmp_path):
    pipeline = open_pipeline(network=network, recipe="published")
    pipeline.build_model()
    (epoch,) = pipeline.train(1)
    before = pipeline.evaluate()
    path = str(tmp_path / f"model{FRAMEWORKS[framework].model_suffix}")
    pipeline.save_model(path)
    pipeline.load_model(path)

    assert epoch["images"] == 230
    assert pipeline.evaluate() == before


@pytest.mark.parametrize("network", NETWORKS)
def test_each_framework_has_the_variables_that_the_network_states(open_pipeline, network):
    pipeline = open_pipeline(network=network, classes=10)
    pipeline.build_model()

    sizes = NETWORKS[network].variable_sizes(10, 32)
    trained = sum(size for name, size in sizes.items() if NETWORKS[network].trainable(name))
    assert pipeline.trainable_weights() == trained


def test_the_models_last_layer_follows_the_number_of_classes(open_pipeline):
    pipeline = open_pipeline(classes=7)
    pipeline.build_model()

    assert pipeline.layers()[-1]["output_shape"] == (7,)


def test_a_networks_file_has_its_name():
    assert DEFAULT in NETWORKS
    for name, network in NETWORKS.items():
        assert type(network).__module__ == f"stagebench.networks.{name}"


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("folder", [entry.folder for entry in FRAMEWORKS.values() if entry.imports])
def test_each_framework_builds_each_network(folder, name):
    assert find_spec(f"{folder}.networks.{name}"), f"{folder} has no file networks/{name}.py"


def test_what_a_network_was_not_tried_with_is_skipped_with_the_reason(suite):
    options = ("--networks=article,mlp,cifar10", "--recipes=published", "--stages=training,inference")
    result = suite.run(*options, "--cache=on", "--input-size=20", "-rs")

    assert "failed" not in result.parseoutcomes()
    (run,) = suite.saved()
    assert not any("mlp" in one["name"] or "cifar10" in one["name"] for one in run["benchmarks"])
    result.stdout.fnmatch_lines_random(
        [
            "*mlp has no recipe published; it is there for article, cifar10*",
            "*cifar10 was not tried in deployment yet; it is there for article, mlp, resnet18*",
            "*cifar10 takes 22 pixels a side or more, not 20*",
        ]
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--networks=vit_tiny", "--input-size=30"],
            "no case of model_building is left: vit_tiny takes a multiple of 4 pixels a side, not 30",
        ),
        (
            ["--recipes=published", "--schedule=one_cycle"],
            "no case of training is left: published code stays as it is: not with --schedule=one_cycle",
        ),
        (["--precision=float16"], "no case of training is left: float16 is for GPUs"),
        (
            ["--networks=mlp,cifar10", "--recipes=published", "--stages=training", "--input-size=20"],
            "it is there for article, cifar10; cifar10 takes 22 pixels a side or more, not 20",
        ),
        (["--loop=custom"], "no case of training is left: --loop=custom is not implemented for simulated"),
    ],
)
def test_a_stage_whose_cases_all_contradict_themselves_is_a_usage_error(suite, options, sentence):
    result = suite.run(*options, "--devices=cpu")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert sentence in result.stderr.str()


def test_a_stage_that_is_not_selected_refuses_nothing(suite):
    result = suite.run("--precision=float16", "--devices=cpu", "--cache=on", "-k", "data_loading")

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("network", "input_size", "sentence"),
    [
        ("cifar10", 16, "cifar10 takes 22 pixels a side or more, not 16"),
        ("vit_tiny", 30, "vit_tiny takes a multiple of 4 pixels a side, not 30"),
        ("vit_tiny", 220, "vit_tiny takes a multiple of 16 pixels a side, not 220"),
        ("vit_tiny", 224, None),
    ],
)
def test_a_network_says_which_images_it_takes(network, input_size, sentence):
    assert NETWORKS[network].refuses(input_size) == sentence
