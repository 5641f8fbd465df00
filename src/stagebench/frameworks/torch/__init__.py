"""PyTorch: what is said of it without importing it."""

from stagebench.frameworks.entry import ExportFormat, Framework

FRAMEWORK = Framework(
    name="torch",
    title="PyTorch",
    colour="#d9700a",
    marks=("circle", "diamond", "cross"),
    imports=("torch", "torchvision"),
    install="pip install torch torchvision",
    model_suffix=".pt",
    has_tuned=True,
    tuned_imports=("simplejpeg",),
    speed_variables=(
        *("ATEN_*", "LRU_CACHE_CAPACITY", "TORCH_COMPILE_*", "TORCHDYNAMO_*", "TORCHINDUCTOR_*"),
        *("PYTORCH_*", "TORCH_ALLOW_TF32_*", "TORCH_BLAS_*", "TORCH_CUDNN_*", "TORCH_MKLDNN_*"),
    ),
    defaults={"execution": "eager"},
    implements={
        "api": ("subclass",),
        "schedule": ("one_cycle", "one_cycle_step"),
        "accumulate": ("any",),
        "logging": ("tensorboard",),
        "normalize": ("half",),
        "placement": ("split",),
    },
    axis_imports={"logging": ("tensorboard",)},
    export_formats=(
        ExportFormat("eager", ".pt", in_process=True),
        ExportFormat("torchscript", ".pt"),
        ExportFormat("export", ".pt2"),
        ExportFormat(
            "compile", ".pt2", in_process=True, quantize=("none", "ptq"), quantize_imports=("torchao",)
        ),
        ExportFormat(
            "onnx",
            ".onnx",
            imports=("onnx", "onnxscript", "onnxruntime"),
            quantize=("none", "dynamic", "ptq", "qat"),
            quantize_imports=("torchao",),
            refuses={"dynamic": "torchao quantizes Linear layers alone dynamically"},
            cpu_only=True,
        ),
    ),
)
