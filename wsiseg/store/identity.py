"""The identity of a store: slide, model and settings; runs share a store only if all of it is equal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class FrameInfo:
    """The slide at the model's resolution: pixels, micrometres per pixel, level-0 pixels per pixel."""

    width: int
    height: int
    mpp: float
    scale_l0: float


@dataclass(frozen=True)
class Identity:
    """What must be equal for two runs to share a store.

    Parameters
    ----------
    model : str
        SHA-256 of the model file.
    slide : str
        Fingerprint of the slide.
    frame : FrameInfo
        Size and resolution of the images.
    objects, tissue : dict
        Settings of the two; the threshold of objects is None where each slide has its own.
    """

    model: str
    slide: str
    frame: FrameInfo
    objects: Mapping[str, Any]
    tissue: Mapping[str, Any]

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Return, as text, where a stored identity differs."""
        mine = _flat(json.loads(json.dumps(asdict(self))))
        theirs = _flat(stored)
        if "objects.measurements" in mine:
            # Stores from before there was a choice.
            theirs.setdefault("objects.measurements", "basic")
        return [
            _HASHED.get(key)
            or f"{key}: {_in_words(theirs.get(key))} there, {_in_words(mine.get(key))} asked for"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]


# Entries that are hashes, which mean nothing to a reader.
_HASHED = {
    "model": "another model",
    "slide": "another slide, or its file has changed",
    "tissue.mask": "another tissue mask",
    "tissue.regions": "other regions",
}


def _in_words(value: Any) -> str:
    return "the slide's own" if value is None else repr(value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
