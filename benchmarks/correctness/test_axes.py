"""Axes are declared once, in the fields of `Case`; all else follows from there."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from saved_runs import deployed_run, saved_run
from saved_runs import matrix as of_both
from stagebench.article.tables import article_tables
from stagebench.article.write_up import sides
from stagebench.case import AXES, Case, from_plain, plain
from stagebench.frameworks import FRAMEWORKS
from stagebench.plugin.options import OPTIONS
from stagebench.plugin.session_options import SessionOptions
from stagebench.report.deployment_tables import deployed
from stagebench.report.report import Report
from stagebench.report.tables import model_table
from stagebench.results.file import run_of
from stagebench.stages import DEPLOYMENT, PIPELINE, STAGES, matrix
from stagebench.statistics.speedups import best_speedups, speedups

CASE = Case("torch", "torch", workers=2)
LOADS_DATA = ("data_loading", "training", "evaluation")
AS_BEFORE = "torch-cpu-batch32-workers2-cache_on-augment_on-matched"


def cases(stage: str, environments=("torch", "tensorflow"), **asked) -> list[Case]:
    values = {name: axis.defaults for name, axis in AXES.items()} | {"deploy": ()} | asked
    return matrix.cases(STAGES[stage], {name: name for name in environments}, values)


def test_ids_are_as_in_runs_before():
    assert CASE.id == AS_BEFORE
    assert replace(CASE, precision="bfloat16", execution="compiled").id == f"{AS_BEFORE}-bfloat16-compiled"
    deployed = Case("torch", "torch@2", deploy="onnx", quantize="ptq").at(STAGES["inference"].traits)
    assert deployed.id == "torch@2-cpu-batch32-matched-onnx-ptq"
    assert CASE.group("training") == "training: cpu, batch 32, cache on, augment on"


@pytest.mark.parametrize("stage", PIPELINE)
def test_an_axis_that_does_not_apply_does_not_multiply_a_stage(stage):
    found = cases(stage, batch_size=(16, 32), workers=(0, 2), cache=("off", "on"), augment=("off", "on"))

    assert len(found) == (2**4 + 2**3 if stage in LOADS_DATA else 2)
    assert len({case.id for case in found}) == len(found)


def test_the_default_run_has_18_cases():
    settings = SessionOptions.resolve({"frameworks": ("torch", "tensorflow"), "devices": ("cpu",)}.get)

    assert sum(len(settings.cases(stage)) for stage in settings.stages) == 18


@pytest.mark.parametrize("stage", PIPELINE + DEPLOYMENT)
def test_a_pipeline_gets_a_value_of_every_axis_and_a_group_is_named_by_those_that_apply(stage):
    for case in cases(stage):
        assert None not in plain(case.complete).values()
        assert case.complete.at(STAGES[stage].traits) == case
        applying = [a.name for a in AXES.values() if a.separates and a.applies(STAGES[stage].traits)]
        assert all(
            (getattr(case, name) is None) == (name not in applying) for name in ("batch_size", "cache")
        )


def test_every_axis_has_an_option_whose_values_and_default_are_declared_with_it():
    options = {option.flag: option for option in OPTIONS}
    for axis in AXES.values():
        help = options[axis.option].arguments["help"]
        assert axis.help in help
        assert "default: " in help
        assert all(value in help for value in axis.values or ())


def test_the_options_to_copy_measure_the_case_again_and_no_other():
    case = replace(CASE, batch_size=16, recipe="tuned", precision="bfloat16")
    given = dict(option.split("=") for option in case.options)
    values = {axis.name: given.get(axis.option) for axis in AXES.values()}
    asked = {name: [type(AXES[name].default)(value)] for name, value in values.items() if value}

    assert cases("training", ("torch",), **asked) == [case]


def test_a_value_that_a_framework_does_not_implement_is_refused_with_the_option_that_asks_for_it():
    torch = replace(FRAMEWORKS["torch"], implements={"schedule": ("one_cycle",), "accumulate": ("any",)})

    assert torch.has_no(replace(CASE, schedule="one_cycle", accumulate=4)) is None
    assert torch.has_no(replace(CASE, schedule="one_cycle_step")) == (
        "--schedule=one_cycle_step is not implemented for PyTorch"
    )


def test_fields_of_newer_versions_are_passed_over_and_missing_ones_have_their_defaults():
    values = {**plain(CASE), "fusion": "on"}
    del values["network"]

    assert from_plain(Case, values) == CASE
    with pytest.raises(TypeError, match="framework"):
        from_plain(Case, {"environment": "torch"})


@pytest.mark.parametrize("cache", [("on",), ("off", "on")])
def test_a_run_that_multiplied_every_stage_by_every_axis_still_opens(cache):
    """A stage measured once has today's case; one that was measured for each cache setting keeps them."""
    each = [Case("torch", "torch", cache=kept) for kept in cache]
    new = saved_run(each)
    old = saved_run(each, stages=())
    of_training = [b for b in new["benchmarks"] if b["extra_info"]["stage"] == "training"]
    for stage in PIPELINE:
        for benchmark, case in zip(of_training, each, strict=True):
            axes = {axis.name: getattr(case, axis.name) for axis in AXES.values() if not axis.later}
            info = {**benchmark["extra_info"], "stage": stage, **axes}
            old["benchmarks"].append({**benchmark, "extra_info": info})
    later = {field.name for field in fields(Case) if field.name in AXES and AXES[field.name].later}
    for benchmark in old["benchmarks"]:
        benchmark["extra_info"] = {k: v for k, v in benchmark["extra_info"].items() if k not in later}

    found = {(result.stage, result.case) for result in run_of("old", old).results}

    if len(cache) == 1:
        assert found == {(result.stage, result.case) for result in run_of("new", new).results}
    else:
        assert len(found) == len(PIPELINE) * 2


@pytest.mark.parametrize(
    "of_report",
    [
        lambda report: [side.name for side in sides(report)],
        lambda report: [one.name for one in deployed(report)],
        lambda report: [
            (one.quantized, one.float32) for one in best_speedups(speedups(report.runs[0].groups))
        ],
        lambda report: [table.title for table in article_tables(report)],
        lambda report: model_table(report).columns[1::2],
    ],
    ids=["write-up", "deployed", "speedups", "article", "layers"],
)
def test_a_second_network_stands_beside_the_first_and_is_named(of_report):
    run = run_of("", saved_run(of_both(recipes=("matched", "published"))))
    run = replace(run, results=[*run.results, *run_of("", deployed_run()).results])
    others = [
        replace(result, case=replace(result.case, network="another"))
        for result in run.results
        if "has_model" in STAGES[result.stage].traits
    ]

    of_one = of_report(Report([run]))
    of_two = of_report(Report([replace(run, results=[*run.results, *others])]))

    assert len(of_one) > 0
    assert {*of_one} < {*of_two}
    assert len({*of_two}) == len(of_two) == 2 * len(of_one)
