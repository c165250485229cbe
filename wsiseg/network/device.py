"""Resolves the name of a device on this machine."""

from __future__ import annotations

import ctypes
import sys

from wsiseg.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")


def resolve_device(device: str) -> str:
    """Return the device to use: the best one for `auto`, else the requested one if it exists.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "cuda:N", "mps"}
        `auto` takes CUDA, then MPS, then the CPU.

    Raises
    ------
    UsageError
        If the device is unknown or does not exist here.
    """
    base, _, number = device.partition(":")
    if base not in DEVICES or (number and not (base == "cuda" and number.isdigit())):
        raise UsageError(f"unknown device {device!r}; use auto, cpu, cuda, cuda:N or mps")
    if base == "cpu" or (base == "auto" and not may_have_gpu()):
        return "cpu"
    import torch

    if base == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if base == "cuda" and (not torch.cuda.is_available() or int(number or 0) >= torch.cuda.device_count()):
        raise UsageError(
            f"no device {device!r} on this machine, which has {torch.cuda.device_count()} CUDA devices "
            "(`wsiseg doctor` says why; `--device cpu` always works)"
        )
    if base == "mps" and not torch.backends.mps.is_available():
        raise UsageError("no device 'mps' on this machine; it needs a Mac with an Apple chip: omit --device")
    return device


def may_have_gpu() -> bool:
    """Whether torch, which takes a second to import, could find a GPU."""
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
