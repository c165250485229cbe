"""The blocks that the network sees: of one size, anchored to the slide, trimmed to its tissue."""

from __future__ import annotations

from wsiseg.slides.tissue import Tissue
from wsiseg.tiles import Box, Grid

# Side of a block, and of a shard of the store.
SHARD_PX = 1024
# Side of the smallest object tile.
MIN_TILE_PX = 64
# Pixels of the frame per pixel of haematoxylin; `Box.halved` is the box there.
STAIN_DOWNSAMPLE = 2
# Blocks are trimmed to the tissue in steps of this many pixels.
TRIM_PX = 256


def computed_boxes(blocks: Grid, tissue: Tissue, scale_l0: float) -> dict[tuple[int, int], Box]:
    """Return the part of each block that the network computes, by row and column; none off tissue.

    Parameters
    ----------
    blocks : Grid
        Of SHARD_PX over the frame.
    tissue : Tissue
        Where the tissue is.
    scale_l0 : float
        Level-0 pixels per pixel of the frame.
    """
    boxes = {(row, col): _trimmed(core, tissue, scale_l0) for row, col, core in blocks}
    return {place: box for place, box in boxes.items() if box is not None}


def _trimmed(core: Box, tissue: Tissue, scale_l0: float) -> Box | None:
    """Return the box around the squares of a block that meet tissue, None without any."""
    squares = [
        Box(x, y, x + TRIM_PX, y + TRIM_PX).clipped(core)
        for y in range(core.y0, core.y1, TRIM_PX)
        for x in range(core.x0, core.x1, TRIM_PX)
    ]
    met = [square for square in squares if tissue.meets(*(side * scale_l0 for side in square))]
    if not met:
        return None
    x0, y0, x1, y1 = zip(*met, strict=True)
    return Box(min(x0), min(y0), max(x1), max(y1))
