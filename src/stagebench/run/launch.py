"""Starts the Python of a worker process so that nothing printed on the way reaches the parent.

It is run as a script, by its path. Before that Python answers it runs what others have put in its way: a
wrapper script, `sitecustomize`, `.pth` files. What these print goes to the log, as the pipe by which the
process answers waits under another number.
"""

from __future__ import annotations

import os
import sys

PIPE = 3
"""File descriptor of the pipe to the parent, until Python is up."""
TAKE_PIPE = f"""
import os, sys
try:
    os.dup2({PIPE}, 1)
except OSError:
    sys.exit("what starts this Python closes file descriptor {PIPE}, by which it is to answer")
os.close({PIPE})
"""


def cleaned(variables: dict[str, str]) -> dict[str, str]:
    """Return these environment variables as a worker process gets them.

    One that is empty counts as unset: CI passes on unset variables so, and some libraries take them for
    numbers. Only a list of devices may be empty. Modules of the working folder are not imported, even where
    PYTHONPATH has an empty entry.
    """
    path = os.pathsep.join(filter(None, variables.get("PYTHONPATH", "").split(os.pathsep)))
    given = {**variables, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    return {name: value for name, value in given.items() if value or name.endswith("_VISIBLE_DEVICES")}


def main(log: str, *words: str) -> None:
    """Take `LOG NAME=VALUE ... -- PYTHON ARGUMENT ... CODE`."""
    end = words.index("--")
    settings, (*command, code) = dict(word.split("=", 1) for word in words[:end]), words[end + 1 :]
    os.dup2(1, PIPE)
    log_file = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(log_file, 1)
    os.dup2(log_file, 2)
    variables = {**cleaned(dict(os.environ)), **settings}
    try:
        os.execvpe(command[0], [*command, TAKE_PIPE + code], variables)  # noqa: S606  # no shell sees it
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
