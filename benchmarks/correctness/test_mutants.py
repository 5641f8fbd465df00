"""The gate can fail: each of these changes to one framework's pipeline breaks the promise named with it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

import gate
from patches import TENSORFLOW, TORCH, patched
from stagebench.networks import DEFAULT

TORCH_NET, TENSORFLOW_NET = f"{TORCH}.networks.article", f"{TENSORFLOW}.networks.article"


@dataclass(frozen=True)
class Mutant:
    """A change to a pipeline, and the promise that must catch it."""

    name: str
    promise: str
    changes: dict[str, str]
    """From `module:attribute` to the expression that replaces it; `original` is what was there."""
    recipe: str = "matched"
    network: str = DEFAULT
    size: int = 32

    @property
    def framework(self) -> str:
        return "torch" if next(iter(self.changes)).startswith(TORCH) else "tensorflow"


def resized(options: str) -> str:
    return (
        "lambda recipe, size, _: v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), "
        f"v2.Resize((size, size), {options})])"
    )


RESIZED_IN_UINT8 = (
    "lambda recipe, size, _: transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor()])"
)
LABELS_OFF_BY_ONE = "lambda self, split: [(label + 1) % len(self.classes) for label in original(self, split)]"
TWICE_THE_LEARNING_RATE = (
    "lambda self, *a, **k: (self.optimizer.learning_rate.assign(self.optimizer.learning_rate * 2), "
    "original(self, *a, **k))[1]"
)
BATCH_MEANS = {
    f"{TORCH}.training:batch_weight": "lambda recipe, labels: 1",
    f"{TORCH}.training:total_weight": "lambda recipe, images, steps: steps",
}


SHUFFLED_IN_A_WINDOW = "lambda self, n, **k: original(self, 100, **k)"
FOLDED_WITHOUT_MEAN = (
    "lambda weights: original({**weights, 'batch_norm1/mean': 0 * weights['batch_norm1/mean']})"
)


def changed(key: str, value: object, recipe: str = "matched") -> str:
    return f"{{{recipe!r}: {{**original[{recipe!r}], {key!r}: {value!r}}}}}"


MUTANTS = [
    Mutant(name, promise, changes)
    for promise, name, changes in (
        # data
        ("same_pixels", "torch without antialias", {f"{TORCH}.data:preparation": resized("antialias=False")}),
        (
            "same_pixels",
            "torch resizes by nearest pixel",
            {f"{TORCH}.data:preparation": resized("interpolation=v2.InterpolationMode.NEAREST")},
        ),
        ("same_pixels", "torch resizes in uint8", {f"{TORCH}.data:preparation": RESIZED_IN_UINT8}),
        ("same_pixels", "tensorflow with the fast DCT", {f"{TENSORFLOW}.data:DECODE": "{'matched': {}}"}),
        ("same_pixels", "tensorflow without antialias", {f"{TENSORFLOW}.data:RESIZE": "{'matched': {}}"}),
        (
            "same_coverage",
            "torch drops the last batch",
            {f"{TORCH}.data:DataLoader": "lambda *a, **k: original(*a, **k, drop_last=True)"},
        ),
        (
            "same_coverage",
            "tensorflow drops the last batch",
            {f"{TENSORFLOW}.data:loader": "lambda *a: original(*a).unbatch().batch(32, drop_remainder=True)"},
        ),
        (
            "same_coverage",
            "tensorflow shuffles in a window of 100",
            {f"{TENSORFLOW}.data:tf.data.Dataset.shuffle": SHUFFLED_IN_A_WINDOW},
        ),
        (
            "same_coverage",
            "torch does not shuffle",
            {f"{TORCH}.data:DataLoader": "lambda *a, **k: original(*a, **{**k, 'shuffle': False})"},
        ),
        (
            "same_coverage",
            "tensorflow labels off by one",
            {f"{TENSORFLOW}.data:Manifest.labels": LABELS_OFF_BY_ONE},
        ),
        ("same_flips", "torch never flips vertically", {f"{TORCH}.data:functional.vflip": "lambda i: i"}),
        (
            "same_flips",
            "torch flips with probability 0.4",
            {f"{TORCH}.data:torch.rand": "lambda *a, **k: original(*a, **k) + 0.1"},
        ),
        (
            "same_flips",
            "tensorflow flips both axes together",
            {f"{TENSORFLOW}.data:flip": "lambda example, draw: original(example, (draw & 1) * 3)"},
        ),
        # arithmetic
        (
            "same_initial_weights",
            "tensorflow starts from another seed",
            {f"{TENSORFLOW_NET}:NETWORK.initial_weights": "lambda *a: original(*a[:-1], a[-1] + 1)"},
        ),
        (
            "same_descent",
            "tensorflow BatchNorm momentum 0.99",
            {f"{TENSORFLOW_NET}:BATCH_NORM": changed("momentum", 0.99)},
        ),
        (
            "same_descent",
            "torch BatchNorm momentum 0.9",
            {f"{TORCH_NET}:BATCH_NORM": changed("momentum", 0.9)},
        ),
        (
            "same_logits",
            "tensorflow BatchNorm epsilon 1e-3",
            {f"{TENSORFLOW_NET}:BATCH_NORM": changed("epsilon", 1e-3)},
        ),
        (
            "same_logits",
            "torch convolutions without bias",
            {f"{TORCH_NET}:nn.Conv2d.forward": "lambda self, x: self._conv_forward(x, self.weight, None)"},
        ),
        (
            "same_logits",
            "tensorflow pools by average",
            {f"{TENSORFLOW_NET}:layers.MaxPooling2D": "layers.AveragePooling2D"},
        ),
        (
            "same_gradients",
            "torch sums the loss",
            {f"{TORCH}.training:criterion": "nn.CrossEntropyLoss(reduction='sum')"},
        ),
        (
            "same_gradients",
            "tensorflow smooths labels",
            {
                f"{TENSORFLOW}.training:keras.losses.CategoricalCrossentropy": "lambda **k: "
                "original(**k, label_smoothing=0.1)"
            },
        ),
        (
            "adam_is_as_documented",
            "torch learning rate doubled",
            {f"{TORCH}.training:build_optimizer": "lambda recipe, p, rate: original(recipe, p, 2 * rate)"},
        ),
        (
            "adam_is_as_documented",
            "tensorflow Adam epsilon 1e-3",
            {f"{TENSORFLOW}.training:ADAM": changed("epsilon", 1e-3)},
        ),
        (
            "adam_is_as_documented",
            "torch Adam beta 2 of 0.99",
            {f"{TORCH}.training:ADAM": changed("betas", (0.9, 0.99))},
        ),
        # reports and files
        ("reports_are_true", "torch evaluates by the mean of batch means", BATCH_MEANS),
        ("training_reports_are_true", "torch trains by the mean of batch means", BATCH_MEANS),
        (
            "reports_are_true",
            "torch leaves BatchNorm in training mode at evaluation",
            {f"{TORCH}.training:nn.Module.eval": "lambda self: self.train()"},
        ),
        (
            "training_steps_are_the_inspected_ones",
            "tensorflow fits with twice the learning rate",
            {f"{TENSORFLOW}.training:keras.Model.fit": TWICE_THE_LEARNING_RATE},
        ),
        (
            "files_keep_the_model",
            "torch saves weights in float16",
            {f"{TORCH}.persistence:save_checkpoint": "lambda model, *a: original(model.half(), *a)"},
        ),
    )
]


MUTANTS_OF_TUNED = [
    Mutant(f"tuned {name}", promise, changes, "tuned")
    for promise, name, changes in (
        # data
        (
            "same_pixels",
            "torch without antialias",
            {f"{TORCH}.tuned.data:functional.interpolate": "lambda *a, antialias, **k: original(*a, **k)"},
        ),
        (
            "same_pixels",
            "torch with the fast DCT",
            {f"{TORCH}.tuned.data:simplejpeg.decode_jpeg": "lambda *a, **k: original(*a, **k, fastdct=True)"},
        ),
        ("same_pixels", "tensorflow without antialias", {f"{TENSORFLOW}.tuned.data:RESIZE": "{'tuned': {}}"}),
        (
            "same_coverage",
            "torch mixes up labels within a batch",
            {
                f"{TORCH}.tuned.data:JpegFiles.__getitems__": "lambda self, indices: "
                "original(self, indices[::-1])"
            },
        ),
        (
            "same_coverage_from_the_cache",
            "torch loses the last batch of a cached epoch",
            {f"{TORCH}.tuned.data:torch.randperm": "lambda n, **k: original(n - n % 32, **k)"},
        ),
        (
            "same_coverage_from_the_cache",
            "tensorflow shuffles in a window of 100",
            {f"{TENSORFLOW}.tuned.data:tf.data.Dataset.shuffle": SHUFFLED_IN_A_WINDOW},
        ),
        (
            "same_flips",
            "torch flips with probability 0.4",
            {f"{TORCH}.tuned.data:torch.rand": "lambda *a, **k: original(*a, **k) + 0.1"},
        ),
        (
            "same_flips",
            "tensorflow flips both axes together",
            {f"{TENSORFLOW}.tuned.data:tf.unstack": "lambda draws: (original(draws)[0],) * 2"},
        ),
        # arithmetic
        (
            "running_variance_differs_as_stated",
            "tensorflow keeps the unbiased variance",
            {f"{TENSORFLOW}.batch_norm:biased": "lambda variance, count: variance"},
        ),
        (
            "adam_is_as_documented",
            "torch fused Adam beta 2 of 0.99",
            {f"{TORCH}.training:ADAM": changed("betas", (0.9, 0.99), "tuned")},
        ),
        # reports
        (
            "reports_are_true",
            "torch folds BatchNorm without its mean",
            {f"{TORCH_NET}:NETWORK.fold_batch_norm": FOLDED_WITHOUT_MEAN},
        ),
        (
            "reports_are_true",
            "tensorflow folds BatchNorm without its mean",
            {f"{TENSORFLOW_NET}:NETWORK.fold_batch_norm": FOLDED_WITHOUT_MEAN},
        ),
        (
            "training_reports_are_true",
            "torch reports the mean of batch means",
            {
                f"{TORCH}.tuned.training:Totals.add": "lambda self, loss, logits, labels: "
                "original(self, loss * 32 / len(labels), logits, labels)"
            },
        ),
    )
]


MUTANTS_OF_SETTINGS = [
    Mutant(f"{recipe} {name}", "same_normalized_pixels", {target: replacement}, recipe)
    for recipe, name, target, replacement in (
        ("matched", "torch divides by 1", f"{TORCH}.data:PIXELS", "{'half': (0.5, 1.0)}"),
        ("matched", "tensorflow does not normalize", f"{TENSORFLOW}.data:PIXELS", "{}"),
        ("tuned", "torch does not normalize", f"{TORCH}.tuned.data:PIXELS", "{}"),
        ("tuned", "tensorflow subtracts nothing", f"{TENSORFLOW}.data:PIXELS", "{'half': (0.0, 0.5)}"),
    )
]


STRIDE_IN_THE_FIRST_CONVOLUTION = (
    "lambda *a: (lambda block, first, second, *others: type(block)((type(first)(**{**vars(first), "
    "'stride': second.stride}), type(second)(**{**vars(second), 'stride': first.stride}), *others), "
    "block.shortcut))(original(*a), *original(*a).convs)"
)
POST_NORM = (
    "lambda self, tokens: (lambda normed: self.norm2(normed + self.contract(self.gelu(self.expand(normed)))))"
    "(self.norm1(tokens + self.attention(tokens)))"
)

MUTANTS_OF_NETWORKS = [
    Mutant(name, "same_logits", {target: replacement}, network=network, size=size)
    for network, size, name, target, replacement in (
        (
            "mlp",
            32,
            "torch takes the pixels channel by channel",
            f"{TORCH}.networks.flatten:FlattenPixels.forward",
            "lambda self, images: images.flatten(1)",
        ),
        (
            "cifar10",
            32,
            "tensorflow pools by the mean",
            f"{TENSORFLOW}.networks.cifar10:layers.MaxPooling2D",
            "lambda pool: layers.AveragePooling2D(pool)",
        ),
        (
            "resnet18",
            12,
            "torch adds no shortcut",
            f"{TORCH}.networks.resnet:ResidualBlock.forward",
            "lambda self, images: self.relu(self.branch(images))",
        ),
        (
            "resnet18",
            12,
            "tensorflow pads a stride on one side alone",
            f"{TENSORFLOW}.networks.resnet:layers.ZeroPadding2D",
            "lambda pixels: original(((0, 2 * pixels), (0, 2 * pixels)))",
        ),
        (
            "resnet50",
            12,
            "tensorflow has a block's stride in its first convolution",
            f"{TENSORFLOW}.networks.resnet:ResNet._block",
            STRIDE_IN_THE_FIRST_CONVOLUTION,
        ),
        (
            "vit_tiny",
            12,
            "torch approximates GELU by tanh",
            f"{TORCH}.networks.vit_tiny:nn.GELU",
            "lambda: original(approximate='tanh')",
        ),
        (
            "vit_tiny",
            12,
            "torch normalizes after each half of a block",
            f"{TORCH}.networks.vit_tiny:Block.forward",
            POST_NORM,
        ),
        (
            "vit_tiny",
            12,
            "tensorflow LayerNorm epsilon 1e-5",
            f"{TENSORFLOW}.networks.vit_tiny:NETWORK.layer_norm_epsilon",
            "1e-5",
        ),
        (
            "vit_tiny",
            12,
            "torch does not scale attention",
            f"{TORCH}.networks.vit_tiny:functional.scaled_dot_product_attention",
            "lambda query, key, value: original(query, key, value, scale=1.0)",
        ),
    )
]


@pytest.mark.parametrize(
    "mutant",
    [*MUTANTS, *MUTANTS_OF_TUNED, *MUTANTS_OF_NETWORKS, *MUTANTS_OF_SETTINGS],
    ids=lambda mutant: mutant.name,
)
def test_the_gate_catches(pair, mutant, tmp_path):
    pair = replace(pair, recipe=mutant.recipe, network=mutant.network, size=mutant.size)
    pair = replace(pair, steps=5)
    worker = pair.workers[mutant.framework]
    with patched(worker, mutant.changes), pytest.raises(AssertionError) as caught:
        keep(mutant.promise, pair, tmp_path)
    print(caught.value)  # noqa: T201  # shown by -rP


def keep(promise, pair, folder):
    if promise in gate.PROMISES:
        gate.PROMISES[promise](pair)
    else:
        getattr(gate, promise)(pair, folder)
