"""Probes that run in a child process, because a broken library may crash it: imports, GPU, network, slide.

`main` prints one JSON line when a probe begins and one when it ends; any other output comes from libraries.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module, metadata
from typing import Any

MARK = "wsiseg-doctor "
MEASURED_S = 1.0
# Side of the squares in which a slide is read.
SQUARE_PX = 1024
MOST_SQUARES = 1000


def library(module: str, distribution: str) -> dict[str, Any]:
    """Import a library; return its version."""
    import_module(module)
    return {"version": metadata.version(distribution)}


def openslide() -> dict[str, Any]:
    """Return the versions of OpenSlide and of its Python binding."""
    import openslide as binding

    return {"version": metadata.version("openslide-python"), "library": binding.__library_version__}


def gpu() -> dict[str, Any]:
    """Return the GPUs that torch sees, and whether the system has a driver for one."""
    import torch

    from wsiseg.network.device import may_have_gpu

    cuda = torch.cuda.is_available()
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else []
    return {
        "cuda": names, "mps": torch.backends.mps.is_available(), "driver": may_have_gpu(),
        "built_for_cuda": torch.version.cuda, "torch": torch.__version__,
    }  # fmt: skip


def network(device: str) -> dict[str, Any]:
    """Run the shipped model on all cores for a second; return its speed."""
    from wsiseg.inference.survey import measure_speed
    from wsiseg.machine.cores import available_cores
    from wsiseg.network.engine import make_engine
    from wsiseg.network.model import load_model

    threads, model = available_cores(), load_model()
    engine = make_engine(model, device)
    seconds: list[float] = []
    began = time.monotonic()
    while not seconds or time.monotonic() - began < MEASURED_S:
        seconds.append(measure_speed(engine, threads))
    return {"engine": engine.name, "threads": threads, "mpp": model.info.mpp, "mp_per_s": 1 / min(seconds)}


def slide(path: str, reader: str) -> dict[str, Any]:
    """Read squares of level 0, each once, for a second with one thread; return the speed of a first read."""
    import random

    from wsiseg.slides.reader import open_slide

    forget(path)
    with open_slide(path, reader) as opened:
        width, height = opened.dimensions
        side = (min(SQUARE_PX, width), min(SQUARE_PX, height))
        xs, ys = range(0, width - side[0] + 1, SQUARE_PX), range(0, height - side[1] + 1, SQUARE_PX)
        corners = random.Random(0).sample(range(len(xs) * len(ys)), min(MOST_SQUARES, len(xs) * len(ys)))
        began, pixels = time.monotonic(), 0
        for corner in corners:
            opened.read_region(xs[corner % len(xs)], ys[corner // len(xs)], 0, *side)
            pixels += side[0] * side[1]
            if time.monotonic() - began > MEASURED_S:
                break
        seconds = time.monotonic() - began
        return {
            "reader": opened.reader, "width_l0": width, "height_l0": height, "mpp": opened.mpp,
            "warnings": list(opened.warnings), "mp_per_s": pixels / 1e6 / seconds,
        }  # fmt: skip


def forget(path: str) -> None:
    """Ask the system to drop its cached pages of a file, where it supports that."""
    if hasattr(os, "posix_fadvise") and os.path.isfile(path):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


PROBES: dict[str, Callable[..., dict[str, Any]]] = {
    "library": library, "openslide": openslide, "gpu": gpu, "network": network, "slide": slide,
}  # fmt: skip


def main(requests: list[list[str]]) -> None:
    """Run probes one after another; a request is the name of a probe and its arguments."""
    for request in requests:
        _say({"began": request})
        try:
            answer = PROBES[request[0]](*request[1:])
        except Exception as error:
            cause = str(error).strip().partition("\n")[0]
            kind = type(error).__name__
            expected = type(error).__module__ == "wsiseg.errors"
            answer = {"error": cause if expected else f"{kind}: {cause}" if cause else kind, "kind": kind}
        _say({"ended": request, "answer": answer})


def _say(line: dict[str, Any]) -> None:
    # Starts a new line, whatever a library has printed before.
    sys.stdout.write(f"\n{MARK}{json.dumps(line)}\n")
    sys.stdout.flush()
