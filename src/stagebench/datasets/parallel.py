"""Work spread over processes, in order, with progress."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from stagebench.datasets.errors import DatasetError
from stagebench.datasets.processors import usable_threads

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

_Task = TypeVar("_Task")
_Item = TypeVar("_Item")


def processes_for(items: int, items_per_process: int) -> int:
    """Return how many processes are worth their start; 0: the calling process does it alone."""
    processes = min(usable_threads(), items // items_per_process)
    return processes if processes > 1 else 0


def run_tasks(
    function: Callable[[_Task], list[_Item]],
    tasks: Sequence[_Task],
    *,
    processes: int,
    what: str,
    total: int,
    progress: Progress,
) -> list[_Item]:
    """Return the items of `function(task)` for every task, in the order of the tasks.

    Args:
        function: a picklable function; what it raises is raised here.
        tasks: its arguments, each worth a fraction of a second.
        processes: how many processes to start; 0 runs everything in this one.
        what: names the work in `progress`.
        total: number of items that all tasks yield together.
        progress: called before the first task, and after every one.

    Raises:
        DatasetError: a process died.

    """
    if not tasks:
        return []
    progress(what, 0, total)
    items: list[_Item] = []
    for part in _results(function, tasks, processes):
        items += part
        progress(what, len(items), total)
    return items


def _results(
    function: Callable[[_Task], list[_Item]], tasks: Sequence[_Task], processes: int
) -> Iterator[list[_Item]]:
    if processes == 0:
        yield from map(function, tasks)
        return
    # Spawned, not forked: a fork copies the locks that the caller's other threads hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_die_with_parent) as pool:
        try:
            yield from pool.map(function, tasks)
        except BrokenProcessPool as error:
            raise DatasetError(
                "a process that prepared the data set died, perhaps for lack of memory: prepare it again"
            ) from error


def _die_with_parent() -> None:
    """Leave the terminal's Ctrl-C to the parent, and end when it ends, even if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def chunks(items: Sequence[_Task], size: int) -> list[Sequence[_Task]]:
    """Return the items in runs of `size`, the last one shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]
