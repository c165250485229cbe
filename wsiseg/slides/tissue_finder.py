"""Find the tissue of a slide: where it is seen, where the user drew it, or everywhere."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from wsiseg.config import TissueConfig
from wsiseg.errors import SlideError
from wsiseg.slides.looks import no_he, odd_looks
from wsiseg.slides.overview import read_overview
from wsiseg.slides.regions import MARGIN_UM, read_regions
from wsiseg.slides.slide import Slide
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.tissue_detector import detect
from wsiseg.slides.tissue_mask import read_mask

SHORTEST_SIDE_PX = 128
FINE_MASK_PX = 2**20


def everywhere(slide: Slide) -> Tissue:
    """Return a mask of one pixel that marks the whole slide as tissue."""
    return Tissue(np.ones((1, 1), np.bool_), float(max(slide.dimensions)))


def find_tissue(slide: Slide, config: TissueConfig, slide_mpp: float, mask_origin: str = "slide") -> Tissue:
    """Find where a slide has tissue.

    Parameters
    ----------
    slide : Slide
        The open slide.
    config : TissueConfig
        How tissue is found.
    slide_mpp : float
        Micrometres per level-0 pixel.
    mask_origin : {"slide", "scan"}
        Whose corner coordinates in a GeoJSON mask or in regions count from.

    Returns
    -------
    Tissue
        All False for an empty slide.

    Raises
    ------
    SlideError
        When the slide cannot be decoded, looks like no H&E, or lacks its original level (the last two unless
        the config accepts them).
    UsageError
        When the user's mask or regions cannot be read or does not fit the slide.
    """
    scale_l0 = max(1.0, config.mpp / slide_mpp)
    given: Tissue | None = None
    origin_l0 = corner_l0(slide, mask_origin)
    if config.regions is not None:
        margin_px = math.ceil(MARGIN_UM / (scale_l0 * slide_mpp))
        given = read_regions(config.regions, origin_l0).tissue(slide.dimensions, scale_l0, margin_px)
    elif config.mask is not None:
        given = read_mask(config.mask, slide.dimensions, scale_l0, origin_l0)
    elif not config.detect:
        given = everywhere(slide)
    # a small image needs finer mask pixels, or its mask would be a handful of them; a long and thin one not
    width, height = slide.dimensions
    finest_useful = max(min(width, height) / SHORTEST_SIDE_PX, math.sqrt(width * height / FINE_MASK_PX))
    overview = read_overview(slide, max(1.0, min(scale_l0, finest_useful)))
    found = detect(overview.rgb, overview.scale_l0 * slide_mpp, overview.known)
    has_tissue = bool(found.core.any())
    refusals = (slide.facts.refusal, no_he(overview.rgb, overview.known, has_tissue))
    remarks = tuple(text for text in refusals if text)
    if remarks and not config.accept_odd:
        raise SlideError(slide.path, f"{'; '.join(remarks)}; --accept-odd takes it all the same")
    if given is not None:
        seen = () if remarks else odd_looks(overview.rgb, overview.known, has_tissue=True)
        return replace(given, remarks=(*remarks, *seen))
    # Places that cannot be decoded count as tissue: `predict` retries them and records the failure.
    lost = ~overview.known
    remarks = remarks or odd_looks(overview.rgb, overview.known, has_tissue)
    return Tissue(found.mask | lost, overview.scale_l0, found.core | lost, remarks)


def corner_l0(slide: Slide, origin: str) -> tuple[int, int]:
    """Return the point that coordinates count from, (x, y) on the slide: its corner, or that of its scan."""
    x, y = (slide.facts.bounds or (0, 0))[:2] if origin == "scan" else (0, 0)
    return x, y


def whole_tissue(slide: Slide, config: TissueConfig, computed: Tissue, slide_mpp: float) -> Tissue:
    """Return the tissue that a slide's stain scale and threshold are taken from, whatever part is computed.

    Parameters
    ----------
    slide : Slide
        The open slide.
    config : TissueConfig
        How tissue is found.
    computed : Tissue
        What `find_tissue` returned for these settings; taken where no tissue is seen on the slide.
    slide_mpp : float
        Micrometres per level-0 pixel.
    """
    if config.detect and config.mask is None and config.regions is None:
        return computed
    seen = find_tissue(slide, TissueConfig(mpp=config.mpp, accept_odd=config.accept_odd), slide_mpp)
    return seen if seen.mask.any() else computed
