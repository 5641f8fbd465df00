"""The stages: one class in one file each, found here by looking."""

from __future__ import annotations

from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules

from stagebench.stages.stage import Stage

_classes = [
    found
    for module in iter_modules(__path__)
    for found in vars(import_module(f"{__name__}.{module.name}")).values()
    if isinstance(found, type) and issubclass(found, Stage) and not isabstract(found)
]
STAGES: dict[str, type[Stage]] = {stage.name: stage for stage in sorted(_classes, key=lambda s: s.order)}
"""Every stage by name, in the order in which a model passes them."""
PIPELINE = tuple(name for name, stage in STAGES.items() if "deploys" not in stage.traits)
"""The stages of the pipeline; measured by default."""
DEPLOYMENT = tuple(name for name in STAGES if name not in PIPELINE)
"""What comes after it: a trained model on its way to where it is used."""
