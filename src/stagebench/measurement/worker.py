"""The inside of a worker process: the one place where a framework is imported and time is taken."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, Literal
from unittest import mock

from stagebench.case import Case, Stage, Workload
from stagebench.dataset import Manifest
from stagebench.measurement.sample import Sample
from stagebench.measurement.stages import STAGE_RUNS, StageRun
from stagebench.measurement.wire import decode, encode
from stagebench.pipelines import FRAMEWORKS, Framework
from stagebench.pipelines.contract import Inspector, Pipeline, UnavailableError


def serve(channel: Any) -> None:
    """Answer requests `(method of Worker, arguments)` until the channel closes."""
    _die_with_parent()
    worker = Worker()
    for method, arguments in channel:
        try:
            reply = ("done", encode(getattr(worker, method)(**decode(arguments))))
        except UnavailableError as reason:
            reply = ("unavailable", str(reason))
        except Exception:
            reply = ("failed", traceback.format_exc())
        channel.send(reply)


class Worker:
    """Holds one case's pipeline, and one stage of it at a time."""

    case: Case
    workload: Workload
    pipeline: Pipeline
    inspector: Inspector
    stage_run: StageRun

    def open(self, module: str, case: dict[str, Any], workload: dict[str, Any], manifest: str) -> Any:
        """Import the framework and make the case's pipeline; returns its `Facts`."""
        self.case, self.workload = Case(**case), Workload(**workload)
        _set_environment(FRAMEWORKS[self.case.framework], self.case.device)
        self.module, self.manifest = import_module(module), Manifest.load(Path(manifest))
        self.pipeline = self._new_pipeline()
        return self.pipeline.facts()

    def inspect(self, framework: str, arguments: dict[str, Any]) -> None:
        """Import the framework and make its `contract.Inspector`, on the CPU."""
        _set_environment(FRAMEWORKS[framework], "cpu")
        self.inspector = import_module(f"{FRAMEWORKS[framework].module}.inspection").Inspector(**arguments)

    def call(self, target: Literal["pipeline", "inspector"], method: str, arguments: list[Any]) -> Any:
        """Call a method of the pipeline or of the inspector."""
        return getattr(getattr(self, target), method)(*arguments)

    def patch(self, target: str, replacement: str) -> None:
        """Replace the object at a dotted path by the value of a Python expression, until `unpatch`.

        The expression sees the names of the target's module, and what it replaces as `original`. The
        mutants that the gate must catch are made with it.
        """
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
        mock.patch.stopall()

    def set_up(self, stage: Stage, folder: str) -> None:
        """Bring the pipeline to where the stage begins."""
        suffix = FRAMEWORKS[self.case.framework].model_suffix
        self.stage_run = STAGE_RUNS[stage](
            self.pipeline, self._new_pipeline(), self.workload, Path(folder, f"model{suffix}")
        )
        gc.collect()
        gc.freeze()  # else each collection before a round walks the framework's own objects: 0.2 s

    def execute(self) -> Sample:
        """Execute the stage once and time it."""
        stage_run, synchronize = self.stage_run, self.pipeline.synchronize
        stage_run.prepare()
        gc.collect()
        gc.disable()
        try:
            synchronize()
            cpu_start = _cpu_seconds()
            start = perf_counter()
            result = stage_run.run()
            synchronize()
            seconds = perf_counter() - start
            cpu_seconds = _cpu_seconds() - cpu_start
        finally:
            gc.enable()
        return Sample(seconds, cpu_seconds, stage_run.outcome(result))

    def peak_rss_bytes(self) -> int:
        """Highest resident memory of this process so far."""
        status = Path("/proc/self/status")
        if status.exists():
            # Not ru_maxrss: that one starts at the size which the parent had when it started this process.
            line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
            return int(line.split()[1]) * 1024
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def _new_pipeline(self) -> Pipeline:
        pipeline: Pipeline = self.module.Pipeline(self.case, self.workload, self.manifest)
        return pipeline


def _set_environment(framework: Framework, device: str) -> None:
    """Set the variables that a framework must find when it is imported."""
    os.environ.update(framework.environment)
    if device == "cpu":
        # With a GPU in sight, Keras compiles a model by XLA, on the CPU too.
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _die_with_parent() -> None:
    """Leave Ctrl-C to the pytest process, and never outlive it, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
