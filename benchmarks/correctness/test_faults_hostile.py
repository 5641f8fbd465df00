"""Nobody gets in: model files, saved results and options of a stranger run nothing and show nothing false.

Archives of CIFAR-100 have tests of their own, in test_dataset_cifar100.py.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import marshal
import os
import pickle
import re
import sys
import zipfile
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saved_runs import HOSTILE, matrix, nightly, saved_run
from stagebench.cli import main
from stagebench.frameworks import INSTALLED
from stagebench.run.environments import Environment
from stagebench.run.process import WorkerProcess

OWNED = "owned-by-a-stranger"


@pytest.fixture
def owned(tmp_path, monkeypatch):
    """Run the test in a folder in which hostile code would leave a file; there must be none in the end."""
    monkeypatch.chdir(tmp_path)
    trap = tmp_path / OWNED
    yield trap
    assert not trap.exists(), "a stranger's code has run"


# --- model files


class _Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def plain_pickle(path, trap):
    path.write_bytes(pickle.dumps({"model": _Touch(trap), "optimizer": {}}, protocol=2))


def torch_archive(path, trap):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"model": _Touch(trap), "optimizer": {}}, protocol=2))
        archive.writestr("model/version", "3\n")
        archive.writestr("model/byteorder", "little")


def keras_archive(path, layer):
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "model", "layers": [layer], "build_input_shape": [None, 32, 32, 3]},
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0", "date_saved": ""}))
        archive.writestr("model.weights.h5", b"")


def keras_lambda(path, trap):
    code = compile(f"lambda x: __import__('os').system('touch {trap}')", "", "eval").co_consts[0]
    body = base64.b64encode(marshal.dumps(code)).decode()
    function = {"class_name": "__lambda__", "config": {"code": body, "defaults": None, "closure": None}}
    keras_archive(path, {"module": "keras.layers", "class_name": "Lambda", "config": {"function": function}})


def keras_function(path, trap):
    config = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    keras_archive(path, {"module": "keras.layers", "class_name": "Lambda", "config": {"function": config}})


def keras_class(path, trap):
    keras_archive(
        path, {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", str(trap)]}}
    )


def numpy_pickle(path, trap):
    path.write_bytes(pickle.dumps(_Touch(trap)))


def numpy_archive(path, trap):
    with path.open("wb") as file:
        np.savez(file, np.array([_Touch(trap)], dtype=object))


MODELS = [
    *[("torch", recipe, make) for recipe in ("matched", "tuned") for make in (plain_pickle, torch_archive)],
    *[("torch", "published", make) for make in (plain_pickle, torch_archive)],
    *[("tensorflow", "matched", make) for make in (keras_lambda, keras_function, keras_class)],
    *[("tensorflow", "tuned", make) for make in (numpy_pickle, numpy_archive)],
    ("simulated", "matched", numpy_pickle),
]


@pytest.mark.fault(
    "a hostile model file: pickle, torch archive, Keras Lambda or class",
    "refused, runs nothing; no option loads it",
)
@pytest.mark.parametrize(("maker", "recipe", "make"), MODELS)
def test_a_hostile_model_file_is_refused_and_runs_nothing(failing, process_of, owned, maker, recipe, make):
    if maker not in (*INSTALLED, "simulated"):
        pytest.skip(f"{maker} is not installed")
    path = owned.with_name("model.keras" if maker == "tensorflow" else "model.npy")
    make(path, owned)
    load = ("call", {"target": "pipeline", "method": "load_model", "arguments": [str(path)]})

    failing(maker, load, worker=process_of(maker), recipe=recipe)

    assert not owned.exists()


# --- saved results

VALUES = st.one_of(
    st.sampled_from(
        [
            HOSTILE,
            "\x1b[31m\x07\x1b]0;title\x07",
            "../../../etc/passwd",
            "x" * 100_000,
            "",
            10**400,
            1e308,
            5e-324,
            -1,
            0,
            float("nan"),
            float("inf"),
            None,
            True,
            [],
            {},
            [[[]]],
            {HOSTILE: HOSTILE},
        ]
    ),
    st.just("no such key"),
    st.text(max_size=20),
    st.integers(),
)
GONE = "no such key"
RUN = saved_run(matrix((32,), (0,), ("on",)), stages=("training", "model_saving"), file_bytes=1000)


def places(content):
    """Yield every place in nested JSON: the container, and the key or index in it."""
    for key in list(content) if isinstance(content, dict) else range(len(content)):
        yield content, key
        if isinstance(content[key], (dict, list)):
            yield from places(content[key])


def outcome(*arguments):
    """Return the exit code of a command, and what it has said."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as error:
        code = main([*map(str, arguments)])
    return code, out.getvalue(), error.getvalue()


@pytest.mark.fault(
    "a saved run with scripts, terminal escapes, NaN, huge numbers",
    "shown as text, or refused in a sentence by `report`, `compare`, `history`",
)
@pytest.mark.parametrize(
    "examples", [50, pytest.param(150, marks=pytest.mark.nightly("three times as many"))]
)
def test_a_saved_run_with_hostile_values_is_shown_as_text_or_refused_in_a_sentence(
    tmp_path_factory, examples
):
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.integers(0, 10**6), VALUES), min_size=1, max_size=3))
    def try_changes(changes):
        show_changed_run(tmp_path_factory.mktemp("runs"), changes)

    try_changes()


def show_changed_run(folder, changes):
    run = deepcopy(RUN)
    for number, value in changes:
        found = list(places(run))
        container, key = found[number % len(found)]
        if value == GONE:
            del container[key]
        else:
            container[key] = deepcopy(value)  # else it could come to hold itself
    paths = nightly([deepcopy(RUN) | {"datetime": "2026-09-01"}, deepcopy(RUN)], folder)
    hostile = folder / "hostile.json"
    hostile.write_text(json.dumps(run))

    for arguments in (
        ("report", hostile, "-o", folder / "out.html"),
        ("report", hostile, "--format=markdown"),
        ("compare", paths[0], hostile),
        ("compare", hostile, paths[0], "--format=markdown"),
        ("history", folder, "-o", folder / "history.html"),
    ):
        code, said, error = outcome(*arguments)
        assert code in (0, 1, 2)
        assert all(letter.isprintable() or letter in "\n\t" for letter in said + error)
        if code == 2 and not said:
            assert error.startswith("stagebench: ")
            assert error.count("\n") == 1
        if "--format=markdown" in arguments:
            assert "<script>hit" not in re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", said)  # code is text
    for page in folder.glob("*.html"):
        assert "<script>hit" not in page.read_text()


BAD_JSON = {
    "100,000 lists": "[" * 100_000,
    "100,000 objects": '{"a":' * 100_000,
    "100,000 digits": "1" * 100_000,
    "cut": '{"benchmarks": [{"stats',
}


@pytest.mark.fault("a saved run that is nested 100,000 deep, huge or cut", "refused in a sentence")
@pytest.mark.parametrize("command", ["report", "compare"])
@pytest.mark.parametrize("fault", BAD_JSON)
def test_deep_huge_or_cut_json_is_refused_in_a_sentence(tmp_path, command, fault):
    path = tmp_path / "run.json"
    path.write_text(BAD_JSON[fault])

    code, said, error = outcome(command, *([path, path] if command == "compare" else [path]))

    assert (code, said) == (2, "")
    assert error.startswith(f"stagebench: {path} is not ")
    assert error.count("\n") == 1


# --- options

SHELL = f"a; touch {OWNED}; $(touch {OWNED}) `touch {OWNED}` | && 'q\" = % //"


@pytest.mark.fault("an interpreter in a folder named `a; touch b`", "started, runs nothing else")
def test_an_interpreter_in_a_folder_with_a_hostile_name_is_started_as_it_is(owned, tmp_path):
    folder = tmp_path / SHELL.replace("/", "_")
    folder.mkdir()
    (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "python").chmod(0o700)
    environment = Environment.parse(f"torch@1={folder}/python")

    with WorkerProcess("case", tmp_path, environment.python) as worker:
        assert worker.request("unpatch") is None


@pytest.mark.fault("shell syntax in options", "a value, or refused")
def test_options_with_shell_syntax_are_values_or_refused(owned, suite, monkeypatch):
    monkeypatch.setenv("STAGEBENCH_CACHE", str(suite.folder / SHELL))
    options = ("--cache=on", "--stages=training")

    suite.run(*options, f"--report={SHELL.replace('/', '_')}.html").assert_outcomes(passed=1)
    for option in (f"--dataset={SHELL}", f"--dataset=cifar100:{SHELL}", f"--env=torch@{SHELL}=python"):
        assert suite.run(*options, option).ret not in (0, 1)
    assert not list(suite.folder.rglob(OWNED))
