"""A framework that computes next to nothing: the suite's own tests run on it, in seconds."""

from stagebench.frameworks.entry import ExportFormat, Framework

FRAMEWORK = Framework(
    name="simulated",
    title="simulated",
    colour="#7a8793",
    marks=("square",),
    imports=(),
    model_suffix=".npy",
    export_formats=(
        ExportFormat("matrix", ".npy", in_process=True),
        ExportFormat("exported", ".npy", quantize=("none", "ptq", "qat")),
    ),
)
