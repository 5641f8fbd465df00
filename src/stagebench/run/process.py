"""The outside of a worker process: start it, ask it, and say what became of it."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import time
from collections.abc import Mapping
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
from stagebench.run.wire import decode, encode

STDERR_LINES = 30
"""How many of its last lines on stderr are shown when a worker process died."""
STDERR_BYTES = 10_000
"""How much of it is looked at."""
IDLE_SECONDS = 300.0
"""A worker process that is asked for something and computes nothing for so long hangs, or was stopped."""
IDLE_SHARE = 0.001
"""How much of that time it computes at most: threads that only wait wake up now and then."""
START_SECONDS = 60.0
"""How long an interpreter may take to answer, before it imports anything."""


class WorkerError(Exception):
    """The worker process died, or its pipeline raised. The message is for the user."""


def _remote_main(channel):  # type: ignore[no-untyped-def]  # its source is sent to the new process
    import os as process_os
    import sys as process_sys

    folder, log, source_folder, variables = channel.receive()
    process_os.dup2(process_os.open(log, process_os.O_WRONLY | process_os.O_CREAT, 0o600), 2)
    process_os.environ["TMPDIR"] = process_os.environ["KERAS_HOME"] = folder  # nothing is left elsewhere
    process_os.environ.update(variables)
    process_sys.path.append(source_folder)  # last: another environment's own packages come first
    channel.send(process_os.getpid())
    from stagebench.run.worker import serve

    serve(channel)


class WorkerProcess:
    """A fresh Python process for one case. Use it as a context manager: it ends with the block.

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
        pinned = dict.fromkeys(THREAD_VARIABLES, str(threads)) if threads else {}
        variables = {**pinned, **(variables or {})}
        self._log = folder / "stderr.txt"
        self._group = execnet.Group()
        specification = f"popen//python={shlex.quote(python)}//execmodel=main_thread_only"
        try:
            self._channel = self._group.makegateway(specification).remote_exec(_remote_main)
            self._channel.send((str(folder), str(self._log), str(Path(__file__).parents[2]), variables))
            self._process = psutil.Process(self._channel.receive(START_SECONDS))
        except Exception as error:  # execnet raises what it comes upon, an AssertionError too
            self._group.terminate(timeout=5)
            raise WorkerError(
                f"{name}: {python} could not be started as a worker process: {error!r}"
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

    def receive(self, timeout: float | None = None, doing: str = "", option: str = "--stage-timeout=") -> Any:
        """Return what the method returned; `doing` says what it is, should it take too long.

        The `option` is where the timeout comes from.

        Raises:
            WorkerError: the process died, its pipeline raised, or no answer came within `timeout` seconds.
            UnavailableError: the machine lacks what the case needs.

        """
        try:
            status, value = self._wait(timeout, f"{option}{timeout or 0:g} s", doing)
        except self._channel.RemoteError as error:
            raise WorkerError(f"{self.name}: the worker process failed\n{error}") from None
        except EOFError:
            raise WorkerError(self._obituary()) from None
        if status == "unavailable":
            raise UnavailableError(value)
        if status == "failed":
            raise WorkerError(f"{self.name}: {value}")
        return decode(value)

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

    def close(self) -> None:
        """End the process and its loader processes at once; there is nothing in them to keep."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [*self._process.children(recursive=True), self._process]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self._group.terminate(timeout=5)

    def _wait(self, timeout: float | None, limit: str, doing: str) -> Any:
        """Return the next message; a process that takes too long, or computes nothing any more, is ended."""
        deadline = inf if timeout is None else time.monotonic() + timeout
        computed, since = inf, time.monotonic()  # asked for later: it would disturb a short round
        while True:
            with contextlib.suppress(self._channel.TimeoutError):
                return self._channel.receive(max(0.0, min(deadline - time.monotonic(), IDLE_SECONDS / 10)))
            if time.monotonic() >= deadline:
                raise WorkerError(self._hang(f"took longer than {limit}", doing))
            now = self._cpu_seconds()
            if abs(now - computed) > IDLE_SHARE * IDLE_SECONDS:
                computed, since = now, time.monotonic()
            elif time.monotonic() - since > IDLE_SECONDS:
                raise WorkerError(self._hang(f"has computed nothing for {IDLE_SECONDS:g} s", doing))

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

    def _last_lines(self) -> str:
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - STDERR_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-STDERR_LINES:]
        return "\n".join(["its last lines on stderr:", *lines]) if lines else "it wrote nothing to stderr"
