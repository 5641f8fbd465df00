"""The axis `logging`: both frameworks write the same scalars, and TensorBoard reads them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import gate
from pair import OF_SETTINGS
from pair import open_pipeline as open_in
from patches import IN_ORDER, TENSORFLOW, TORCH, patched
from stagebench.case import Case
from stagebench.case.training import one_cycle
from stagebench.run.environments import Environment

LOGGED = Case("torch", "torch", logging="tensorboard")
EPOCHS, BATCHES = 2, 8  # of 230 images
STEPS = [*range(1, EPOCHS * BATCHES + 1)]
LACK = Environment("torch", "torch").lacks(LOGGED)
needs_tensorboard = pytest.mark.skipif(bool(LACK), reason=LACK or "")


def written(worker, framework, dataset, changes=None, rate=0.001, **axes):
    """Return what a training reports, and its scalars as TensorBoard reads them: by tag and step."""
    before = {*worker.folder.glob("tensorboard-*")}
    with patched(worker, IN_ORDER[framework] | (changes or {})):
        axes = {"network": "mlp", "cache": "on", "logging": "tensorboard", **axes}
        pipeline = open_in(worker, framework, dataset, {"learning_rate": rate}, **axes)
        pipeline.build_model()
        epochs = pipeline.train(EPOCHS)
    (folder,) = {*worker.folder.glob("tensorboard-*")} - before
    return epochs, read(folder)


def read(folder: Path) -> dict[str, dict[int, float]]:
    """Load a folder as TensorBoard does, without the TensorFlow that it would import for that."""
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    from tensorboard.backend.event_processing.plugin_event_accumulator import TENSORS
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.util import tensor_util

    events = EventMultiplexer(size_guidance={TENSORS: 0}).AddRunsFromDirectory(str(folder)).Reload()
    assert [*events.Runs()] == ["train"]
    return {
        tag: {e.step: float(tensor_util.make_ndarray(e.tensor_proto)) for e in events.Tensors("train", tag)}
        for tag in events.Runs()["train"]["tensors"]
    }


def logs_are_alike(pair, changes=None):
    """Steps too small to see: both frameworks write the same loss and accuracy at each step and epoch."""
    (_, first), (_, second) = (
        written(
            *(worker, framework, pair.manifest, (changes or {}).get(framework), 1e-30),
            recipe=pair.recipe,
            schedule="one_cycle",
        )
        for framework, worker in pair.workers.items()
    )
    assert {tag: [*values] for tag, values in first.items()} == {tag: [*v] for tag, v in second.items()}
    for tag, values in first.items():
        both = [np.array([*series.values()]) for series in (values, second[tag])]
        gate.close(tag, *both, 0.0 if tag == "epoch_learning_rate" else 1e-5 * max(1, both[0].max()))


@needs_tensorboard
def test_both_frameworks_write_the_same_scalars(both):
    logs_are_alike(both)


@needs_tensorboard
@pytest.mark.parametrize("recipe", OF_SETTINGS)
@pytest.mark.parametrize("loop", ["default", "custom"])
@pytest.mark.parametrize("schedule", ["one_cycle", "one_cycle_step"])
def test_scalars_are_those_that_the_training_reports(
    process_of, small_dataset, framework, recipe, loop, schedule
):
    if loop == "custom" and framework == "torch":
        pytest.skip("--loop=custom is not implemented for PyTorch")
    axes = {"recipe": recipe, "schedule": schedule, "loop": loop, "accumulate": 2}
    epochs, scalars = written(process_of(framework), framework, small_dataset, **axes)

    assert [*scalars["batch_loss"]] == [*scalars["batch_accuracy"]] == STEPS
    for what in ("loss", "accuracy"):
        assert [*scalars[f"epoch_{what}"]] == [*range(EPOCHS)]
        reported = [epoch[what] for epoch in epochs]
        assert [*scalars[f"epoch_{what}"].values()] == pytest.approx(reported, rel=1e-6)
        # the last step's is the mean over the epoch
        assert [scalars[f"batch_{what}"][n * BATCHES] for n in (1, 2)] == pytest.approx(reported, rel=1e-6)
    rates = {
        "one_cycle": [one_cycle(epoch, EPOCHS) for epoch in range(EPOCHS)],  # that of the epoch
        "one_cycle_step": [one_cycle(update, 8) for update in (4, 8)],  # that of the update to come
    }
    expected = np.float32(0.001 * np.array(rates[schedule]))
    assert np.float32([*scalars["epoch_learning_rate"].values()]).tolist() == expected.tolist()


@needs_tensorboard
def test_the_loss_of_a_step_is_the_mean_over_the_images_of_the_epoch_so_far(both):
    both = replace(both, network="mlp")
    for side, (framework, worker) in enumerate(both.workers.items()):
        weights = both.initial_weights(25)
        with patched(worker, IN_ORDER[framework]):
            batches = both.pipelines()[side].batches("train")
        inspector = both.inspectors("float32")[side]
        sums = [
            inspector.loss_and_gradients(weights, images, labels)[0] * len(labels)
            for images, labels in batches
        ]
        seen = np.cumsum([len(labels) for _, labels in batches])
        _, scalars = written(worker, framework, both.manifest, None, 1e-30, recipe=both.recipe)

        expected = np.tile(np.cumsum(sums) / seen, EPOCHS)
        gate.close(framework, np.array([*scalars["batch_loss"].values()]), expected, 1e-5 * expected.max())


MUTANTS = {
    "batch_loss differ": {
        "torch": {
            f"{TORCH}.training:ScalarLog.add_step": "lambda self, mean, accuracy, means=[0.0]: ("
            "means.append(mean), n := self.steps % 8 + 1, "
            "original(self, n * mean - (n - 1) * means[-2], accuracy))[-1]"
        }
    },
    "batch_accuracy": {  # steps from 0
        "torch": {
            f"{TORCH}.training:ScalarLog.__init__": "lambda self: (original(self), "
            "setattr(self, 'steps', -1))[0]"
        }
    },
    "epoch_learning_rate differ": {
        "tensorflow": {
            f"{TENSORFLOW}.pipeline:TensorBoard.on_epoch_end": "lambda self, epoch, logs: ("
            "self.model.optimizer.learning_rate.assign(0.5), original(self, epoch, logs))[1]"
        }
    },
}


@needs_tensorboard
@pytest.mark.parametrize("caught", MUTANTS)
def test_logs_that_differ_are_caught(pair, caught):
    with pytest.raises(AssertionError, match=caught):
        logs_are_alike(pair, MUTANTS[caught])


@needs_tensorboard
def test_every_training_writes_into_a_new_folder_of_the_worker_process(process_of, small_dataset, framework):
    worker = process_of(framework)
    written(worker, framework, small_dataset)
    written(worker, framework, small_dataset)


@needs_tensorboard
def test_torch_writes_without_tensorflow(pair):
    asked = {
        f"{TORCH}.pipeline:Pipeline.trainable_weights": "lambda self: 'tensorflow' in "
        "__import__('sys').modules"
    }
    with patched(pair.workers["torch"], asked):
        pipeline = open_in(pair.workers["torch"], "torch", pair.manifest, {}, logging="tensorboard")
        pipeline.build_model()
        pipeline.train(1)

        assert pipeline.trainable_weights() is False


def test_where_tensorboard_is_missing_the_reason_says_how_to_install_it(hide):
    hide("tensorboard")

    assert Environment("torch", "torch").lacks(LOGGED) == (
        "torch: tensorboard not installed here; try: pip install 'stagebench[logging]'"
    )
    assert "tensorboard" not in (Environment("torch", "torch").lacks(replace(LOGGED, logging="none")) or "")
