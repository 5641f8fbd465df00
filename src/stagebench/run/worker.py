"""The inside of a worker process: the one place where a framework is imported and time is taken."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import resource
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from stagebench.case import Case, Workload, from_plain
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks import FRAMEWORKS, THREAD_VARIABLES, Framework
from stagebench.frameworks.contract import Inspector, Operation, Pipeline, UnavailableError
from stagebench.frameworks.lifetime import kill_with_parent
from stagebench.frameworks.malloc import retain_freed_memory
from stagebench.machine.conditions import speed_conditions
from stagebench.networks.weights import load_weights
from stagebench.run.clock import come_to_rest, timed
from stagebench.run.explain import explain
from stagebench.run.pictures import Pictures, take_pictures
from stagebench.run.sample import Sample
from stagebench.run.starting_point import in_float32, starting_point
from stagebench.run.wire import decode, encode
from stagebench.stages import STAGES
from stagebench.stages.stage import Stage

GIVEN = dict(os.environ)
"""The environment variables that this process was started with: frameworks set more on import."""


def serve(channel: Any) -> None:
    """Answer requests `(method of Worker, arguments)` until the channel closes."""
    _die_with_parent()
    faulthandler.register(signal.SIGUSR1, all_threads=False)  # says on stderr where a hung stage hangs
    worker = Worker()
    for method, arguments in channel:
        try:
            reply = ("done", encode(getattr(worker, method)(**decode(arguments))))
        except UnavailableError as reason:
            reply = ("unavailable", str(reason))
        except Exception as error:
            reply = ("failed", explain(error))
        channel.send(reply)


class Worker:
    """Holds one case's pipeline, and one stage of it at a time."""

    case: Case
    workload: Workload
    pipeline: Pipeline
    inspector: Inspector
    stage: Stage

    def open(
        self,
        case: dict[str, Any],
        workload: dict[str, Any],
        manifest: str,
        threads: int | None = None,
        module: str | None = None,
        thorough: bool = True,
        **others: Any,
    ) -> Any:
        """Import the framework and make the case's pipeline; returns its `RuntimeInfo`.

        Beside it, as `conditions`, stand the process's `SpeedConditions`.

        A process that had another case before gives up all of it. `thorough` says whether what is the same in
        all processes of a case is looked at in this one.

        The `module` is where `Pipeline` stands, if not where its recipe has it. What a newer version of this
        package asks for beside is passed over.
        """
        for name in ("pipeline", "stage"):
            self.__dict__.pop(name, None)
        gc.unfreeze()
        gc.collect()
        self.thorough = thorough
        self.case, self.workload = from_plain(Case, case).complete, from_plain(Workload, workload)
        module = module or FRAMEWORKS[self.case.framework].pipeline_module(self.case.recipe)
        _set_environment(FRAMEWORKS[self.case.framework], self.case.device)
        given = dict(GIVEN)
        if threads:
            _pin_threads(threads)
            given = {name: value for name, value in GIVEN.items() if name not in THREAD_VARIABLES}
        conditions = speed_conditions(given)
        if self.case.recipe != "published":
            retain_freed_memory()
        self.module, self.manifest = import_module(module), Manifest.load(Path(manifest))
        self.pipeline = self._new_pipeline(self.case, self.manifest)
        return {**encode(self.pipeline.runtime_info()), "conditions": conditions}

    def inspect(self, case: dict[str, Any], workload: dict[str, Any], precision: str) -> None:
        """Import the framework and make its `contract.Inspector` of the case, on the CPU."""
        inspected = from_plain(Case, case).complete
        framework = FRAMEWORKS[inspected.framework]
        _set_environment(framework, "cpu")
        module = import_module(f"{framework.folder}.inspection")
        self.inspector = module.Inspector(inspected, from_plain(Workload, workload), precision)

    def rates(
        self, resources: list[str], files: list[bytes], folder: str, file_bytes: int, threads: int
    ) -> dict[str, float]:
        """Measure what this machine can do at best, in a process that imports no framework."""
        from stagebench.machine.peak_rates import Ground, measure_rates  # other environments lack its imports

        _pin_threads(threads)
        rates = measure_rates(resources, Ground(files, Path(folder), file_bytes, threads))
        come_to_rest()
        return rates

    def call(self, target: Literal["pipeline", "inspector"], method: str, arguments: list[Any]) -> Any:
        """Call a method of the pipeline or of the inspector."""
        return getattr(getattr(self, target), method)(*arguments)

    def patch(self, target: str, replacement: str) -> None:
        """Replace the object at a dotted path by the value of a Python expression, until `unpatch`.

        The expression sees the names of the target's module, and what it replaces as `original`. The
        mutants that the gate must catch are made with it.
        """
        from unittest import mock  # 0.02 s, for tests alone

        module, _, attribute = target.rpartition(":")
        owner: Any = import_module(module)
        names = dict(vars(owner))
        *path, name = attribute.split(".")
        for part in path:
            owner = getattr(owner, part)
        value = eval(replacement, {**names, "original": getattr(owner, name)})  # noqa: S307
        mock.patch.object(owner, name, value).start()

    def unpatch(self) -> None:
        """Undo every `patch`."""
        from unittest import mock

        mock.patch.stopall()

    def set_up(self, stage: str, folder: str, weights: str | None = None) -> None:
        """Bring the pipeline to where the stage begins; at a stage of deployment, with trained `weights`."""
        framework, case = FRAMEWORKS[self.case.framework], self.case
        suffix, start = framework.model_suffix, None
        if weights:
            case, suffix = in_float32(case), framework.export_format(case.deploy).suffix
            start = starting_point(self._new_pipeline, case, self.manifest, load_weights(Path(weights)))
        self.stage = STAGES[stage](
            self.pipeline,
            self._new_pipeline(case, self.manifest),
            self.workload,
            Path(folder, f"model{suffix}"),
            start,
            self.thorough,
        )
        gc.collect()
        gc.freeze()  # else each collection before a round walks the framework's own objects: 0.2 s

    def execute(self) -> Sample:
        """Execute the stage once and time it."""
        return timed(self.stage, self.pipeline.synchronize)

    def peaks(self) -> dict[str, int | None]:
        """Highest memory so far: `peak_rss_bytes` of this process, and `peak_gpu_bytes`."""
        return {"peak_rss_bytes": self._peak_rss_bytes(), "peak_gpu_bytes": self.pipeline.peak_gpu_bytes()}

    def _peak_rss_bytes(self) -> int:
        status = Path("/proc/self/status")
        if status.exists():
            # Not ru_maxrss: that one starts at the size which the parent had when it started this process.
            line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
            return int(line.split()[1]) * 1024
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def pictures(self) -> Pictures:
        """Show what the case's images look like."""
        return take_pictures(self.module.Pipeline, self.case, self.workload, self.manifest)

    def profile(self, path: str) -> list[Operation]:
        """Execute the stage once more under the framework's profiler; see `Pipeline.profile`."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return self.stage.profile(Path(path))

    def _new_pipeline(self, case: Case, manifest: Manifest) -> Pipeline:
        pipeline: Pipeline = self.module.Pipeline(case, self.workload, manifest)
        return pipeline


def _set_environment(framework: Framework, device: str) -> None:
    """Set the variables that a framework must find when it is imported."""
    os.environ.update(framework.environment)
    if device == "cpu":
        # With a GPU in sight, Keras compiles a model by XLA, on the CPU too.
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def _pin_threads(threads: int) -> None:
    """Give this process as many processors as it was given threads by `THREAD_VARIABLES`.

    The processors decide: all libraries count those that they may use, and threads that no setting
    reaches (tf.data's own) share them too. macOS cannot bind a process, and has the variables alone.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _die_with_parent() -> None:
    """Leave Ctrl-C to the pytest process, and never outlive it, even if it is killed.

    Loader processes are stopped and continued with this process: they are its group.

    Where memory runs out, the system is to end this process and not the one that holds the results.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setpgid(0, 0)
    kill_with_parent()
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # e.g. /proc is read-only
            Path("/proc/self/oom_score_adj").write_text("1000")
