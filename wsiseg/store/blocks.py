"""The blocks that the network sees: of one size, anchored to the slide, trimmed to its tissue."""

from __future__ import annotations

from wsiseg.slides.tissue import Tissue
from wsiseg.tiles import Box

# Side of a block, and of a shard of the store.
SHARD_PX = 1024
# Blocks are trimmed to the tissue in steps of this many pixels.
TRIM_PX = 256


def trimmed_core(core: Box, tissue: Tissue, scale_l0: float) -> Box | None:
    """Return the part of a block's core that is computed: the cells of TRIM_PX that meet tissue, boxed."""
    cells = [
        Box(x, y, x + TRIM_PX, y + TRIM_PX).clipped(core)
        for y in range(core.y0, core.y1, TRIM_PX)
        for x in range(core.x0, core.x1, TRIM_PX)
    ]
    met = [cell for cell in cells if tissue.meets(*(side * scale_l0 for side in cell))]
    if not met:
        return None
    x0, y0, x1, y1 = zip(*met, strict=True)
    return Box(min(x0), min(y0), max(x1), max(y1))
