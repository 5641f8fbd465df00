"""The outside of a worker process: start it, ask it, and say what became of it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import execnet
import psutil

from stagebench.case import Case, Workload, plain
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks import THREAD_VARIABLES
from stagebench.frameworks.contract import UnavailableError
from stagebench.run import launch
from stagebench.run.wire import decode, encode

LOG_LINES = 30
"""How many of the last lines that it printed are shown when a worker process died."""
LOG_BYTES = 10_000
"""How much of it is looked at."""
IDLE_SECONDS = 300.0
"""A worker process that is asked for something and computes nothing for so long hangs, or was stopped."""
IDLE_SHARE = 0.001
"""How much of that time it computes at most: threads that only wait wake up now and then."""
LOOK_SECONDS = 0.0002
"""How long a process is looked at, to see whether it computes."""
COMPUTING = 0.7
"""Share of this time in which a process that computes has a processor at least."""
START_SECONDS = 60.0
"""How long an interpreter may take to answer, before it imports anything."""


class WorkerError(Exception):
    """The worker process died, or its pipeline raised. The message is for the user."""


def _remote_main(channel):  # type: ignore[no-untyped-def]  # its source is sent to the new process
    import os as process_os
    import sys as process_sys

    process_sys.path.append(channel.receive())  # last: another environment's own packages come first
    channel.send(process_os.getpid())
    from stagebench.run.worker import serve

    serve(channel)


@dataclass
class Patience:
    """How long a request may take. Only the time in which somebody waits for its answer counts."""

    timeout: float = inf
    """Seconds."""
    doing: str = ""
    """What the request is, should it take too long."""
    option: str = "--stage-timeout="
    """Where the timeout comes from."""
    waited: float = 0.0
    computed: float = inf
    """CPU seconds when the process was last seen to compute, in which nobody looks during a short round."""
    computed_at: float = 0.0
    """In seconds waited."""


class WorkerProcess:
    """A Python process for one case at a time. Use it as a context manager: it ends with the block.

    Requests come in two halves, `send` and `receive`, so that several processes can start at once.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        python: str = sys.executable,
        threads: int | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start the process.

        Args:
            name: what it is called in errors.
            folder: an existing one, for what the process writes.
            python: the interpreter.
            threads: how many the libraries in it may use; None: their own choice.
            variables: further environment variables.

        """
        self.name = name
        self.folder = folder
        pinned = dict.fromkeys(THREAD_VARIABLES, str(threads)) if threads else {}
        own = {"TMPDIR": str(folder), "KERAS_HOME": str(folder)}  # nothing is left elsewhere
        self._log = folder / "output.txt"
        self._group = execnet.Group()
        try:
            self._log.touch(mode=0o600)
            specification = _specification(python, self._log, {**own, **pinned, **(variables or {})})
            self._channel = self._group.makegateway(specification).remote_exec(_remote_main)
            self._channel.send(str(Path(__file__).parents[2]))
            self._process = psutil.Process(self._channel.receive(START_SECONDS))
            self._answer: Any = None
        except Exception as error:  # execnet raises what it comes upon, an AssertionError too
            self._group.terminate(timeout=5)
            raise WorkerError(
                f"{name}: {python} could not be started as a worker process: {self._why(error)}"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, method: str, /, **arguments: Any) -> None:
        """Ask for a method of `worker.Worker`."""
        with contextlib.suppress(OSError):  # a dead process: `receive` says how it died
            self._channel.send((method, encode(arguments)))

    def receive(self, patience: Patience | None = None) -> Any:
        """Return what the method returned.

        Raises:
            WorkerError: the process died, its pipeline raised, or the answer took too long.
            UnavailableError: the machine lacks what the case needs.

        """
        patience = patience or Patience()
        while not self.answers_within(IDLE_SECONDS / 10, patience):
            pass
        status, value = self._answer
        self._answer = None
        if status == "unavailable":
            raise UnavailableError(value)
        if status == "failed":
            raise WorkerError(f"{self.name}: {value}")
        return decode(value)

    def answers_within(self, seconds: float, patience: Patience) -> bool:
        """Wait so long for an answer, and say whether it is there for `receive`.

        Raises:
            WorkerError: the process died, has lost its time, or computes nothing any more: then it is ended.

        """
        if self._answer is not None:
            return True
        began = time.monotonic()
        try:
            self._answer = self._channel.receive(max(0.0, min(seconds, patience.timeout - patience.waited)))
        except self._channel.TimeoutError:
            pass
        except self._channel.RemoteError as error:
            raise WorkerError(f"{self.name}: the worker process failed\n{error}") from None
        except EOFError:
            raise WorkerError(self._obituary()) from None
        patience.waited += time.monotonic() - began
        if self._answer is None:
            self._check(patience)
        return self._answer is not None

    def request(self, method: str, /, **arguments: Any) -> Any:
        """Send and receive."""
        self.send(method, **arguments)
        return self.receive()

    def send_open(self, case: Case, workload: Workload, manifest: Manifest, **others: Any) -> None:
        """Ask to import the case's framework and to make its pipeline; `others` are further arguments."""
        self.send(
            "open",
            case=plain(case),
            workload=plain(workload),
            manifest=manifest.file,
            **others,
        )

    @property
    def lives(self) -> bool:
        """Whether the process has not ended, e.g. because memory ran out."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return bool(self._process.status() != psutil.STATUS_ZOMBIE)
        return False

    @property
    def can_pause(self) -> bool:
        """Whether the system can stop the process with its loader processes, and read its CPU clock."""
        if sys.platform != "linux":
            return False
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            # a wrapper of the interpreter may stand between; an older version of this package has no group
            own_child = self._process.ppid() == os.getpid()
            return own_child and os.getpgid(self._process.pid) == self._process.pid
        return False

    def pause(self) -> bool:
        """Stop the process with its loader processes, unless it is waiting for something.

        What it waits for, a sleep or a disk, would go on meanwhile, and the process would look faster than it
        is. Returns whether it stands still.
        """
        if not self._computes():
            return False
        os.killpg(self._process.pid, signal.SIGSTOP)
        # Returns when every thread stands still. What is seen stays to be seen by whoever waits for the end.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return True

    def resume(self) -> None:
        """Let a process that was paused go on."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the process and its loader processes at once; there is nothing in them to keep."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [*self._process.children(recursive=True), self._process]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self._group.terminate(timeout=5)

    def _check(self, patience: Patience) -> None:
        """End a process that takes too long, or computes nothing any more."""
        if patience.waited >= patience.timeout:
            limit = f"{patience.option}{patience.timeout:g} s"
            raise WorkerError(self._hang(f"took longer than {limit}", patience.doing))
        if patience.waited - patience.computed_at < IDLE_SECONDS / 10:
            return
        now = self._cpu_seconds()
        if abs(now - patience.computed) > IDLE_SHARE * IDLE_SECONDS:
            patience.computed, patience.computed_at = now, patience.waited
        elif patience.waited - patience.computed_at > IDLE_SECONDS:
            raise WorkerError(self._hang(f"has computed nothing for {IDLE_SECONDS:g} s", patience.doing))

    def cpu_clock(self) -> float | None:
        """Return the CPU seconds of the process so far, without help from it; None where that cannot be."""
        return _cpu_clock([self._process.pid]) if sys.platform == "linux" else None

    def _computes(self) -> bool:
        """Say whether the process or one of its loader processes computes at this moment."""
        pids = [self._process.pid]
        if _computing(pids):
            return True
        with contextlib.suppress(psutil.NoSuchProcess):
            pids += [child.pid for child in self._process.children(recursive=True)]
        return len(pids) > 1 and _computing(pids)

    def _cpu_seconds(self) -> float:
        """Return what the process and its children have computed so far."""
        seconds = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [self._process, *self._process.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    seconds += sum(process.cpu_times()[:4])
        return seconds

    def _hang(self, what: str, doing: str) -> str:
        """Say where the process is, and end it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(0.5)  # for the process to write its traceback, if it still can
        self.close()
        return f"{self.name} ({doing}) {what}; its worker process was ended; {self._last_lines()}"

    def _obituary(self) -> str:
        code = self._process.wait()
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                how += " (by hand, or by the system because memory ran out)"
        else:
            how = f"exited with status {code}"
        return f"{self.name}: the worker process {how}; {self._last_lines()}"

    def _why(self, error: Exception) -> str:
        """Say what kept the process from starting."""
        if isinstance(error, OSError) and error.strerror and not isinstance(error, BrokenPipeError):
            return error.strerror
        silent = isinstance(error, (AssertionError, EOFError, OSError))  # so says execnet that it has ended
        return f"{'it did not answer' if silent else repr(error)}; {self._last_lines()}"

    def _last_lines(self) -> str:
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - LOG_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join(["its last lines of output:", *lines]) if lines else "it printed nothing"


def _specification(python: str, log: Path, variables: Mapping[str, str]) -> execnet.XSpec:
    """Return what execnet is to start: an interpreter with these variables, by way of `launch.py`."""
    settings = [f"{name}={value}" for name, value in variables.items()]
    command = [sys.executable, "-I", "-S", launch.__file__, str(log), *settings, "--", python]
    specification = execnet.XSpec("popen//execmodel=main_thread_only")
    specification.python = shlex.join(command)  # not in the text above, which `//` in a path would part
    return specification


def _computing(pids: Sequence[int]) -> bool:
    began, before = time.perf_counter(), _cpu_clock(pids)
    time.sleep(LOOK_SECONDS)
    return _cpu_clock(pids) - before > COMPUTING * (time.perf_counter() - began)


def _cpu_clock(pids: Sequence[int]) -> float:
    """Return the CPU seconds of some processes, to the nanosecond, without help from them. Linux only."""
    seconds = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended
            seconds += time.clock_gettime((~pid << 3) | 2)  # see `man 3 clock_getcpuclockid`
    return seconds
