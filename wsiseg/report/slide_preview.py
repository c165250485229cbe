"""The preview of a slide that `predict` has just finished."""

from __future__ import annotations

from wsiseg.inference.slide import FinishedSlide
from wsiseg.report.preview import MAX_SIDE_PX, write_preview
from wsiseg.slides.overview import read_overview


def draw_preview(finished: FinishedSlide) -> None:
    """Write the preview PNG of a slide whose nuclei are known."""
    slide, frame = finished.slide, finished.frame
    overview = read_overview(slide, max(1.0, max(slide.dimensions) / MAX_SIDE_PX))
    write_preview(
        finished.path,
        overview.rgb,
        scale_l0=overview.scale_l0,
        mpp_l0=frame.mpp / frame.scale_l0,
        tissue_outlines_l0=finished.tissue.outlines_l0(),
        batches_of_polygons=(
            table["geometry"].to_numpy(zero_copy_only=False) for table in finished.batches()
        ),
        title=finished.name,
        count=finished.nuclei,
        area_mm2=finished.tissue.share * frame.width * frame.height * frame.mpp**2 * 1e-6,
    )
