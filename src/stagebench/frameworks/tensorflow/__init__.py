"""TensorFlow: what is said of it without importing it."""

from stagebench.frameworks.entry import ExportFormat, Framework

FRAMEWORK = Framework(
    name="tensorflow",
    title="TensorFlow",
    colour="#3a86d0",
    marks=("triangle-up", "triangle-down", "triangle-left"),
    imports=("tensorflow", "keras"),
    install="pip install tensorflow",
    model_suffix=".keras",
    has_tuned=True,
    environment={"KERAS_BACKEND": "tensorflow"},  # else a user's setting makes it something else
    thread_variables=("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    speed_variables=(
        *("TF_ENABLE_*", "TF_DISABLE_*", "TF_ONEDNN_*", "TF_MKL_*", "TF_USE_*", "TF_FORCE_*"),
        *("TF_GPU_*", "TF_CUDNN_*", "TF_CUBLAS_*", "TF_DETERMINISTIC_OPS"),
        *("TF_XLA_*", "XLA_FLAGS", "TF_FUNCTION_JIT_COMPILE_DEFAULT", "TF_JIT_COMPILE_REWRITE"),
    ),
    chooses_workers=True,
    implements={
        "api": ("functional", "subclass"),
        "loop": ("custom",),
        "schedule": ("one_cycle", "one_cycle_step"),
        "accumulate": ("any",),
        "logging": ("tensorboard",),
        "normalize": ("half",),
        "placement": ("split",),
    },
    axis_imports={"logging": ("tensorboard",)},
    # measured with TensorFlow 2.21 on 30,000 images; buffers of two epochs overlap
    shuffled_copies={("on", "on"): 4.1, ("off", "on"): 2.5, ("on", "off"): 1.2, ("off", "off"): 2.3},
    # tf.data's autotuning, see ../README.md. In slices an epoch took 1.05 to 1.35 times as long.
    sleeping_recipes=("published",),
    export_formats=(
        ExportFormat("graph", ".weights.h5", in_process=True, executions=("default", "eager", "compiled")),
        ExportFormat("savedmodel"),
        ExportFormat(
            "litert",
            ".tflite",
            imports=("ai_edge_litert",),
            quantize=("none", "dynamic", "ptq", "qat"),
            cpu_only=True,
        ),
        ExportFormat("onnx", ".onnx", imports=("tf2onnx", "onnx", "onnxruntime"), cpu_only=True),
    ),
)
