"""Stage `exporting`: a file that holds the trained model in an export format, closed and complete."""

from __future__ import annotations

from typing import Any

from stagebench.case import Case
from stagebench.frameworks import ExportFormat
from stagebench.stages.deployment import DeploymentStage


class Exporting(DeploymentStage):
    """From the trained model to its file, in float32."""

    name = "exporting"
    order = 7
    colour = "#b8a04a"

    def run(self) -> None:
        self.deployer.export(self.path)

    def outcome(self, result: None) -> dict[str, Any]:
        return self.quality(self.deployer.load(self.path))

    @classmethod
    def as_deployed(cls, case: Case, form: ExportFormat) -> Case | None:
        return case if case.quantize == "none" and not form.in_process else None
