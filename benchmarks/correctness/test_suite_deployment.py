"""The stages after the pipeline as the suite runs them: their cases, and what a failed check costs."""

from __future__ import annotations

import json
import sys

import pytest

from stagebench.run import trained
from stagebench.stages import DEPLOYMENT

DEPLOYED = f"--stages={','.join(DEPLOYMENT)}"


@pytest.fixture(autouse=True)
def fewer_images(monkeypatch):
    """The model to deploy learns nothing of the images that it is trained on: `simulated` looks at none."""
    monkeypatch.setattr(trained, "IMAGES", 100)


def collected(result):
    return [line.partition("::")[2] for line in result.outlines if "::test_" in line]


def test_the_stages_after_the_pipeline_run_when_they_are_asked_for(suite):
    result = suite.run(DEPLOYED, "--profile=traces")

    # inference at batch 1 and 32: the matrix, and exported as float32, ptq, qat
    result.assert_outcomes(passed=1 + 2 + 2 * 4)
    (run,) = suite.saved()
    for info in (benchmark["extra_info"] for benchmark in run["benchmarks"]):
        assert info["test_accuracy"] == info["float32_accuracy"]
        assert info["agreement"] == 1
        assert info["file_bytes"] > 0
        assert info["profile"]
        assert info["trace"]
        if info["stage"] == "inference":
            assert info["latency"]["median"] <= info["latency"]["p95"] <= info["latency"]["p99"]
            assert len(info["call_seconds"]) == 2 * info["images"] / info["batch_size"]
        if info["stage"] == "quantization":
            assert {"calibration", "conversion"} <= info["step_seconds"].keys()
        if info["quantize"] == "qat" and info["stage"] == "quantization":
            assert info["float32_training_seconds"] > 0
    assert len(list(suite.folder.glob("traces/*/*.json"))) == 11


def test_an_axis_is_in_an_id_only_where_it_leaves_its_default(suite):
    options = ("--collect-only", "-q", "--cache=on", "--batch-sizes=8")
    stages = "--stages=model_building,training,inference"
    result = suite.run(
        *options, stages, "--precision=float32,bfloat16", "--quantize=none,ptq", frameworks="torch"
    )

    old = "torch-cpu-batch8-workers0-cache_on-augment_on-matched"
    assert collected(result) == [
        "test_model_building[torch-cpu-matched]",
        f"test_training[{old}]",
        f"test_training[{old}-bfloat16]",
        *(
            f"test_inference[torch-cpu-batch{size}-matched-{form}]"
            for size in (1, 8)
            for form in (
                "eager",
                "bfloat16-eager",
                "torchscript",
                "export",
                "compile",
                "bfloat16-compile",
                "compile-ptq",
                "onnx",
                "onnx-ptq",
            )
        ),
    ]


@pytest.mark.parametrize(("name", "cases"), [("torch", 2), ("tensorflow", 3)])
def test_what_a_framework_does_by_default_is_no_case_of_its_own(suite, name, cases):
    execution = "--execution=default,eager,compiled"
    options = ("--collect-only", "-q", "--cache=on", "--stages=evaluation")
    result = suite.run(*options, execution, frameworks=name)

    assert len(collected(result)) == cases


@pytest.mark.parametrize(
    ("fault", "messages", "passing"),
    [
        ({"exporting": {"fault": "lose_precision"}}, ["its logits differ by"], 6),
        (
            {"quantization": {"fault": "stay_float"}},
            ["its file has 102% of the size", "it computes in float"],
            5,
        ),
    ],
)
def test_the_timings_of_a_deployed_model_that_fails_validation_are_discarded(
    suite, monkeypatch, fault, messages, passing
):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps(fault))
    result = suite.run(DEPLOYED, "--classes=20")

    result.assert_outcomes(passed=passing, failed=11 - passing)
    for message in messages:
        result.stdout.fnmatch_lines(f"*fails validation, its timings are discarded: *{message}*")
    assert sum(len(run["benchmarks"]) for run in suite.saved()) == passing


def test_the_model_to_deploy_is_trained_once(suite, suite_cache):
    first, second = (suite.run("--stages=exporting", "--seed=99").stdout.str() for _ in range(2))

    assert "training the model to deploy: simulated" in first
    assert "training the model to deploy" not in second


def test_what_is_not_installed_is_skipped_with_the_reason(suite, hide):
    hide("onnxruntime", "torchao", "ai_edge_litert")
    result = suite.run("--stages=quantization", "-rs", frameworks="torch,tensorflow")

    result.assert_outcomes(skipped=7)
    for line in (
        "*torch: torchao not installed here; try: pip install 'stagebench?deploy?'",
        "*torch: onnxruntime and torchao not installed here; try: pip install 'stagebench?deploy?'",
        "*tensorflow: ai_edge_litert not installed here; try: pip install 'stagebench?deploy?'",
        "*torch onnx dynamic: torchao quantizes Linear layers alone dynamically*",
    ):
        result.stdout.fnmatch_lines(line)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--deploy=tflite",),
            "argument --deploy: unknown value 'tflite'; known: eager, torchscript, export",
        ),
        (("--quantize=int4",), "argument --quantize: unknown value 'int4'; known: none, dynamic, ptq, qat"),
        (
            ("--execution=fast",),
            "argument --execution: unknown value 'fast'; known: default, eager, compiled",
        ),
        (
            ("--precision=int8",),
            "argument --precision: unknown value 'int8'; known: float32, bfloat16, float16",
        ),
        (("--profile=/dev/null",), "argument --profile: '/dev/null' is a file; give the path of a folder"),
        pytest.param(
            ("--profile=/proc/a/b",),
            "argument --profile: '/proc/a/b' cannot be made: No such file or directory",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux only"),
        ),
        (
            (DEPLOYED, "--deploy=litert"),
            "no case of exporting is left by these options; export formats are",
        ),
        ((DEPLOYED, "--quantize=none"), "no case of quantization is left by these options"),
    ],
)
def test_a_wrong_value_is_a_usage_error(suite, options, message):
    result = suite.run(*options)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str().replace("\n", " ")


def test_float16_on_a_cpu_is_skipped_with_the_reason(suite):
    options = ("--precision=float32,float16", "--stages=training", "--cache=on", "-rs")
    result = suite.run(
        *options, "--devices=cpu", "--train-images=40", "--test-images=20", frameworks="simulated"
    )

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines("*float16 is for GPUs*")
