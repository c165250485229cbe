"""The page of a slide: where its nuclei are, what they look like, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsiseg.command_text import command_line
from wsiseg.errors import WsisegError
from wsiseg.report.charts import histogram
from wsiseg.report.legend import scale_bar
from wsiseg.report.page import (
    data_uri,
    duration,
    jpeg,
    number,
    remove_leftovers,
    write_page,
)
from wsiseg.report.sample_fields import (
    choose_fields,
    outlines,
    picture_name,
    stain_picture,
    write_pictures,
)
from wsiseg.report.slide_maps import density_map, tissue_path
from wsiseg.report.slide_numbers import SlideNumbers, count_up
from wsiseg.report.thumbnail import report_folder, write_thumbnail
from wsiseg.store.outputs import PAGE, THUMBNAIL, Outputs
from wsiseg.store.slide_store import SlideStore
from wsiseg.tiles import Box

if TYPE_CHECKING:
    from wsiseg.slides.slide import Slide

STAGES = {
    "tissue": "finding tissue",
    "threshold": "choosing the threshold",
    "read": "reading the slide",
    "network": "network",
    "objects": "finding nuclei",
    "describe": "measuring nuclei",
    "write": "writing the store",
    "polygons": "writing polygons",
    "preview": "preview",
    "labels": "label image",
    "pyramid": "pyramids",
}
# The tenth of the nuclei in which the confidence is lowest is drawn in another colour.
UNSURE_SHARE = 0.1


@dataclass(frozen=True)
class Field:
    """A sample field as the template shows it."""

    picture: str
    box: Box
    place: str
    bar_share: float
    bar_text: str
    nuclei: list[dict[str, Any]]


def write_slide_page(outputs: Outputs, reader: str = "auto", seconds: float | None = None) -> Path:
    """Write the page of a finished slide from its store and table; make missing pictures.

    The network does not run, and no nuclei are searched. The slide is opened for missing pictures only; where
    it is gone the page shows what the store holds.

    Parameters
    ----------
    outputs : Outputs
        Where the slide's files are.
    reader : str
        Library that opens the slide.
    seconds : float, optional
        From start to end, where it is known.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    StoreError
        If the store or the table cannot be read.
    """
    store = SlideStore(outputs.store)
    numbers = count_up(outputs.parquet, store.frame)
    drawn, unsure = choose_fields(numbers, store)
    folder = report_folder(outputs.folder, outputs.name)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    gone = _make_pictures(folder, [*drawn, *unsure], store, reader)
    least = numbers.confidence.quantile(UNSURE_SHARE) or 0.0
    page = folder / PAGE
    write_page(
        page,
        "slide.html",
        name=outputs.name,
        seconds=seconds,
        **_described(store, numbers),
        thumbnail=_thumbnail(folder, store),
        tissue_path=tissue_path(store.tissue, store.frame),
        failures=_failed(store),
        frame=store.frame,
        overview_bar=_bar(store.frame.mpp, store.frame.width),
        density=density_map(numbers, store.tissue, store.frame),
        drawn=[_field(folder, box, store, least) for box in drawn],
        unsure=[_field(folder, box, store, least) for box in unsure],
        unsure_below=least,
        slide_gone=gone,
        charts=[
            histogram("Area", "µm²", numbers.area),
            histogram("Circularity", "", numbers.circularity),
            histogram("Haematoxylin", "", numbers.stain, "mean optical density under a nucleus"),
            histogram("Confidence", "", numbers.confidence, "mean over a nucleus, 0 to 1"),
        ],
        view_command=command_line("wsiseg", "view", outputs.store.resolve()),
        report_command=command_line("wsiseg", "report", outputs.folder.resolve()),
    )
    return page


def _make_pictures(folder: Path, boxes: list[Box], store: SlideStore, reader: str) -> str:
    """Make missing pictures; return why the slide could not be opened, or nothing."""
    from wsiseg.slides import open_slide

    missing = [box for box in boxes if not (folder / picture_name(box)).exists()]
    if not missing and (folder / THUMBNAIL).exists():
        return ""
    try:
        with open_slide(str(store.provenance["slide"]), reader=reader) as slide:
            if slide.fingerprint != store.fingerprint:
                return "the file of that name is another slide now"
            if not (folder / THUMBNAIL).exists():
                _thumbnail_of(folder, slide)
            write_pictures(folder, missing, slide, store.frame)
    except (WsisegError, OSError) as error:
        return str(getattr(error, "cause", error))
    return ""


def _thumbnail_of(folder: Path, slide: Slide) -> None:
    from wsiseg.report.thumbnail import SIDE_PX
    from wsiseg.slides.overview import read_overview

    write_thumbnail(folder, read_overview(slide, max(1.0, max(slide.dimensions) / SIDE_PX)).rgb)


def _thumbnail(folder: Path, store: SlideStore) -> str:
    """Return the URL of the thumbnail; without one, the coarsest confidence."""
    if (folder / THUMBNAIL).exists():
        return THUMBNAIL
    coarsest = store.confidence[-1].read(store.confidence[-1].frame)
    return data_uri(jpeg(255 - np.ascontiguousarray(coarsest, np.uint8)), "jpeg")


def _described(store: SlideStore, numbers: SlideNumbers) -> dict[str, Any]:
    told, summary = store.provenance, store.provenance.get("summary", {})
    frame, objects = store.frame, told["identity"]["objects"]
    own = " (the slide's own)" if objects["threshold"] is None else ""
    width_l0, height_l0 = (round(side * frame.scale_l0) for side in (frame.width, frame.height))
    mpp_l0 = frame.mpp / frame.scale_l0
    tissue_mm2 = float(summary.get("tissue_mm2") or 0.0)
    per_mm2 = numbers.nuclei / tissue_mm2 if tissue_mm2 else None
    failed, tiles = int(summary.get("failed_tiles") or 0), int(summary.get("tiles") or 0)
    model = told.get("model", {})
    return {
        "state": "incomplete" if failed else "done",
        "cause": summary.get("cause", ""),
        "warnings": summary.get("warnings", ""),
        "nuclei": numbers.nuclei,
        "other_count": None if summary.get("nuclei") == numbers.nuclei else summary.get("nuclei"),
        "tissue_mm2": tissue_mm2,
        "per_mm2": per_mm2,
        "median_area": numbers.area.quantile(0.5),
        "failed_tiles": failed,
        "tiles": tiles,
        "regions": summary.get("regions") or [],
        "types": summary.get("types") or [],
        "stages": _stages(summary.get("stage_seconds") or {}),
        "facts": [
            ("Slide", told.get("slide", "")),
            ("Read with", summary.get("reader", "")),
            ("Size", f"{width_l0:,} × {height_l0:,} px at {number(mpp_l0, 4)} µm per pixel"),
            ("Network worked at", f"{number(frame.mpp, 4)} µm per pixel"),
            ("Pixels computed", f"{number(summary.get('megapixels'))} million"),
            ("Model", f"{told['identity']['model'][:12]}, preset {model.get('preset', '–')}"),
            ("Computed by", summary.get("engine", "")),
            ("Threshold", f"{store.threshold:g}{own}"),
            ("Smallest nucleus", f"{number(objects.get('min_area_um2'))} µm²"),
            ("Certainty of a nucleus", f"{number(objects.get('certainty'))} or more"),
            ("Touching nuclei", "parted" if objects.get("split") else "left in one piece"),
        ],
    }  # fmt: skip


def _stages(seconds: dict[str, float]) -> list[dict[str, Any]]:
    total, longest = sum(seconds.values()), max(seconds.values(), default=0.0)
    known = [name for name in STAGES if name in seconds]
    return [
        {
            "name": STAGES.get(name, name),
            "seconds": duration(seconds[name]),
            "length": round(100 * seconds[name] / longest, 1) if longest else 0,
            "share": f"{round(100 * seconds[name] / total) if total else 0} %",
        }
        for name in (*known, *sorted(seconds.keys() - STAGES.keys()))
    ]


def _failed(store: SlideStore) -> list[dict[str, Any]]:
    """Return the blocks that could not be read, as rectangles in pixels of the frame."""
    found = []
    for failure in store.provenance.get("failures") or []:
        core = store.blocks.tile(int(failure["row"]), int(failure["col"])).core
        found.append({"box": core, "cause": str(failure["cause"])})
    return found


def _bar(mpp: float, width_px: int) -> tuple[float, str]:
    """Return the length of a scale bar as a share of the width, and its text."""
    length, text = scale_bar(mpp, width_px)
    return round(100 * length / width_px, 2), text


def _field(folder: Path, box: Box, store: SlideStore, least: float) -> Field:
    picture = picture_name(box)
    if not (folder / picture).exists():
        picture = data_uri(jpeg(stain_picture(store, box)), "jpeg")
    frame = store.frame
    x_l0, y_l0 = (round(side * frame.scale_l0) for side in (box.x0, box.y0))
    length, text = _bar(frame.mpp, box.width)
    nuclei = [
        {
            "path": nucleus.path,
            "kind": "unsure" if nucleus.confidence < least else "sure",
            "tip": f"nucleus {nucleus.id}: confidence {nucleus.confidence:.2f}",
        }
        for nucleus in outlines(store, box)
    ]
    return Field(picture, box, f"x {x_l0:,}, y {y_l0:,}", length, text, nuclei)
