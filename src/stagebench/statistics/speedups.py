"""What deployments are compared for: int8 with float32, and one runtime with itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from stagebench.case import Case
from stagebench.frameworks import FRAMEWORKS
from stagebench.statistics.group import Group
from stagebench.statistics.ratio import Ratio

SHARED_RUNTIME = "onnx"
"""The form that every framework has, and that one runtime runs for all of them."""
WANTED_SPEEDUP = 2.5
"""How many times as fast as its framework's float32 int8 is to be, in one form of each at least."""


@dataclass(frozen=True)
class SanityCheck:
    """Two frameworks' float32 models in one runtime, which must take the same time: it is the same work."""

    first: Case
    second: Case
    ratio: Ratio
    """Time of the first divided by that of the second."""
    smallest: float
    """The smallest difference that counts, as a share."""

    @property
    def passed(self) -> bool:
        """Whether the estimate shows no difference."""
        return 1 / (1 + self.smallest) < self.ratio.estimate < 1 + self.smallest

    @property
    def failed(self) -> bool:
        """Whether they differ by more than chance; if neither, it is inconclusive."""
        low, high = self.ratio.interval
        return not self.passed and not low <= 1 <= high


@dataclass(frozen=True)
class Speedup:
    """What int8 gains over a float32 model of the same framework."""

    quantized: Case
    float32: Case
    ratio: Ratio
    """Time of float32 divided by that of int8: how many times as fast it is."""

    @property
    def same_form(self) -> bool:
        """Whether nothing but the quantization differs; else float32 is in the framework's own form."""
        return self.float32.deploy == self.quantized.deploy


def sanity_checks(groups: Iterable[Group]) -> list[SanityCheck]:
    """Return one for every two environments of different frameworks, in each group of inference."""
    checks = []
    for group in groups:
        if group.stage == "inference":
            shared = [r for r in group.results if r.case.deploy == SHARED_RUNTIME and is_float32(r.case)]
            for first, second in combinations(shared, 2):
                if first.case.framework != second.case.framework and first.case.recipe == second.case.recipe:
                    ratio = group.ratio(first.case, second.case)
                    checks.append(SanityCheck(first.case, second.case, ratio, group.smallest))
    return checks


def is_float32(case: Case) -> bool:
    """Say whether a model is deployed as it was trained."""
    return case == replace(case.default_computation, quantize="none")


def speedups(groups: Sequence[Group]) -> list[Speedup]:
    """Return those of every int8 model over float32 in the same form, and in the framework's own.

    Only what was measured beside it counts, and of the batch sizes of a setting the largest: at a single
    image, much of a call is overhead.
    """
    inference = [group for group in groups if group.stage == "inference"]
    largest: dict[str, int] = {}
    for case in (group.results[0].case for group in inference):
        setting = _but_batch_size(case)
        largest[setting] = max(case.batch_size, largest.get(setting, 0))
    found = []
    for group in inference:
        of_case = {result.case: result for result in group.results}
        for case in of_case:
            if case.quantize == "none" or case.batch_size < largest[_but_batch_size(case)]:
                continue
            framework = FRAMEWORKS.get(case.framework)  # there is none of a newer version's
            own_form = framework.export_formats[0].name if framework else case.deploy
            for form in dict.fromkeys((case.deploy, own_form)):
                if float32 := of_case.get(replace(case, quantize="none", deploy=form)):
                    ratio = group.ratio(float32.case, case)
                    found.append(Speedup(case, float32.case, ratio))
    return found


def _but_batch_size(case: Case) -> str:
    return replace(case, batch_size=1).settings


def best_speedups(found: Iterable[Speedup]) -> list[Speedup]:
    """Return the largest of all formats and methods of a case, over either float32, in their order."""
    best: dict[tuple[Case, bool], Speedup] = {}
    for one in found:
        key = replace(one.quantized, deploy="", quantize="none"), one.same_form
        if key not in best or one.ratio.estimate > best[key].ratio.estimate:
            best[key] = one
    return list(best.values())
