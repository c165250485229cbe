"""Where networks run: the device that a name means on this machine."""

from __future__ import annotations

import ctypes
import sys

from wsiseg.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")


def resolve_device(device: str) -> str:
    """Return the device that `auto` means here, or the device asked for if it is there.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "cuda:N", "mps"}
        `auto` takes CUDA, then MPS, then the CPU.

    Raises
    ------
    UsageError
        If the device is not there.
    """
    base, _, number = device.partition(":")
    if base not in DEVICES or (number and not (base == "cuda" and number.isdigit())):
        raise UsageError(f"device {device!r} is not known; give one of auto, cpu, cuda, cuda:N, mps")
    if base == "cpu" or (base == "auto" and not may_have_gpu()):
        return "cpu"
    import torch

    if base == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if base == "cuda" and (not torch.cuda.is_available() or int(number or 0) >= torch.cuda.device_count()):
        raise UsageError(
            f"device {device!r} is not there; {torch.cuda.device_count()} CUDA devices are visible "
            "(`wsiseg doctor` says why; `--device cpu` always works)"
        )
    if base == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps' is not there; it needs a Mac with an Apple chip: leave --device out")
    return device


def may_have_gpu() -> bool:
    """Whether asking torch, which takes a second to import, could find a GPU."""
    if sys.platform == "darwin":
        return True
    drivers = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "libamdhip64.so")
    return any(_loads(driver) for driver in drivers)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
