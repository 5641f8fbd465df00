"""What is declared of an axis of the matrix; each stands in its field of `Case`, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Trait = Literal["loads_data", "has_model", "builds", "trains", "computes", "deploys"]
"""What a stage does that decides which axes apply to it; see `stages.stage.Stage`."""


@dataclass(frozen=True)
class Axis:
    """A setting that is varied."""

    help: str
    """What it is, for `--help`."""
    option: str
    """The option that takes its values."""
    values: tuple[str, ...] | None = None
    """What is allowed; None: whole numbers of `least` or more; empty: what the frameworks' entries have."""
    least: int = 0
    measured: tuple[Any, ...] = ()
    """What is measured if nothing is said; empty: its default alone."""
    traits: tuple[Trait, ...] = ()
    """It applies to the stages that have one of these; empty: to all."""
    separates: bool = False
    """Whether its values are different work or conditions, which are never compared within a group."""
    pooled: bool = False
    """Whether its values have one noise floor."""
    later: bool = False
    """Whether it came later: ids and texts name it only off its default, so that old runs compare."""
    words: tuple[str, ...] = ()
    """What may stand for a number in a case."""
    of_frameworks: bool = False
    """Whether a value other than the default exists only in frameworks whose entry names it; elsewhere its
    cases are skipped with the reason."""
    id: str = "{}"
    """How a test id has its value."""
    text: str = "{}"
    """How a sentence has it."""
    label: str = " {}"
    """How it tells the cases of a group apart."""
    name: str = ""
    """That of its field, as `default` is."""
    default: Any = None

    @property
    def title(self) -> str:
        """Its name in prose."""
        return self.name.replace("_", " ")

    @property
    def defaults(self) -> tuple[Any, ...]:
        """The values that are measured if nothing is said."""
        return self.measured or (self.default,)

    @property
    def may_be_none(self) -> bool:
        """Whether there are cases in which its value is None, because it does not apply."""
        return bool(self.traits) and not self.later

    def applies(self, traits: Sequence[Trait]) -> bool:
        """Say whether it applies to a stage with these traits."""
        return not self.traits or not set(self.traits).isdisjoint(traits)

    def named(self, value: Any) -> bool:
        """Say whether ids and texts name a value; None is that of stages to which the axis does not apply."""
        return value is not None and not (self.later and value == self.default)


def axis(default: Any, **declaration: Any) -> Any:
    """Return a field of `Case` that declares an axis; see `Axis` for what there is to declare."""
    return field(default=default, metadata={"axis": Axis(default=default, **declaration)})
