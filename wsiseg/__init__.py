"""wsiseg: nuclei in whole-slide images, learned from the slides themselves, without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsiseg.api import fit, predict
    from wsiseg.evaluation.evaluate import evaluate
    from wsiseg.inference.export import export
    from wsiseg.inference.one_image import segment
    from wsiseg.network.model import load_model
    from wsiseg.objects.nuclei_frame import read_nuclei
    from wsiseg.slides.reader import open_slide

__version__ = "0.1.0"
__all__ = [
    "__version__", "evaluate", "export", "fit", "load_model", "open_slide", "predict", "read_nuclei",
    "segment",
]  # fmt: skip

_HOMES = {
    "evaluate": "wsiseg.evaluation.evaluate",
    "export": "wsiseg.inference.export",
    "fit": "wsiseg.api",
    "load_model": "wsiseg.network.model",
    "open_slide": "wsiseg.slides.reader",
    "predict": "wsiseg.api",
    "read_nuclei": "wsiseg.objects.nuclei_frame",
    "segment": "wsiseg.inference.one_image",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for: torch and zarr take seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List what is public, and nothing else."""
    return [*__all__, "__doc__", "__name__"]
