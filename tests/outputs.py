"""What tests read of the outputs of `predict`."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from wsiseg.config import ObjectsConfig, PredictConfig
from wsiseg.inference.batch import predict_slides
from wsiseg.inference.observer import PredictObserver
from wsiseg.inference.pages import Pages
from wsiseg.inference.place import Place
from wsiseg.inference.slide_report import SlideReport
from wsiseg.machine.marks import marked_jpeg
from wsiseg.network.model import load_model
from wsiseg.objects.certainty import is_certain
from wsiseg.objects.records import describe
from wsiseg.objects.segment import Segmented, segment_whole
from wsiseg.slides.expand import expand
from wsiseg.slides.overview import Overview
from wsiseg.store.slide_store import SlideStore


class NoPages(Pages):
    """Draws next to nothing: pictures and pages take longer than all else on a small slide."""

    def draw(self, store: SlideStore, thumbnail: Overview, path: Path) -> None:
        """Leave no more than the mark for the preview."""
        path.write_bytes(marked_jpeg(b"\xff\xd8"))

    def add(self, report: SlideReport) -> None:
        """Make no page."""


def predicted(
    slides: Path | list[Path],
    output: Path,
    model: Path,
    *,
    slide_mpp: float | None = None,
    observer: PredictObserver | None = None,
    **settings: Any,
) -> list[SlideReport]:
    """Run `predict` in this process without previews; settings are those of `PredictConfig`."""
    paths = [slides] if isinstance(slides, Path) else slides
    sources = expand([str(path) for path in paths], slide_mpp)
    place, config = Place(output), PredictConfig(**settings)
    return predict_slides(sources, place, load_model(model), config, NoPages(), observer)


def array(store: Path, name: str) -> NDArray[Any]:
    """Return one array of a store."""
    found = zarr.open_group(store, mode="r")[name]
    assert isinstance(found, zarr.Array)
    return np.asarray(found[:])


def whole_nuclei(confidence: NDArray[np.uint8], mpp: float, config: ObjectsConfig) -> Segmented:
    """Return the nuclei of a whole frame in one window, those that are certain, at threshold 0.5."""
    found = segment_whole(confidence, mpp, config, 0.5)
    table = describe(found, None, mpp, 1.0, config)
    area, mean = (table[name].to_numpy() for name in ("area_um2", "mean_confidence"))
    return found.kept(is_certain(area, mean, 0.5, config.certainty))


def digests(folder: Path, name: str = "slide") -> dict[str, str]:
    """Return the hash of each output of a slide: files by their bytes, the store by its arrays."""
    store = folder / f"{name}.zarr"
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.glob(f"{name}.*"))
        if file.suffix in (".geojson", ".gz", ".parquet")
    }
    for path in sorted(store.rglob("zarr.json")):
        place = str(path.parent.relative_to(store))
        if json.loads(path.read_text())["node_type"] == "array" and not place.startswith("status"):
            found[place] = hashlib.sha256(array(store, place).tobytes()).hexdigest()
    return found


def summary(folder: Path) -> dict[str, dict[str, str]]:
    """Return the rows of summary.csv by name."""
    with (folder / "summary.csv").open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def features(path: Path) -> list[dict[str, Any]]:
    """Return the features of a GeoJSON file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["type"] == "FeatureCollection"
    found: list[dict[str, Any]] = document["features"]
    return found
