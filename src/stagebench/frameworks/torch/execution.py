"""How a case runs its network: in which precision, and whether compiled."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from stagebench.case import Case
from stagebench.frameworks import sockets
from stagebench.frameworks.contract import UnavailableError

EAGER_SWITCHES = (
    *("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE"),
    *("TORCHDYNAMO_SUPPRESS_ERRORS", "TORCH_COMPILE_OVERRIDE_BACKENDS"),
)
"""Environment variables by which torch runs eagerly what it is to compile, always or where that fails."""


class MixedPrecision(nn.Module):
    """A network under autocast: its layers compute in `dtype`; weights and logits stay float32.

    The loss is computed from the logits, and so in float32, as autocast would have it too.
    """

    def __init__(self, network: nn.Module, device: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.device, self.dtype = network, device, dtype

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(self.device, self.dtype):
            logits: Tensor = self.network(images)
        return logits.float()


def check(case: Case) -> None:
    """Raise `UnavailableError` where a case cannot run on this machine."""
    on_gpu = case.device == "cuda"
    if on_gpu and not torch.cuda.is_available():
        raise UnavailableError(f"torch {torch.__version__} sees no CUDA device")
    if (
        case.precision == "bfloat16"
        and on_gpu
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        raise UnavailableError(f"{torch.cuda.get_device_name()} has no bfloat16")
    if case.quantize != "none" and on_gpu:
        raise UnavailableError("torchao's X86InductorQuantizer makes int8 models for CPUs alone")
    if case.workers and not sockets.fit_into(folder := tempfile.gettempdir()):
        raise UnavailableError(
            f"loader processes need sockets, whose paths have {sockets.PATH_BYTES} bytes at most: "
            f"TMPDIR ({folder}) is too long"
        )
    if case.execution == "compiled" or case.deploy == "compile":
        if switch := _eager_switch():
            raise UnavailableError(f"torch.compile may leave the network as it is: {switch} is set")
        if (compiler := _compiler()) and shutil.which(compiler) is None:
            raise UnavailableError(f"torch.compile needs a C++ compiler, and there is no `{compiler}` here")
        if on_gpu and find_spec("triton") is None:
            raise UnavailableError("torch.compile needs Triton for GPUs, which is not installed here")


def _eager_switch() -> str | None:
    """Return which of those variables is set, with its value."""
    switches = {name: os.environ.get(name, "") for name in EAGER_SWITCHES}
    return next((f"{name}={value}" for name, value in switches.items() if value not in ("", "0")), None)


def _compiler() -> str:
    """Return the C++ compiler that torch.compile looks for."""
    default = "clang++" if sys.platform == "darwin" else "g++"
    return shlex.split(os.environ.get("CXX", default))[0]


def in_precision(network: nn.Module, case: Case) -> nn.Module:
    """Return the network as it computes in the case's precision."""
    if case.precision == "float32":
        return network
    return MixedPrecision(network, case.device, getattr(torch, case.precision))


def as_case_runs(network: nn.Module, case: Case) -> nn.Module:
    """Return the network in the case's precision and execution; of the defaults, it is the network itself."""
    if case.execution == "compiled" and isinstance(network, torch.jit.ScriptModule):
        raise UnavailableError("the recipe published loads TorchScript, which torch.compile does not take")
    network = in_precision(network, case)
    return compiled(network) if case.execution == "compiled" else network


def compiled(network: nn.Module) -> nn.Module:
    """Let the network be compiled when it is first called.

    Each batch size gets code of its own: there are two of them, as the last batch of an epoch may be smaller.
    What earlier processes have compiled is not taken from the disk, where PyTorch keeps it. Else the cold
    execution would take 5 or 35 s by whether this machine has run the case before.
    """
    import torch._inductor.config as compiler  # not in the memory of a process that compiles nothing

    compiler.force_disable_caches = True
    model: nn.Module = torch.compile(network, dynamic=False)
    if model is network:
        raise UnavailableError("torch.compile leaves the network as it is: it is switched off")
    return model


def gradient_scaler(case: Case) -> torch.amp.GradScaler | None:
    """Return what keeps float16's small gradients from becoming zero; bfloat16 has float32's range."""
    return torch.amp.GradScaler(case.device) if case.precision == "float16" else None
