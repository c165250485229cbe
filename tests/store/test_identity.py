"""What differs between two runs on one store, in words."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from wsiseg.store.identity import FrameInfo, Identity

MINE = Identity(
    "m", "s", FrameInfo(4, 3, 0.5, 2.0), {"threshold": None, "scales_um": (1.0, 2.0)}, {"mask": "abc"}
)


def stored(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(replace(MINE, **changes))))


def test_what_was_stored_is_the_same() -> None:
    assert MINE.differences(stored()) == []


def test_a_store_from_before_there_was_a_choice_of_measurements_is_basic() -> None:
    for choice, says in {
        "basic": [],
        "all": ["objects.measurements: 'basic' there, 'all' asked for"],
    }.items():
        now = replace(MINE, objects={**MINE.objects, "measurements": choice})
        assert now.differences(stored()) == says


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": "n"}, "another model"),
        ({"slide": "t"}, "another slide, or its file has changed"),
        ({"tissue": {"mask": "def"}}, "another tissue mask"),
        ({"frame": FrameInfo(4, 3, 0.25, 2.0)}, "frame.mpp: 0.25 there, 0.5 asked for"),
        (
            {"objects": {"threshold": 0.4, "scales_um": (1.0, 2.0)}},
            "objects.threshold: 0.4 there, the slide's own asked for",
        ),
    ],
)
def test_each_difference_is_named(changes: dict[str, Any], says: str) -> None:
    assert MINE.differences(stored(**changes)) == [says]
