"""Which nuclei are certain enough, by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from wsiseg.objects.certainty import USUAL_UM2, certain_ones, is_certain


@pytest.mark.parametrize(
    ("area_um2", "confidence", "threshold", "kept"),
    [
        (USUAL_UM2, 0.71, 0.5, True),  # 0.5 + 0.4 of the other half is 0.7
        (USUAL_UM2, 0.69, 0.5, False),
        (USUAL_UM2, 0.53, 0.2, True),  # 0.2 + 0.4 x 0.8 is 0.52
        (USUAL_UM2, 0.51, 0.2, False),
        (USUAL_UM2 / np.e, 0.79, 0.5, False),  # smaller: 0.5 + 0.6 / 2
        (USUAL_UM2 / np.e, 0.81, 0.5, True),
        (USUAL_UM2 * np.e, 0.61, 0.5, True),  # larger: 0.5 + 0.2 / 2
        (USUAL_UM2 * np.e, 0.59, 0.5, False),
        (USUAL_UM2 * np.e**2, 0.5, 0.5, True),  # so large that nothing is asked of it
    ],
)
def test_small_nuclei_must_stand_out_more(
    area_um2: float, confidence: float, threshold: float, kept: bool
) -> None:
    assert is_certain(np.array([area_um2]), np.array([confidence]), threshold, 0.4).tolist() == [kept]


def test_none_is_asked_for_and_all_are_kept() -> None:
    area, confidence = np.array([1.0, 1.0]), np.array([0.5, 0.499])
    assert is_certain(area, confidence, 0.5, 0.0).all()
    table = pa.table({"area_um2": area, "mean_confidence": confidence, "id": [4, 7]})
    assert certain_ones(table, 0.5, 0.0) == table


def test_rows_are_dropped_in_their_order() -> None:
    table = pa.table({"area_um2": [25.0, 25.0, 25.0], "mean_confidence": [0.9, 0.6, 0.8], "id": [1, 2, 3]})
    assert certain_ones(table, 0.5, 0.4)["id"].to_pylist() == [1, 3]
    assert certain_ones(table.slice(0, 0), 0.5, 0.4).num_rows == 0
