"""Simplified outlines: holes below the tolerance, and what a real slide's outlines look like."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from numpy.typing import NDArray
from objects.fields import picture
from skimage.measure import regionprops

from wsiseg.objects.outlines import trace
from wsiseg.objects.simplify import simplified


def right_angles_in_a_row(ring: NDArray[np.float64]) -> int:
    """Return the longest run of corners of 90 degrees along a closed ring of points, shape (n, 2)."""
    edges = np.diff(ring, axis=0)
    following = np.roll(edges, -1, axis=0)
    lengths = np.hypot(*edges.T) * np.hypot(*following.T)
    right = np.abs((edges * following).sum(axis=1)) < 0.02 * lengths
    longest = run = 0
    for corner in np.concatenate([right, right]):  # twice round: a run may pass the ring's first point
        run = run + 1 if corner else 0
        longest = max(longest, min(run, len(right)))
    return longest


def test_a_hole_below_the_tolerance_is_dropped_and_the_outline_is_still_thinned() -> None:
    mask = picture(
        """
        ..######..
        .########.
        ##########
        ##########
        ####.#####
        #########.
        ..######.#
        """
    )
    exact = trace(mask.astype(np.int32), np.ones(1, bool))
    assert len(exact.owners) == 2
    smooth = simplified(exact, np.array([mask.sum()]), 1.0)
    assert smooth.owners.tolist() == [0]
    assert right_angles_in_a_row(exact.points[: exact.starts[1]]) > 5
    assert right_angles_in_a_row(smooth.points) < 3


def test_a_hole_above_the_tolerance_stays() -> None:
    labels = np.ones((20, 20), np.int32)
    labels[6:13, 7:14] = 0
    smooth = simplified(trace(labels, np.ones(1, bool)), np.array([(labels == 1).sum()]), 0.5)
    assert smooth.owners.tolist() == [0, 0]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, shared_data: Path, command) -> Path:  # type: ignore[no-untyped-def]
    out = tmp_path_factory.mktemp("real")
    done = command("predict", shared_data / "slides" / "CMU-1-Small-Region.svs", "-o", out, "-q")
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
@pytest.mark.real_data
def test_no_outline_of_a_real_slide_is_a_staircase(real: Path) -> None:
    features = json.loads((real / "CMU-1-Small-Region.geojson").read_text())["features"]
    rings = []
    for feature in features:
        geometry = feature["geometry"]
        parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        rings += [np.array(ring) for part in parts for ring in part]
    assert len(rings) > 1000
    assert max(map(right_angles_in_a_row, rings)) <= 4


@pytest.mark.slow
@pytest.mark.real_data
def test_perimeter_and_circularity_of_a_real_slide_are_near_those_of_scikit_image(real: Path) -> None:
    store = zarr.open_group(real / "CMU-1-Small-Region.zarr", mode="r")
    labels = store["labels/nuclei/0"]
    assert isinstance(labels, zarr.Array)
    table = pd.read_parquet(real / "CMU-1-Small-Region.parquet")
    regions = regionprops(np.asarray(labels[:]))
    assert [region.label for region in regions] == table["id"].tolist()
    mpp = float(np.sqrt(table["area_um2"].iloc[0] / regions[0].area))
    perimeter_um = mpp * np.array([region.perimeter_crofton for region in regions])
    ratio = table["perimeter_um"].to_numpy() / perimeter_um
    assert np.median(ratio) == pytest.approx(1, abs=0.05)
    assert ratio.min() > 0.8
    assert ratio.max() < 1.15
    circularity = np.minimum(1, 4 * np.pi * table["area_um2"].to_numpy() / perimeter_um**2)
    assert np.abs(table["circularity"].to_numpy() - circularity).max() < 0.25
