"""Whether a worker of a cluster can compute for a client: it has the same software and sees the files."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata

from wsiseg import __version__
from wsiseg.errors import ClusterError, WsisegError
from wsiseg.network.device import resolve_device
from wsiseg.slides.reader import open_slide
from wsiseg.store.slide_store import SlideStore

# Packages that decide the bytes of an output, and packages that must speak the same protocol.
PACKAGES = (
    *("cloudpickle", "dask", "distributed", "numba", "numpy", "opencv-python-headless"),
    *("pyarrow", "scipy", "shapely", "zarr"),
)
NOT_THERE = "not installed"


@dataclass(frozen=True)
class Terms:
    """What a client demands of every process that computes a slide for it.

    Parameters
    ----------
    versions : tuple of (name, version)
        The client's, as `environment` returns them.
    slide, reader : str
        The slide that must open, and the reader that must open it.
    store : str
        The store that must be there.
    """

    versions: tuple[tuple[str, str], ...]
    slide: str
    reader: str
    store: str


def environment() -> dict[str, str]:
    """Return the versions that must be the same on the client and on every worker."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "wsiseg": __version__}
    return found | {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return NOT_THERE


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """Return, as text, which versions of a worker differ from the client's."""
    return [
        f"{name} {there.get(name, NOT_THERE)} instead of {version}"
        for name, version in here.items()
        if there.get(name, NOT_THERE) != version
    ]


def backend(device: str) -> str:
    """Return what runs the network in this process; equal answers mean equal rounding."""
    kind = resolve_device(device).partition(":")[0]
    if kind == "cpu":
        from wsiseg.network.fused import kernel_name

        return kernel_name()
    return f"torch {_version('torch')} on {kind}"


def objection(terms: Terms) -> str | None:
    """Return, as text, why this process cannot meet the terms; None if it can."""
    other = differences(dict(terms.versions), environment())
    if other:
        return f"has other software than the client ({', '.join(other)}); install the same everywhere"
    try:
        with open_slide(terms.slide, reader=terms.reader):
            pass
        SlideStore(terms.store).provenance  # noqa: B018
    except (WsisegError, OSError) as error:
        return f"cannot work on the slide ({error}); slides and outputs must be where all workers see them"
    return None


@lru_cache(maxsize=64)
def admit(terms: Terms) -> None:
    """Raise ClusterError if this process, which may have joined late, cannot meet the terms."""
    reason = objection(terms)
    if reason is not None:
        raise ClusterError(f"a worker on {platform.node()} {reason}")
