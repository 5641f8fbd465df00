"""What is known of a case at a stage beside its times: `extra_info`, but for the stage and the case."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

LARGEST = 10**15
Text = Annotated[str, Meta(max_length=10**7)]
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Amount = Annotated[float, Meta(ge=0, le=LARGEST)]
Share = Annotated[float, Meta(ge=0, le=1)]
Loss = Annotated[float, Meta(ge=-1e300, le=1e300)]
Seconds = Annotated[float, Meta(ge=1e-9, le=1e9)]
LogRatio = Annotated[float, Meta(ge=-100, le=100)]
Figure = (
    Annotated[int, Meta(ge=-LARGEST, le=LARGEST)]
    | Number
    | Annotated[str, Meta(max_length=1000)]
    | bool
    | None
)


class Layer(Struct):
    """One row of the model table; see `frameworks.contract.Layer`."""

    kind: Text
    output_shape: list[Count]
    parameters: Count


class Operation(Struct):
    """What a profiler saw of one kind of operation; see `frameworks.contract.Operation`."""

    name: Text
    seconds: Amount
    calls: Count


class KnownSpread(Struct):
    """How far the ratio of two cases scattered in an earlier run; see `statistics.knowledge`."""

    stage: Text
    kinds: tuple[Text, Text]
    spread: Amount
    freedom: Annotated[float, Meta(gt=0, le=LARGEST)]


class KnownDrift(Struct):
    """How far the times of a stage's cases were apart from run to run."""

    stage: Text
    spread: Amount
    freedom: Annotated[float, Meta(gt=0, le=LARGEST)]


class SpeedConditions(Struct):
    """What changes the speed of a worker process; see `machine.conditions`."""

    variables: dict[str, Text] = {}
    cpu_quota: Amount | None = None
    processors: Count | None = None
    tracers: list[Text] = []

    @property
    def facts(self) -> dict[str, str]:
        """What there is of it, by name."""
        found = {
            **self.variables,  # first: a stranger's file may name one as what follows
            "CPU quota": f"{self.cpu_quota:g}" if self.cpu_quota else "",
            "processors": str(self.processors or ""),
            "tracers": ", ".join(self.tracers),
        }
        return {name: fact for name, fact in found.items() if fact}


def apart(one: SpeedConditions, other: SpeedConditions) -> list[str]:
    """Return the names of the facts in which conditions differ."""
    facts = one.facts, other.facts
    return [name for name in {**facts[0], **facts[1]} if facts[0].get(name) != facts[1].get(name)]


class Info(Struct, kw_only=True):
    """Keys are added here, never renamed. None: it does not apply to the stage, or the run is older."""

    framework_version: Text
    device_name: Text | None = None
    threads: Count | None = None
    """Threads that one operation may use."""
    conditions: SpeedConditions | None = None
    """What else changes the speed of the first process."""
    images: Count | None = None
    """Images that one round saw."""
    images_per_second: Amount | None = None
    cold_seconds: Seconds
    """Median of the first executions in fresh processes."""
    cpu_seconds: list[Amount] | None = None
    """User and system time of each round, as are page faults and switches."""
    idle_seconds: list[Amount] | None = None
    """Of each round, when the process computed nothing: it waited, for a disk or for a timer."""
    peak_rss_bytes: Count
    """Highest resident memory of any process."""
    peak_gpu_bytes: Count | None = None
    page_faults: list[Count] | None = None
    involuntary_switches: list[Count] | None = None
    processes: Count | None = None
    fresh_processes: Count | None = None
    """Those in which nothing was executed before: the figures of cold starts and memory are theirs."""
    rounds_per_process: Annotated[list[Annotated[int, Meta(ge=1, le=LARGEST)]], Meta(min_length=1)]
    interleave: Text | None = None
    """How rounds took turns with those of the group's other cases: in `slices`, or as whole `rounds`."""
    stopped_by: Text | None = None
    """With `--within`: `precision` or `max_time`."""
    limit_seconds: Amount | None = None
    """Of a round at the machine's peak rates."""
    limit_fraction: Amount | None = None
    """Share of the machine's peak."""
    machine_rates: dict[str, Amount] | None = None
    """Amounts of each resource in a second, at best; see `run.peak`."""
    loss: Loss | None = None
    accuracy: Number | None = None
    """A share, as are all accuracies."""
    epoch_losses: list[Loss] | None = None
    epoch_accuracies: list[Number] | None = None
    layers: list[Layer] | None = None
    data_wait_fraction: Number | None = None
    """Share of a training epoch in which the loop waits for its next batch."""
    transfer_seconds: Amount | None = None
    """Of a training step of a model on two devices: moving activations and gradients between them."""
    file_bytes: Count | None = None
    test_accuracy: Share | None = None
    """Of a deployed model."""
    float32_accuracy: Share | None = None
    """Of the framework's own model that it was made from."""
    agreement: Share | None = None
    """Share of the test images with the answer of that model."""
    logit_difference: Annotated[float, Meta(ge=0, le=1e300)] | None = None
    """Largest difference to that model's logits."""
    integer_layers: Count | None = None
    """Convolutions and dense layers that multiply integers."""
    step_seconds: dict[str, Amount | None] | None = None
    """Of quantization, by step."""
    float32_training_seconds: Seconds | None = None
    """Of an ordinary epoch, beside a quantization-aware one."""
    call_seconds: list[Seconds] | None = None
    """Of every single call of a deployed model."""
    latency: dict[str, Seconds] | None = None
    """`median`, `p95` and `p99` of those."""
    profile: list[Operation] | None = None
    """The costliest first."""
    trace: Text | None = None
    """How the path of its trace begins."""
    workload: dict[str, Figure] | None = None
    """By the names of `case.Workload`'s fields, and of a newer version's."""
    dataset_fingerprint: Text | None = None
    skipped_images: Count | None = None
    noise_log_ratios: list[LogRatio] | None = None
    """Of runs of before `kind`: pairs of equal cases on this machine."""
    noise_missing: Text | None = None
    """Of the same: why there are none."""
    kind: Text | None = None
    """What its spread is known by, in `known` of the run: framework, versions and axes."""

    def __post_init__(self) -> None:
        if type(self.epochs) is not int or self.epochs < 1:
            raise ValueError("Expected `epochs` >= 1 in the workload")

    @property
    def epochs(self) -> int:
        """Epochs in one training round."""
        return (self.workload or {}).get("epochs", 1)  # type: ignore[return-value]  # see above
