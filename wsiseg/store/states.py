"""The progress of a slide: its stages, and the state of each block, tile or shard."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple


class State(IntEnum):
    """State of one block, tile or shard, as status arrays hold it."""

    TODO = 0
    DONE = 1
    # Could not be read, stays empty.
    FAILED = 2


class Stage(StrEnum):
    """The stages of a slide, with one status array each; pyramids have one for each level from 1."""

    NETWORK = "network"
    OBJECTS = "objects"
    CONFIDENCE_PYRAMID = "confidence pyramid"
    LABELS = "labels"
    LABEL_PYRAMID = "label pyramid"


class Key(NamedTuple):
    """One block, tile or shard of a stage; `level` is that of a pyramid, else 0."""

    stage: Stage
    level: int
    row: int
    col: int


class Progress(StrEnum):
    """The progress of a store, as its root attributes record it."""

    UNFINISHED = "unfinished"
    COMPLETE = "complete"
