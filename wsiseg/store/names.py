"""The paths inside a store; no other module knows them."""

from __future__ import annotations

from wsiseg.store.states import Stage

NUCLEI = "labels/nuclei"
HAEMATOXYLIN = "haematoxylin"
# Haematoxylin, eosin and grey level at full resolution, where all is measured.
PLANES = ("stains/haematoxylin", "stains/eosin", "stains/grey")
TISSUE = "tissue"
REGIONS = "regions"
# What is only of use while the slide is worked on.
WORK = "work"
TILE_LABELS = f"{WORK}/labels"
RECORDS = f"{WORK}/records"
FAILURES = f"{WORK}/failures"
KEYS = f"{WORK}/keys.npy"


def confidence(level: int) -> str:
    """Return the path of a level of confidence."""
    return str(level)


def labels(level: int) -> str:
    """Return the path of a level of labels."""
    return f"{NUCLEI}/{level}"


def states(stage: Stage, level: int = 0) -> str:
    """Return the path of a stage's status array."""
    match stage:
        case Stage.NETWORK | Stage.OBJECTS:
            return f"status/{stage}"
        case Stage.LABELS:
            return f"{WORK}/status/{stage}"
        case Stage.CONFIDENCE_PYRAMID:
            return f"{WORK}/made/{confidence(level)}"
        case Stage.LABEL_PYRAMID:
            return f"{WORK}/made/{labels(level)}"
