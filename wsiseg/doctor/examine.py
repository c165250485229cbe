"""Turns the answers of the probes into the findings of `wsiseg doctor`."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from wsiseg import __version__
from wsiseg.doctor import machine
from wsiseg.doctor.ask import Answer, Request, ask
from wsiseg.doctor.findings import Examination, Finding

# Module: distribution. All of them are required by wsiseg.
NEEDED = {
    "numpy": "numpy", "scipy": "scipy", "cv2": "opencv-python-headless", "numba": "numba",
    "llvmlite": "llvmlite", "pydicom": "pydicom", "cachetools": "cachetools",
    "skimage": "scikit-image", "shapely": "shapely", "pyarrow": "pyarrow", "zarr": "zarr",
    "imagecodecs": "imagecodecs", "tifffile": "tifffile", "fsspec": "fsspec", "safetensors": "safetensors",
    "dask": "dask", "distributed": "distributed", "defusedxml": "defusedxml", "rich": "rich",
    "matplotlib": "matplotlib", "torch": "torch", "jinja2": "jinja2", "starlette": "starlette",
    "uvicorn": "uvicorn", "pandas": "pandas", "sklearn": "scikit-learn",
    "numcodecs": "numcodecs", "google_crc32c": "google-crc32c", "click": "click",
}  # fmt: skip
# For s3:// and https:// slides; the extra `cloud` installs them.
CLOUD = {"s3fs": "s3fs", "aiohttp": "aiohttp"}
READERS: dict[str, Request] = {
    "openslide": ("openslide",),
    "tiffslide": ("library", "tiffslide", "tiffslide"),
    "pillow": ("library", "PIL", "pillow"),
}
AGAIN = "pip install --force-reinstall"


def examine(slide: str | None = None, output: Path | None = None, reader: str = "auto") -> Examination:
    """Check everything; whatever is broken becomes a finding.

    Parameters
    ----------
    slide : str, optional
        Slide to open and read.
    output : Path, optional
        Output folder; the working folder if omitted.
    reader : str
        Reader of the slide.
    """
    requests: list[Request] = [*READERS.values(), ("gpu",), ("network", "auto")]
    requests += [("library", *item) for item in (NEEDED | CLOUD).items()]
    requests += [("slide", slide, reader)] if slide is not None else []
    answers = ask(requests)
    findings = [
        _readers({name: answers[request] for name, request in READERS.items()}),
        _libraries(answers),
        _cloud(answers),
        _gpu(answers[("gpu",)]),
        _network(answers[("network", "auto")]),
        machine.cores(),
        machine.memory(),
        machine.output(output or Path()),
    ]
    if slide is not None:
        findings.append(_slide(slide, answers[("slide", slide, reader)], answers[("network", "auto")]))
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Examination(__version__, platform.python_version(), system, tuple(findings))


def _readers(answers: Mapping[str, Answer]) -> Finding:
    broken = {name: answer["error"] for name, answer in answers.items() if "error" in answer}
    parts = []
    for name, answer in answers.items():
        library = f" (library {answer['library']})" if "library" in answer else ""
        parts.append(f"{name} {answer['version']}{library}" if name not in broken else f"{name} BROKEN")
    says, facts = ", ".join(parts), dict(answers)
    if not broken:
        return Finding("readers", "ok", says, facts=facts)
    packages = {"openslide": "openslide-python openslide-bin", "tiffslide": "tiffslide", "pillow": "pillow"}
    causes = "; ".join(f"{name}: {cause}" for name, cause in broken.items())
    todo = f"{AGAIN} {' '.join(packages[name] for name in broken)}"
    return Finding("readers", "bad", f"{says} ({causes})", todo, facts)


def _libraries(answers: Mapping[Request, Answer]) -> Finding:
    found = {package: answers[("library", module, package)] for module, package in NEEDED.items()}
    broken = {package: answer["error"] for package, answer in found.items() if "error" in answer}
    if broken:
        causes = "; ".join(f"{package}: {cause}" for package, cause in broken.items())
        return Finding("libraries", "bad", causes, f"{AGAIN} {' '.join(broken)}", found)
    shown = ("numpy", "torch", "zarr", "dask", "numba")
    named = ", ".join(f"{name} {found[name]['version']}" for name in shown)
    return Finding("libraries", "ok", f"{named} and {len(found) - len(shown)} more", facts=found)


def _cloud(answers: Mapping[Request, Answer]) -> Finding:
    found = {package: answers[("library", module, package)] for module, package in CLOUD.items()}
    if any("error" in answer for answer in found.values()):
        todo = f"for s3:// and https:// slides: pip install {' '.join(CLOUD.values())}"
        return Finding("URLs", "ok", "local slides only", todo, found)
    return Finding("URLs", "ok", "s3:// and https:// slides can be read", facts=found)


def _gpu(answer: Answer) -> Finding:
    if "error" in answer:
        return Finding("GPU", "note", f"torch cannot be asked: {answer['error']}", f"{AGAIN} torch", answer)
    if answer["cuda"]:
        return Finding("GPU", "ok", ", ".join(answer["cuda"]), facts=answer)
    if answer["mps"]:
        return Finding("GPU", "ok", "this Mac's GPU (mps)", facts=answer)
    if not answer["driver"]:
        return Finding("GPU", "ok", "none; wsiseg uses the CPU", facts=answer)
    if answer["built_for_cuda"] is None:
        todo = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126"
        says = f"a GPU driver is installed, but torch {answer['torch']} is a CPU-only build"
    else:
        todo = "run nvidia-smi: the driver may be too old for this torch, or the container has no GPU"
        says = f"a GPU driver is installed, but torch (CUDA {answer['built_for_cuda']}) finds no GPU"
    return Finding("GPU", "note", says, todo, answer)


def _network(answer: Answer) -> Finding:
    if "error" in answer:
        todo = f"{AGAIN} numba torch"
        return Finding("network", "bad", f"cannot run: {answer['error']}", todo, answer)
    says = f"{answer['engine']}: {answer['mp_per_s']:.1f} MP/s, {_area(answer):.2g} mm2 of tissue per second"
    return Finding("network", "ok", says, facts=answer)


def _area(network: Answer) -> float:
    """Return how many mm2 of tissue the network processes per second."""
    return float(network["mp_per_s"] * network["mpp"] ** 2)


def _slide(path: str, answer: Answer, network: Answer) -> Finding:
    if "error" in answer:
        cause = answer["error"].removeprefix(f"{path}: ")
        return Finding("slide", "bad", f"{path}: {cause}", "", answer)
    says = (
        f"{path}: {answer['reader']}, {answer['width_l0']:,} x {answer['height_l0']:,} px, "
        f"{answer['mp_per_s']:.0f} MP/s per thread"
    )
    notes: Sequence[str] = answer["warnings"]
    if answer["mpp"] is None:
        says = f"{says}; its micrometres per pixel are not recorded"
        return Finding("slide", "note", says, "give --slide-mpp (usually 0.25 at 40x, 0.5 at 20x)", answer)
    says = f"{says}, {answer['mpp']:.4g} um per pixel"
    if "error" not in network:
        read = answer["mp_per_s"] * answer["mpp"] ** 2 * network["threads"]
        if read < _area(network):
            says += "; reading is slower than the network"
            answer = answer | {"reading_is_slower": True}
    return Finding("slide", "note" if notes else "ok", "; ".join([says, *notes]), facts=answer)
