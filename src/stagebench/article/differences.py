"""How the recipe `published` differs from `matched`, measured framework by framework."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from stagebench.case import AXES, Case, Workload, plain
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import Manifest
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare
from stagebench.frameworks import FRAMEWORKS
from stagebench.frameworks.contract import Array
from stagebench.machine.errors import StorageError
from stagebench.networks import DEFAULT, NETWORKS
from stagebench.results.run import Difference
from stagebench.run.process import WorkerError, WorkerProcess
from stagebench.run.scratch import scratch_folder

RECIPES = ("published", "matched")
ROUNDING = 1e-6
"""Differences up to this, of full scale, of logits or of a learning rate, are float32's rounding."""
DATASET = DatasetRequest("synthetic", train_images=230, test_images=110, classes=100)
"""Small; its last test batch is ragged."""
WORKLOAD = Workload(DATASET.classes)
LEARNED = DatasetRequest("synthetic", train_images=500, test_images=400, classes=10)
"""Few classes: of these, a few epochs teach something."""
LEARNED_EPOCHS = 4
BATCH_SIZE: int = AXES["batch_size"].default
ADAM_VARIABLES, ADAM_STEPS = 100, 50
GRADIENT_SCALE = 1e-3
"""Standard deviation of the gradients that Adam is given."""


@dataclass(frozen=True)
class Choice:
    """A choice that a pipeline states by recipe."""

    stated: str
    """`module:NAME` in the pipeline's folder: keyword arguments by recipe, or a function that takes a recipe
    and a size and returns transforms in a row.
    """
    default: str = ""
    """`module:name` of the framework's function whose defaults fill what is not stated."""


CHOICES: dict[str, dict[str, Choice]] = {
    "torch": {
        "pixels": Choice("data:preparation"),
        "batch_norm": Choice("networks.article:BATCH_NORM", "torch:nn.BatchNorm2d.__init__"),
        "adam": Choice("training:ADAM", "torch:optim.Adam.__init__"),
    },
    "tensorflow": {
        "pixels: JPEG decoding": Choice("data:DECODE", "tensorflow:image.decode_jpeg"),
        "pixels: resize": Choice("data:RESIZE", "tensorflow:image.resize"),
        "batch_norm": Choice("networks.article:BATCH_NORM", "keras:layers.BatchNormalization.__init__"),
        "adam": Choice("training:ADAM", "keras:optimizers.Adam.__init__"),
    },
}
"""Where each framework's choices are found. Names that start with `pixels` prepare images."""


class Pipeline:
    """What `worker.Worker.open` makes from this module: it reads settings where the framework is imported."""

    def __init__(self, case: Case, workload: Workload, manifest: Manifest) -> None:
        self.case, self.size = case, workload.input_size

    def runtime_info(self) -> dict[str, dict[str, tuple[Any, Any]]]:
        """Return, by choice, the published and the matched value of each setting in which the two differ."""
        found = {}
        for choice, setting in CHOICES[self.case.framework].items():
            published, matched = (self._settings(setting, recipe) for recipe in RECIPES)
            differing = [name for name, value in matched.items() if published[name] != value]
            found[choice] = {name: (published[name], matched[name]) for name in differing}
        return found

    def _settings(self, setting: Choice, recipe: str) -> dict[str, Any]:
        stated = _resolve(_target(self.case.framework, setting))
        if callable(stated):
            steps = stated(recipe, self.size).transforms
            return {"transforms": " > ".join(type(step).__name__ for step in steps)}
        defaults = inspect.signature(_resolve(setting.default)).parameters
        return {name: stated[recipe].get(name, defaults[name].default) for name in stated["matched"]}


def measure_all_differences(
    networks: Mapping[str, Collection[str]], tell: Callable[[str], None]
) -> list[Difference]:
    """Compare the recipes of each framework that is real and installed, and tell what came of it.

    One whose recipes cannot be compared takes nothing from the others. `networks` are those of each.
    """
    found: list[Difference] = []
    for name, of_framework in networks.items():
        if FRAMEWORKS[name].imports and not FRAMEWORKS[name].missing():
            try:
                found += measure_differences(name, of_framework)
            except (DatasetError, StorageError, WorkerError) as error:
                tell(f"how `published` differs in {name} could not be measured: {error}")
    if found:
        tell(f"measured {len(found)} choices in which `published` differs from `matched`")
    return found


def measure_differences(framework: str, networks: Collection[str] = ()) -> list[Difference]:
    """Compare the recipes of a real framework, which must be installed, in a worker process on the CPU.

    Of the article's network, each choice is looked at; of the other `networks`, what they come to.

    Raises:
        DatasetError, StorageError: there is no space for a small data set.
        WorkerError: the worker process died, or its pipeline raised.

    """
    with scratch_folder() as folder:
        manifest = prepare(DATASET, folder / "dataset", lambda *_: None)
        with WorkerProcess(framework, folder) as worker:
            recipes = _BothRecipes(worker, framework, manifest, folder)
            others = sorted({*networks} - {DEFAULT})
            # Arithmetic comes last: its inspectors switch Keras to float64 for good.
            own = [difference for name in others for difference in recipes.of_network(name)]
            return [*own, *recipes.differences()]


class _BothRecipes:
    """Both recipes of one framework, one after the other in one worker process."""

    def __init__(self, worker: WorkerProcess, framework: str, manifest: Manifest, folder: Path) -> None:
        self.worker, self.framework, self.manifest, self.folder = worker, framework, manifest, folder
        self.weights = NETWORKS[DEFAULT].initial_weights(WORKLOAD.classes, WORKLOAD.input_size, WORKLOAD.seed)
        self.settings = self._open(__name__, "matched")

    def of_network(self, name: str) -> list[Difference]:
        """Return by how much the forms of a network differ: parameters, pixels, what they have learned."""
        network = NETWORKS[name]
        form = network.form("published", self.framework)
        published, matched = (
            sum(one.variable_sizes(WORKLOAD.classes, WORKLOAD.input_size).values()) for one in (form, network)
        )
        rows = self._ratio(f"{name}: parameters", published, matched, ",")
        if form.normalize != network.normalize:
            scaling = {"normalize": (form.normalize, network.normalize)}
            apart = np.abs(self._test_split("published", name)[0] - self._test_split("matched", name)[0])
            measured = f"max {apart.max():.2g}, mean {apart.mean():.2g} of full scale"
            rows += self._stated(f"{name}: pixels", scaling, measured, float(apart.max()))
        return [*rows, self._learned(name)]

    def _learned(self, network: str) -> Difference:
        manifest = prepare(LEARNED, self.folder / "learned", lambda *_: None)
        accuracies = []
        for recipe in RECIPES:
            self._open_pipeline(recipe, network, manifest)
            self._call("pipeline", "build_model")
            self._call("pipeline", "train", LEARNED_EPOCHS)
            accuracies.append(self._call("pipeline", "evaluate")["accuracy"])
        published, matched = accuracies
        choice = f"{network}: accuracy after {LEARNED_EPOCHS} epochs of {LEARNED.train_images} images"
        measured = f"{100 * (published - matched):+.1f} points, one run each"
        return Difference(choice, self.framework, f"{published:.1%}", f"{matched:.1%}", measured)

    def differences(self) -> list[Difference]:
        """Return what differs for the article's network."""
        return [*self._pixels(), *self._initial_weights(), *self._loss(), *self._file(), *self._arithmetic()]

    def _pixels(self) -> list[Difference]:
        rows = []
        choices = [choice for choice in self.settings if choice.startswith("pixels")]
        matched, _ = self._test_split("matched")
        for choice in choices:
            for other in choices:
                if other != choice:  # so that this choice alone is as published
                    target = _target(self.framework, CHOICES[self.framework][other])
                    replacement = '{**original, "published": original["matched"]}'
                    self.worker.request("patch", target=target, replacement=replacement)
            apart = np.abs(self._test_split("published")[0] - matched)
            self.worker.request("unpatch")
            measured = f"max {apart.max():.2g}, mean {apart.mean():.2g} of full scale"
            rows += self._stated(choice, self.settings[choice], measured, float(apart.max()))
        return rows

    def _initial_weights(self) -> list[Difference]:
        deviations: dict[str, list[float]] = {"conv1/kernel": [], "dense2/kernel": []}
        for recipe in RECIPES:
            self._open_pipeline(recipe)
            self._call("pipeline", "build_model")
            weights = self._call("pipeline", "weights")
            for name, values in deviations.items():
                values.append(float(weights[name].std()))
        return [
            row
            for name, (published, matched) in deviations.items()
            for row in self._ratio(f"initial {name}, standard deviation", published, matched, ".3g")
        ]

    def _loss(self) -> list[Difference]:
        """Compare the published loss with the mean over the images, which the gate proves of `matched`."""
        images, labels = self._test_split("published")
        self._call("pipeline", "build_model")
        self._call("pipeline", "set_weights", self.weights)
        expected = _cross_entropy(self._call("pipeline", "predict", images), labels)
        reported = self._call("pipeline", "evaluate")["loss"]
        apart = abs(reported - expected)
        if apart <= ROUNDING * expected:
            return []
        last = len(labels) % BATCH_SIZE
        choice = f"reported loss, last batch of {last} instead of {BATCH_SIZE} images"
        measured = f"{apart:.2g} from equal logits"
        return [Difference(choice, self.framework, f"{reported:.6g}", f"{expected:.6g}", measured)]

    def _file(self) -> list[Difference]:
        sizes = []
        for recipe in RECIPES:
            self._open_pipeline(recipe)
            folder = self.folder / recipe
            folder.mkdir()
            self.worker.request("set_up", stage="model_saving", folder=folder)
            sizes.append(self.worker.request("execute")["outcome"]["file_bytes"])
        published, matched = sizes
        return self._ratio("model file, bytes", published, matched, ",")

    def _arithmetic(self) -> list[Difference]:
        """Compare logits, running means and Adam's updates, in float64."""
        images, labels = (part[:BATCH_SIZE] for part in self._test_split("matched"))
        generator = np.random.default_rng(WORKLOAD.seed)
        start = generator.standard_normal(ADAM_VARIABLES)
        gradients = list(GRADIENT_SCALE * generator.standard_normal((ADAM_STEPS, ADAM_VARIABLES)))
        logits, means, paths = [], [], []
        for recipe in RECIPES:
            self._inspect(recipe)
            logits.append(self._call("inspector", "logits", self.weights, images, False))
            _, after = self._call("inspector", "train", self.weights, [(images, labels)], "sgd", 0.0)
            means.append(np.concatenate([after[name] for name in after if name.endswith("/mean")]))
            path = self._call("inspector", "adam_path", start, gradients, WORKLOAD.learning_rate)
            paths.append(np.array(path) / WORKLOAD.learning_rate)
        batch_norm = self.settings["batch_norm"]
        return [
            *self._stated(
                "BatchNorm epsilon",
                {name: values for name, values in batch_norm.items() if name.startswith("eps")},
                f"logits up to {_apart(logits):.2g} apart, of up to {np.abs(logits[1]).max():.2g}",
                _apart(logits),
            ),
            *self._stated(
                "BatchNorm momentum",
                {name: values for name, values in batch_norm.items() if name == "momentum"},
                f"running means up to {_apart(means):.2g} apart after one step, "
                f"of up to {np.abs(means[1]).max():.2g}",
                _apart(means),
            ),
            *self._stated(
                "Adam",
                self.settings["adam"],
                f"variables up to {_apart(paths):.2g} of the learning rate apart in {ADAM_STEPS} steps, "
                f"gradients of {GRADIENT_SCALE:g}",
                _apart(paths),
            ),
        ]

    def _stated(
        self, choice: str, settings: dict[str, tuple[Any, Any]], measured: str, size: float
    ) -> list[Difference]:
        if size <= ROUNDING:
            return []
        published, matched = (
            ", ".join(f"`{name}={pair[side]!r}`" for name, pair in settings.items()) for side in (0, 1)
        )
        return [Difference(choice, self.framework, published, matched, measured)]

    def _ratio(self, choice: str, published: float, matched: float, digits: str) -> list[Difference]:
        ratio = f"{published / matched:.3g}"
        if ratio == "1":
            return []
        values = format(published, digits), format(matched, digits)
        return [Difference(choice, self.framework, *values, f"{ratio} times")]

    def _test_split(self, recipe: str, network: str = DEFAULT) -> tuple[Array, Array]:
        """Return the images and labels of a fresh pipeline, in the manifest's order."""
        self._open_pipeline(recipe, network)
        images, labels = zip(*self._call("pipeline", "batches", "test"), strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def _open_pipeline(self, recipe: str, network: str = DEFAULT, manifest: Manifest | None = None) -> None:
        self._open(FRAMEWORKS[self.framework].pipeline_module(recipe), recipe, network, manifest)

    def _open(
        self, module: str, recipe: str, network: str = DEFAULT, manifest: Manifest | None = None
    ) -> Any:
        """Open what a module has, on the small data set if on no other."""
        manifest = manifest or self.manifest
        case = Case(
            self.framework, self.framework, cache="off", augment="off", recipe=recipe, network=network
        )
        if FRAMEWORKS[self.framework].chooses_workers:
            case = replace(case, workers="auto")
        workload = plain(replace(WORKLOAD, classes=len(manifest.classes)))
        return self.worker.request(
            "open", module=module, case=plain(case), workload=workload, manifest=manifest.file
        )

    def _inspect(self, recipe: str) -> None:
        case = Case(self.framework, self.framework, recipe=recipe)
        self.worker.request("inspect", case=plain(case), workload=plain(WORKLOAD), precision="float64")

    def _call(self, target: str, method: str, *arguments: Any) -> Any:
        return self.worker.request("call", target=target, method=method, arguments=list(arguments))


def _target(framework: str, setting: Choice) -> str:
    return f"{FRAMEWORKS[framework].folder}.{setting.stated}"


def _resolve(target: str) -> Any:
    """Return the object at `module:dotted.name`."""
    module, _, name = target.partition(":")
    return attrgetter(name)(import_module(module))


def _apart(pair: list[Array]) -> float:
    return float(np.abs(pair[0] - pair[1]).max())


def _cross_entropy(logits: Array, labels: Array) -> float:
    """Return the mean over the images, computed in float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
    return float(losses.mean())
