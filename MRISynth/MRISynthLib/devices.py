"""Which device computes, in which number format, and how much memory there is.

``torch`` and ``psutil`` are imported inside the functions: faces may import this module
before either is installed.
"""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:
    import torch

DEVICE_NAMES = ("auto", "cpu", "cuda", "mps")
"""What a user may ask for; ``cuda:1`` and so on name one of several GPUs."""

_MEBIBYTE = 2**20


def check_name(device: str) -> str:
    """The device's name in lower case, without asking whether the machine has it.

    Raises
    ------
    InputError
        If no device is called so.
    """
    name = device.strip().lower()
    if name not in DEVICE_NAMES and not re.fullmatch(r"cuda:\d+", name):
        raise InputError(
            f"The device '{device}' is unknown; choose one of {', '.join(DEVICE_NAMES)}."
        )
    return name


def resolve(device: str = "auto") -> torch.device:
    """The device to compute on; ``auto`` takes a GPU where there is one.

    Raises
    ------
    InputError
        If the device is unknown or this machine does not have it.
    """
    import torch

    name = check_name(device)
    has_cuda = torch.cuda.is_available()
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if has_cuda else "mps" if has_mps else "cpu"
    if name.startswith("cuda"):
        if not has_cuda:
            built = "" if torch.version.cuda else " (this PyTorch was built without CUDA)"
            raise InputError(
                f"The device '{device}' is not available on this machine{built}; "
                "use --device auto or --device cpu."
            )
        index = int(name.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise InputError(
                f"The device '{device}' does not exist; this machine has "
                f"{torch.cuda.device_count()} CUDA device(s), counted from cuda:0."
            )
    if name == "mps" and not has_mps:
        raise InputError(
            "The device 'mps' is only available on Macs with Apple silicon; "
            "use --device auto or --device cpu."
        )
    return torch.device(name)


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively (AVX-512 BF16 or AMX)."""
    import torch

    # torch keeps these two private; where they are missing, fp32 is the safe answer.
    for test in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        supported = getattr(torch.cpu, test, None)
        if supported is not None and supported():
            return True
    return False


def choose_dtype(device: torch.device) -> torch.dtype:
    """The number format for inference: bfloat16 where it is fast, else one that is safe."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and cpu_has_bfloat16():
        return torch.bfloat16
    return torch.float32


def dtype_name(dtype: torch.dtype) -> str:
    """``"bfloat16"``, ``"float16"`` or ``"float32"``."""
    return str(dtype).removeprefix("torch.")


def free_memory_mb(device: torch.device) -> float:
    """MiB that a batch may take now: of the GPU for CUDA, otherwise of the machine."""
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0] / _MEBIBYTE
    import psutil

    return psutil.virtual_memory().available / _MEBIBYTE


def available() -> list[dict[str, Any]]:
    """The devices of this machine, that which ``auto`` takes first.

    Each has its ``name`` as in :func:`resolve`, its maker's name for it (``label``) and its memory
    in MiB, ``free_mb`` and ``total_mb``; a Mac's GPU shares that of the machine.
    """
    import psutil
    import torch

    found = [
        {
            "name": f"cuda:{index}",
            "label": torch.cuda.get_device_name(index),
            "free_mb": torch.cuda.mem_get_info(index)[0] / _MEBIBYTE,
            "total_mb": torch.cuda.mem_get_info(index)[1] / _MEBIBYTE,
        }
        for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    memory = psutil.virtual_memory()
    shared = {"free_mb": memory.available / _MEBIBYTE, "total_mb": memory.total / _MEBIBYTE}
    if torch.backends.mps.is_available():
        found.append({"name": "mps", "label": "GPU of this Mac", **shared})
    return [*found, {"name": "cpu", "label": _cpu_name(), **shared}]


def _cpu_name() -> str:
    """What the maker calls the processor, as far as the system says."""
    name = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        match = re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
        name = match.group(1) if match else name
    return " ".join((name or platform.machine()).split())


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, the processor's or a GPU's: a smaller batch may
    fit."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would count the parent as well: Linux carries it across fork and exec.
        match = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if match:
            return int(match.group(1)) / 1024
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / _MEBIBYTE
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MEBIBYTE if sys.platform == "darwin" else peak / 1024


def peak_gpu_memory_mb(device: torch.device) -> float | None:
    """Largest amount of GPU memory that this process held, in MiB; None without CUDA."""
    if device.type != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated(device) / _MEBIBYTE
