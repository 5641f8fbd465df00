"""What the options of `pytest benchmarks` select, and what wrong ones get."""

from __future__ import annotations

import pytest

from stagebench.stages import STAGES
from suite import BENCHMARKS

STAGE = BENCHMARKS / "test_training.py"


def collected(result):
    return [line for line in result.outlines if "::test_" in line]


def test_every_stage_has_one_test_for_each_case(suite):
    result = suite.run(
        "--batch-sizes=16,32",
        "--workers=0,2",
        "--cache=off,on",
        "--augment=off,on",
        "--collect-only",
        "-q",
        frameworks="torch,tensorflow",
    )

    tests = collected(result)
    # Three stages load data. torch: 2 x 2 x 2 x 2; tensorflow, which chooses its own workers: 2 x 2 x 2
    assert sum("[torch-" in test for test in tests) == 3 * 16 + 3
    assert sum("[tensorflow-" in test for test in tests) == 3 * 8 + 3
    assert len(set(tests)) == len(tests) == 78


def test_stages_come_in_the_order_of_the_pipeline(suite):
    result = suite.run("--collect-only", "-q", "--cache=on")

    files = [test.rpartition("/")[2].partition(".py")[0] for test in collected(result)]
    assert files == [
        "test_data_loading",
        "test_model_building",
        "test_training",
        "test_model_saving",
        "test_model_loading",
        "test_evaluation",
    ]


def test_ids_hold_the_case_and_no_version(suite):
    result = suite.run("--collect-only", "-q", "--stages=training", "--cache=off", frameworks="torch")

    (test,) = collected(result)
    assert test.endswith(
        "test_training.py::test_training[torch-cpu-batch32-workers0-cache_off-augment_on-matched]"
    )


def test_correctness_tests_are_collected_where_no_times_are_taken_and_nowhere_else(suite):
    timed = suite.run("--collect-only", "-q", f"--stages={','.join(STAGES)}")
    skipped = suite.run("--collect-only", "-q", "--benchmark-skip")

    assert "deselected" not in timed.stdout.str()
    assert not any("/correctness/" in line for line in timed.outlines)
    assert any("/correctness/test_gate.py::" in line for line in skipped.outlines)


def test_k_selects_cases(suite):
    result = suite.run("-k", "training and cache_on", "--collect-only", "-q")

    assert len(collected(result)) == 1


def test_a_repeated_value_counts_once(suite):
    result = suite.run("--batch-sizes=16,16", "--stages=training", "--cache=on", "--collect-only", "-q")

    assert len(collected(result)) == 1


def test_an_option_wins_over_its_preset(suite):
    options = ("--preset=article", "--workers=0", "--augment=on", "--cache=off", "--stages=training")
    result = suite.run(*options, "--collect-only", "-q", frameworks="torch")

    assert [size for size in (16, 32, 64) if f"batch{size}-" in result.stdout.str()] == [16, 32, 64]
    assert len(collected(result)) == 3


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--frameworks=jax",
            "argument --frameworks: unknown value 'jax'; known: torch, tensorflow, simulated",
        ),
        ("--devices=tpu", "argument --devices: unknown value 'tpu'; known: cpu, cuda"),
        (
            "--stages=training,fitting",
            "argument --stages: unknown value 'fitting'; known: data_loading, model_",
        ),
        ("--recipes=secret", "argument --recipes: unknown value 'secret'; known: matched, published"),
        ("--preset=huge", "argument --preset: unknown value 'huge'; known: quick, article, large"),
        ("--cache=maybe", "argument --cache: unknown value 'maybe'; known: off, on"),
        ("--batch-sizes=0", "argument --batch-sizes: '0' is not a whole number of 1 or more"),
        ("--batch-sizes=-1", "argument --batch-sizes: '-1' is not a whole number of 1 or more"),
        ("--batch-sizes=32,abc", "argument --batch-sizes: 'abc' is not a whole number of 1 or more"),
        ("--batch-sizes=", "argument --batch-sizes: '' is not a whole number of 1 or more"),
        ("--workers=-2", "argument --workers: '-2' is not a whole number of 0 or more"),
        ("--rounds=0", "argument --rounds: '0' is not a whole number of 1 or more"),
        ("--learning-rate=nan", "argument --learning-rate: 'nan' is not a number above 0"),
        ("--report=/", "argument --report: '/' is a folder; give the path of a file in it"),
        (
            "--report=/dev/null/a.html",
            "argument --report: '/dev/null/a.html' cannot be written: '/dev/null' is",
        ),
        ("--benchmark-json=/", "argument --benchmark-json: '/' is a folder; give the path of a file in it"),
        (
            f"--benchmark-json={'a' * 250}.json",  # as long as a name may be, and longer while it is written
            "cannot be written: File name too long",
        ),
        (f"--report={'a' * 300}", "cannot be written: File name too long"),
        (
            "--benchmark-histogram=/dev/null/plot",
            "argument --benchmark-histogram: '/dev/null/plot-GROUP.svg' cannot be written: '/dev/null' is",
        ),
        (
            "--benchmark-group-by=group,param:batch",
            "argument --benchmark-group-by: unknown value 'param:batch'; known: group, name, func, ",
        ),
        (
            "--benchmark-cprofile=cumtime",
            "--benchmark-cprofile sees only the replay of times that worker processes have taken; "
            "instead: --profile FOLDER",
        ),
        ("--benchmark-cprofile-dump=p", "--benchmark-cprofile-dump sees only the replay of times"),
        ("--benchmark-min-rounds=9", "have taken; instead: --rounds, --processes, --within"),
        ("--benchmark-timer=time.process_time", "--benchmark-timer sees only the replay of times"),
        (f"--benchmark-histogram={STAGE}", f"--benchmark-histogram has taken {STAGE} for itself"),
    ],
)
def test_a_wrong_value_is_a_usage_error_that_names_the_known_ones(suite, option, message):
    result = suite.run(option, frameworks="simulated")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str().replace("\n", " ")
    assert "Traceback" not in result.stderr.str()


def test_a_framework_that_is_not_installed_is_skipped_with_the_reason(suite, hide):
    hide("torch")
    result = suite.run("--cache=on", "-rs", frameworks="torch,simulated")

    result.assert_outcomes(passed=6, skipped=6)
    result.stdout.fnmatch_lines("*torch: torch not installed here; try: pip install torch torchvision")


def test_without_any_framework_the_error_says_what_to_install(suite, monkeypatch):
    (suite.folder / "hide.py").write_text(
        "import importlib.util\n"
        "find_spec = importlib.util.find_spec\n"
        "hidden = ('torch', 'tensorflow')\n"
        "importlib.util.find_spec = lambda name, *a: None if name in hidden else find_spec(name, *a)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(suite.folder))
    result = suite.run("-p", "hide", frameworks=None, fresh=True)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        "ERROR: no framework is installed here; try: pip install torch torchvision or *"
    )


def test_no_framework_without_another_interpreter_is_a_usage_error(suite):
    result = suite.run(frameworks="none")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--frameworks=none needs --env, which says where else a framework is" in result.stderr.str()


def test_cuda_without_a_gpu_is_skipped_with_the_reason(suite, monkeypatch):
    monkeypatch.setenv("PATH", "")  # no nvidia-smi, whatever the machine has
    result = suite.run("--devices=cpu,cuda", "--cache=on", "--stages=training", "-rs", fresh=True)

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines("*no NVIDIA GPU here: nvidia-smi lists none")


def test_a_run_that_has_measured_nothing_is_no_success(suite, monkeypatch):
    monkeypatch.setenv("PATH", "")
    result = suite.run("--devices=cuda", "--cache=on", "--stages=training", fresh=True)

    result.assert_outcomes(skipped=1)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(
        ["1 case skipped: no NVIDIA GPU here*", "stagebench: nothing was measured: every case was skipped"]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "*no-such-folder*"),
        (lambda folder: (folder / "train/a").mkdir(parents=True), "*test*"),
    ],
)
def test_a_wrong_data_set_ends_the_session_before_any_timing(suite, make, message):
    folder = suite.folder / "no-such-folder"
    make(folder)
    result = suite.run(f"--dataset={folder}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(f"*data set: {message}")
    assert "Traceback" not in result.stdout.str()
    assert suite.saved() == []
