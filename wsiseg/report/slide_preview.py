"""The preview of a slide that `predict` has just finished."""

from __future__ import annotations

from wsiseg.inference.slide import FinishedSlide
from wsiseg.report.preview import write_preview
from wsiseg.report.thumbnail import start_report


def draw_preview(finished: FinishedSlide) -> None:
    """Write the preview of a slide whose nuclei are known, and the thumbnail of its report."""
    frame, overview = finished.frame, finished.thumbnail
    start_report(finished.path.parent, finished.name, overview.rgb)
    write_preview(
        finished.path,
        overview.rgb,
        scale_l0=overview.scale_l0,
        mpp_l0=frame.mpp / frame.scale_l0,
        tissue_outlines_l0=finished.tissue.outlines_l0(),
        batches=finished.batches(),
        title=finished.name,
        count=finished.nuclei,
        area_mm2=finished.tissue.share * frame.width * frame.height * frame.mpp**2 * 1e-6,
    )
