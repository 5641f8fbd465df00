"""Runs the suite again and again while worker processes and pytest itself are killed, and looks for damage.

    python benchmarks/soak.py --minutes 120 -- --cache=on

An undisturbed run says what every result must look like. Then, every minute or so, something is killed: a
worker process, one of its loader processes, or pytest (SIGKILL, SIGTERM, Ctrl-C), which goes on with
`--resume`. In the end it is left alone and completes the rest. The exit code is 1 where anything was damaged,
lost or left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

BENCHMARKS = Path(__file__).parent
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # looked at, not written to
LOG = Path("soak.log")
"""What the last session has printed."""
TEMPORARY = Path("tmp")
"""Where the sessions keep temporary files; nothing must be there in the end."""
ENDS = {"kill -9": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}
SAME = ("framework_version", "images", "threads", "workload", "dataset_fingerprint", "layers")
"""What the extra_info of a result has in common with that of the undisturbed run."""
EXPECTED = (0, 1, 2, *(-number for number in ENDS.values()))
"""Exit status of a session: well, a case failed, interrupted, ended before it was ready to be interrupted."""
LOSS_RANGE = 2.0
"""By which factor losses of the same case may differ: with the order in which threads come to add."""
GONE_SECONDS = 30.0
"""How long processes may take to go after pytest has ended."""


@dataclass
class Soak:
    """What was done so far, and what was found wrong."""

    options: list[str]
    chance: random.Random
    expected: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The undisturbed run's extra_info, by test."""
    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    """How often each test has had a result."""
    footprints: list[tuple[int, int]] = field(default_factory=list)
    """Resident bytes and open files of each session's pytest process, at most."""
    damage: list[str] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    """Groups that sessions have finished since the last one that came to its end."""

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """Start pytest; what it prints goes to a file."""
        command = [sys.executable, "-m", "pytest", str(BENCHMARKS), "-p", "no:cacheprovider"]
        with LOG.open("wb") as log:
            return subprocess.Popen(
                [*command, *self.options, *more],
                stdout=log,
                stderr=log,
                env={**os.environ, "TMPDIR": str(TEMPORARY.absolute())},
                # a shell's background job hands on that Ctrl-C is to be ignored
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def watch(self, process: subprocess.Popen[bytes], until: float, every: float | None) -> None:
        """Wait for the end of a session; kill something now and then, unless `every` is None."""
        pytest, children = psutil.Process(process.pid), set[psutil.Process]()
        largest, most = 0, 0
        before = {path.name for path in SHARED_MEMORY.iterdir()}
        next_kill = time.monotonic() + self._pause(every)
        while process.poll() is None:
            try:
                children |= set(pytest.children(recursive=True))
                largest, most = max(largest, pytest.memory_info().rss), max(most, pytest.num_fds())
            except psutil.NoSuchProcess:
                break
            if every and time.monotonic() > until:
                self._end(process, "SIGTERM")
                every = None
            if every and time.monotonic() > next_kill:
                self._kill_something(process, children)
                next_kill = time.monotonic() + self._pause(every)
            time.sleep(0.5)
        process.wait()
        self.footprints.append((largest, most))
        self.ends[str(process.returncode)] += 1
        if process.returncode not in EXPECTED:
            self.damage.append(f"pytest ended with {process.returncode}: {LOG.read_text()[-2000:]}")
        psutil.wait_procs(children, timeout=GONE_SECONDS)
        self.damage += [f"{child} outlived pytest" for child in children if is_alive(child)]
        left = {path.name for path in SHARED_MEMORY.iterdir()} - before
        self.damage += [f"{name} is left in {SHARED_MEMORY}" for name in left if name.startswith("torch")]
        self._read_results()
        self._look_for_losses(process.returncode)

    def _look_for_losses(self, status: int) -> None:
        """What an interrupted session has finished, the next one must take and not measure again."""
        lines = re.findall(r"^\[\d+/\d+\] (\w+: [^;:]+)([;:].*)$", LOG.read_text(), re.MULTILINE)
        taken = {group for group, outcome in lines if outcome.endswith("taken from the interrupted run")}
        well = {group for group, outcome in lines if outcome.startswith(";") and "FAILED" not in outcome}
        again = {group for group, _ in lines if group in self.finished} - taken
        self.damage += [f"{group} was finished, and measured again" for group in again]
        self.finished |= well
        if status == 0:
            self.finished.clear()

    def _pause(self, every: float | None) -> float:
        return self.chance.expovariate(1 / every) if every else float("inf")

    def _kill_something(self, process: subprocess.Popen[bytes], children: set[psutil.Process]) -> None:
        alive = sorted((child for child in children if child.is_running()), key=lambda child: child.pid)
        if alive and self.chance.random() < 0.6:
            try:
                self.chance.choice(alive).kill()
                self.kills["a process of a worker"] += 1
            except psutil.NoSuchProcess:
                pass
        else:
            self._end(process, self.chance.choice(list(ENDS)))

    def _end(self, process: subprocess.Popen[bytes], how: str) -> None:
        process.send_signal(ENDS[how])
        self.kills[f"pytest: {how}"] += 1

    def _read_results(self) -> None:
        for path in sorted(set(Path(".benchmarks").glob("*/*.json")) - self.seen):
            self.seen.add(path)
            try:
                benchmarks = json.loads(path.read_bytes())["benchmarks"]
            except ValueError as error:
                self.damage.append(f"{path} is no JSON: {error}")
                continue
            for benchmark in benchmarks:
                self._compare(benchmark["fullname"], benchmark["extra_info"])

    def _compare(self, name: str, info: dict[str, Any]) -> None:
        expected = self.expected.setdefault(name, info)
        self.survived[name] += 1
        if info.keys() != expected.keys():
            self.damage.append(f"{name} has other keys: {sorted(info.keys() ^ expected.keys())}")
        different = [key for key in SAME if info.get(key) != expected.get(key)]
        self.damage += [f"{name}: {key} is {info.get(key)}, was {expected.get(key)}" for key in different]
        if info["loss"] and not 1 / LOSS_RANGE < info["loss"] / expected["loss"] < LOSS_RANGE:
            self.damage.append(f"{name}: the loss is {info['loss']}, was {expected['loss']}")


def is_alive(process: psutil.Process) -> bool:
    """Say whether a process still does anything."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def main() -> int:
    """Run the soak, print what happened, and say by the exit code whether anything was damaged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0, help="how long things are killed")
    parser.add_argument("--every", type=float, default=60.0, help="mean seconds between two kills")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed when")
    parser.add_argument("options", nargs="*", help="of `pytest benchmarks`")
    chosen = parser.parse_args()
    if list(Path(".benchmarks").glob("*/*.json")):
        parser.error("start in an empty folder: its .benchmarks/ holds the results")
    TEMPORARY.mkdir(exist_ok=True)
    soak = Soak(chosen.options, random.Random(chosen.seed))
    soak.watch(soak.start(), until=float("inf"), every=None)
    if soak.ends != {"0": 1}:
        parser.error("the undisturbed run has failed; see soak.log")
    began = time.monotonic()
    while (until := began + 60 * chosen.minutes) > time.monotonic():
        soak.watch(soak.start("--resume"), until, chosen.every)
        print(f"\nafter {(time.monotonic() - began) / 60:.0f} min")  # noqa: T201
        summarise(soak)
    before = len(soak.seen)
    soak.watch(soak.start("--resume"), until=float("inf"), every=None)
    complete = len(soak.seen) == before + 1 and not any(Path(".benchmarks/journal").iterdir())
    soak.damage += [] if complete else ["the last --resume has not completed what was left"]
    soak.damage += [f"{path} is left" for path in TEMPORARY.iterdir()]
    summarise(soak)
    return 1 if soak.damage else 0


def summarise(soak: Soak) -> None:
    """Print the figures."""
    third = max(1, len(soak.footprints) // 3)
    first, last = soak.footprints[:third], soak.footprints[-third:]
    memory = [median(bytes_ for bytes_, _ in part) / 2**20 for part in (first, last)]
    files = [median(files for _, files in part) for part in (first, last)]
    lines = [
        f"sessions: {len(soak.footprints)}, by exit status: {dict(soak.ends)}",
        f"killed: {dict(soak.kills)}",
        f"results: {sum(soak.survived.values())} of {len(soak.expected)} tests, of each "
        f"{min(soak.survived.values())} to {max(soak.survived.values())}",
        f"pytest, first and last third of the sessions: {memory[0]:.0f} and {memory[1]:.0f} MiB, "
        f"{files[0]:.0f} and {files[1]:.0f} open files, at most",
        *(f"DAMAGE: {damage}" for damage in soak.damage or ["none"]),
    ]
    print("\n".join(lines), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
