"""What a saved run holds, as JSON Schema: nothing else of a stranger's file comes near a report."""

from __future__ import annotations

from textwrap import shorten
from typing import Any

from jsonschema import Draft202012Validator

from stagebench.case import AXES, Axis
from stagebench.stages import STAGES

Schema = dict[str, Any]


def _object(required: Schema | None = None, others: Any = True, **properties: Schema) -> Schema:
    required = required or {}
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **properties},
        "additionalProperties": others,
    }


def _list(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


LARGEST = 10**15
TEXT: Schema = {"type": "string", "maxLength": 10**7}
TEXTS = _object(others=_or_null(TEXT))
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": LARGEST}
NUMBER: Schema = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
AMOUNT: Schema = {**NUMBER, "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
LOSS: Schema = {"type": "number", "minimum": -1e300, "maximum": 1e300}
SECONDS: Schema = {"type": "number", "minimum": 1e-9, "maximum": 1e9}
FIGURE: Schema = {**NUMBER, "type": ["number", "string", "boolean", "null"], "maxLength": 1000}


def _axis(axis: Axis) -> Schema:
    """Return what an axis may be in a saved run; null at a stage to which it does not apply."""
    if axis.values is None:
        return {"anyOf": [{**COUNT, "minimum": axis.least}, {"enum": ["auto", None]}]}
    return {"enum": [*axis.values, None]} if axis.values else {**TEXT, "maxLength": 100}


CASE: Schema = {
    "stage": {"enum": list(STAGES)},
    "framework": TEXT,
    "environment": TEXT,
    **{name: _axis(axis) for name, axis in AXES.items() if not axis.later},
}
LATER: Schema = {name: _axis(axis) for name, axis in AXES.items() if axis.later}
"""Fields of a case that runs from before they came do not have."""
OPERATION: Schema = {"name": TEXT, "seconds": AMOUNT, "calls": COUNT}
EXTRA_INFO = _object(
    {
        **CASE,
        "framework_version": TEXT,
        "rounds_per_process": _list({**COUNT, "minimum": 1}, minItems=1),
        "cold_seconds": SECONDS,
        "peak_rss_bytes": AMOUNT,
    },
    file_bytes=_or_null(COUNT),
    processes=COUNT,
    device_name=_or_null(TEXT),
    threads=_or_null(COUNT),
    images=_or_null(COUNT),
    skipped_images=_or_null(COUNT),
    limit_seconds=_or_null(AMOUNT),
    data_wait_fraction=_or_null(NUMBER),
    loss=_or_null(LOSS),
    accuracy=_or_null(NUMBER),
    epoch_losses=_or_null(_list(LOSS)),
    epoch_accuracies=_or_null(_list(NUMBER)),
    noise_log_ratios=_or_null(_list({**NUMBER, "minimum": -100, "maximum": 100})),
    noise_missing=_or_null(TEXT),
    layers=_or_null(_list(_object({"kind": TEXT, "output_shape": _list(COUNT), "parameters": COUNT}))),
    workload=_or_null(_object(others=FIGURE, epochs={**COUNT, "minimum": 1})),
    dataset_fingerprint=_or_null(TEXT),
    **LATER,
    test_accuracy=_or_null(SHARE),
    float32_accuracy=_or_null(SHARE),
    agreement=_or_null(SHARE),
    logit_difference=_or_null({**LOSS, "minimum": 0}),
    integer_layers=_or_null(COUNT),
    step_seconds=_or_null(_object(others=_or_null(AMOUNT))),
    call_seconds=_or_null(_list(SECONDS)),
    latency=_or_null(_object(median=SECONDS, p95=SECONDS, p99=SECONDS)),
    float32_training_seconds=_or_null(SECONDS),
    profile=_or_null(_list(_object(OPERATION))),
    trace=_or_null(TEXT),
)
MACHINE = _object(
    {"cpu": _object({"brand_raw": TEXT}, cores=_or_null(COUNT), usable_threads=_or_null(COUNT))},
    memory_bytes=AMOUNT,
    gpus=_or_null(_list(TEXT)),
    system=TEXT,
    release=TEXT,
    python_version=TEXT,
    libraries=_or_null(TEXTS),
    thread_variables=_or_null(TEXTS),
)
PICTURE = ("environment", "framework", "recipe", "prepared", "flipped")
RECORD = _object(
    schema={"type": "integer"},
    command=_list(TEXT),
    preset=TEXT,
    not_measured=_list(_object({**CASE, "outcome": TEXT, "reason": TEXT}, **LATER)),
    pictures=_list(_object(dict.fromkeys(PICTURE, TEXT))),
    differences=_list(TEXTS),
)
RUN = Draft202012Validator(
    _object(
        {
            "machine_info": MACHINE,
            "benchmarks": _list(
                _object({"extra_info": EXTRA_INFO, "stats": _object(data=_list(SECONDS, minItems=1))})
            ),
        },
        datetime=TEXT,
        stagebench=RECORD,
    )
)


def complaint(content: Any) -> str | None:
    """Say where content is not what this suite saves, or return None."""
    for error in RUN.iter_errors(content):
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        where = where.removeprefix(".") or "it"
        if error.validator == "required":
            missing = next(name for name in error.validator_value if name not in error.instance)
            return f"{where} lacks {missing!r}"
        rule = f"{error.validator} {error.validator_value}"
        return f"{where} is {shorten(repr(error.instance), 60)}, allowed is {shorten(rule, 100)}"
    return None
