"""Which region each nucleus lies in, and how many there are in each."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wsiseg.config import TissueConfig
from wsiseg.errors import SlideError
from wsiseg.objects.records import REGION
from wsiseg.slides.regions import SEPARATOR, Regions, regions_file
from wsiseg.slides.sources import SlideSource, possible_names
from wsiseg.store.numbering import NUCLEI
from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import Stage, State


def tissue_of(config: TissueConfig, source: SlideSource) -> TissueConfig:
    """Return the settings with the file of a slide's own regions.

    Raises
    ------
    SlideError
        If its folder of regions has none for it.
    """
    from dataclasses import replace

    given = source.regions or config.regions
    if given is None:
        return config
    path = regions_file(given, possible_names(source))
    if path is None:
        raise SlideError(
            source.path, f"has no regions in {given}; put {source.name}.geojson there, or leave the slide out"
        )
    return replace(config, regions=path)


def in_regions(nuclei: pa.Table, regions: Regions) -> pa.Table:
    """Return the nuclei whose centre lies in a region, with the names of all that hold it."""
    if not regions:
        return nuclei
    held = regions.holding(*(nuclei[f"centroid_{axis}_l0"].to_numpy() for axis in "xy"))
    inside = held.any(0)
    names = [SEPARATOR.join(region.name for region, is_in in zip(regions, some, strict=True) if is_in)
             for some in held[:, inside].T]  # fmt: skip
    return nuclei.filter(pa.array(inside)).append_column(REGION, pa.array(names, REGION.type))


def count_regions(store: SlideStore) -> list[dict[str, Any]]:
    """Return for each region of a slide its name, class, area, nuclei and their density, in order."""
    regions, frame = store.regions, store.frame
    nuclei: npt.NDArray[np.int64] = np.zeros(len(regions), np.int64)
    if regions:
        for row, col in np.argwhere(store.states(Stage.OBJECTS).all() == State.DONE):
            columns = ("centroid_x_l0", "centroid_y_l0")
            table = store.read_records(int(row), int(col), NUCLEI, columns)
            nuclei += regions.holding(*(table[name].to_numpy() for name in columns)).sum(1)
    areas_mm2 = [area * (frame.mpp / frame.scale_l0) ** 2 * 1e-6 for area in _areas_l0(store)]
    return [
        {
            "name": region.name,
            "class": region.classification,
            "area_mm2": round(area, 6),
            "nuclei": int(count),
            "nuclei_per_mm2": round(int(count) / area, 1) if area else 0.0,
        }
        for region, count, area in zip(regions, nuclei, areas_mm2, strict=False)
    ]


def computed_mm2(store: SlideStore) -> float:
    """Return the area that nuclei are counted on: all regions together, or the tissue."""
    frame = store.frame
    if store.regions:
        return _areas_l0(store)[-1] * (frame.mpp / frame.scale_l0) ** 2 * 1e-6
    return store.tissue.share * frame.width * frame.height * frame.mpp**2 * 1e-6


def _areas_l0(store: SlideStore) -> list[float]:
    frame = store.frame
    return store.regions.areas_l0(round(frame.width * frame.scale_l0), round(frame.height * frame.scale_l0))
