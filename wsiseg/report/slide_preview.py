"""The preview of a slide whose nuclei `predict` has just numbered."""

from __future__ import annotations

from pathlib import Path

from wsiseg.report.preview import write_preview
from wsiseg.slides.overview import Overview
from wsiseg.store.numbering import numbered_nuclei
from wsiseg.store.slide_store import SlideStore


def draw_preview(store: SlideStore, thumbnail: Overview, path: Path) -> None:
    """Write the preview of a slide whose nuclei are numbered."""
    frame, tissue = store.frame, store.tissue
    write_preview(
        path,
        thumbnail.rgb,
        scale_l0=thumbnail.scale_l0,
        mpp_l0=frame.mpp / frame.scale_l0,
        tissue_outlines_l0=tissue.outlines_l0(),
        batches=numbered_nuclei(store),
        title=store.name,
        count=len(store.keys),
        area_mm2=tissue.share * frame.width * frame.height * frame.mpp**2 * 1e-6,
    )
