"""Writing a synthetic slide: a pyramidal, tiled BigTIFF streamed band by band, or a small image in one go."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import tifffile

from wsiseg.errors import UsageError
from wsiseg.machine.cores import available_cores
from wsiseg.machine.marks import SYNTHETIC_MARK
from wsiseg.machine.whole import put_whole
from wsiseg.synthetic.pyramid import Encoder, Level, Pixels, Thumbnail
from wsiseg.synthetic.scene import BLOCK_PX, SyntheticSlide
from wsiseg.tiles import Box

_THUMBNAIL_PX = 768
_COARSEST_PX = 2048


def write_synthetic(
    path: str | os.PathLike[str],
    slide: SyntheticSlide,
    quality: int = 85,
    levels: Sequence[int] | None = None,
    tile_px: int = 256,
    aperio: bool = True,
    header_mpp: bool = True,
    workers: int | None = None,
) -> Path:
    """Write a synthetic slide as a pyramidal BigTIFF of JPEG tiles, in memory of a few rows of tiles.

    Parameters
    ----------
    path : path
        The file to write; it appears only when it is complete.
    slide : SyntheticSlide
        What to write.
    quality : int
        JPEG quality, 1 to 100.
    levels : sequence of int or None
        Downsamples of the further levels, each a multiple of the one before; sizes are rounded up. None takes
        4, 16, ... until a level is small.
    tile_px : int
        Side of the tiles, a multiple of 16.
    aperio : bool
        Whether to write an Aperio SVS (its header, and a thumbnail as the second page) or a plain TIFF.
    header_mpp : bool
        Whether the file says its resolution.
    workers : int or None
        Threads that render and compress; None takes one a core.

    Returns
    -------
    pathlib.Path
        `path`.

    Raises
    ------
    UsageError
        When levels, tile side or quality cannot be written.
    """
    target = Path(path)
    downsamples = _default_levels(slide) if levels is None else tuple(levels)
    _check(downsamples, tile_px, quality)
    threads = workers or available_cores()
    with put_whole(target) as beside, ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        encoder = Encoder(pool, tile_px, quality)
        thumbnail = Thumbnail()
        chain = _chain(slide, downsamples, encoder, thumbnail, target.parent, stack)
        _write_pages(beside, slide, downsamples, chain, thumbnail, encoder, aperio, header_mpp)
    return target


def write_synthetic_image(path: str | os.PathLike[str], slide: SyntheticSlide) -> Path:
    """Write a whole synthetic slide as a PNG or another plain image, by the suffix; it is held in memory."""
    from PIL import Image

    target = Path(path)
    Image.init()
    with put_whole(target) as beside:
        Image.fromarray(slide.render(slide.frame)).save(beside, format=Image.EXTENSION[target.suffix.lower()])
    return target


def _default_levels(slide: SyntheticSlide) -> tuple[int, ...]:
    downsample, downsamples = 1, []
    while max(slide.width, slide.height) > _COARSEST_PX * downsample:
        downsample *= 4
        downsamples.append(downsample)
    return tuple(downsamples)


def _check(downsamples: tuple[int, ...], tile_px: int, quality: int) -> None:
    steps = zip((1, *downsamples), downsamples, strict=False)
    if any(fine >= coarse or coarse % fine for fine, coarse in steps):
        raise UsageError(f"levels {downsamples}: each must be a larger multiple of the one before")
    if tile_px < 16 or tile_px % 16:
        raise UsageError(f"tiles of {tile_px} px: take a multiple of 16")
    if not 1 <= quality <= 100:
        raise UsageError(f"JPEG quality {quality}: take 1 to 100")


def _write_pages(
    path: Path,
    slide: SyntheticSlide,
    downsamples: tuple[int, ...],
    chain: list[Level],
    thumbnail: Thumbnail,
    encoder: Encoder,
    aperio: bool,
    header_mpp: bool,
) -> None:
    """Stream level 0, which fills the other levels' spools on its way, then the pages that wait there."""
    options: dict[str, Any] = {
        "dtype": np.uint8,
        "photometric": "ycbcr",
        "compression": "jpeg",
        "subsampling": (2, 2),
        "tile": (encoder.tile_px, encoder.tile_px),
        "metadata": None,
        "software": False,
    }
    if header_mpp:
        per_cm = 1e4 / slide.mpp
        options |= {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        header = _aperio_header(slide, encoder, header_mpp) if aperio else None
        tif.write(
            _stream(slide, chain, encoder),
            shape=(slide.height, slide.width, 3),
            description=header,
            **options,
        )
        if aperio:
            small = thumbnail.image()
            size = f"{slide.width}x{slide.height} -> {small.shape[1]}x{small.shape[0]}"
            note = f"Aperio Image Library\n{size} - "
            tif.write(small, photometric="rgb", description=note, metadata=None, software=False)
        for downsample, level in zip(downsamples, chain[1:], strict=True):
            if header_mpp:
                options["resolution"] = (per_cm / downsample, per_cm / downsample)
            text = f"{header}|downsample = {downsample}" if aperio else None
            shape = (level.height, level.width, 3)
            tif.write(
                level.spooled(), shape=shape, subfiletype=0 if aperio else 1, description=text, **options
            )


def _aperio_header(slide: SyntheticSlide, encoder: Encoder, header_mpp: bool) -> str:
    size = f"{slide.width}x{slide.height}"
    text = (
        f"{SYNTHETIC_MARK.decode()}\r\n{size} [0,0 {size}] ({encoder.tile_px}x{encoder.tile_px}) "
        f"JPEG/RGB Q={encoder.quality}"
    )
    if header_mpp:
        text += f"|AppMag = {10.0 / slide.mpp:.4g}|MPP = {slide.mpp:.6g}"
    return text


def _chain(
    slide: SyntheticSlide,
    downsamples: tuple[int, ...],
    encoder: Encoder,
    thumbnail: Thumbnail,
    folder: Path,
    stack: ExitStack,
) -> list[Level]:
    """Link the levels, finest first; each but the first spools its tiles into a file without a name."""
    below: Level | Thumbnail = thumbnail
    chain: list[Level] = []
    width, height = (-(-side // (downsamples or (1,))[-1]) for side in (slide.width, slide.height))
    ratio = -(-max(width, height) // _THUMBNAIL_PX)
    for fine, coarse in reversed(list(zip((0, 1, *downsamples), (1, *downsamples), strict=False))):
        spool = stack.enter_context(_unnamed(folder)) if fine else None
        width, height = -(-slide.width // coarse), -(-slide.height // coarse)
        below = Level(width, height, encoder, spool, below, ratio)
        chain.insert(0, below)
        ratio = coarse // fine if fine else 1
    return chain


def _unnamed(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _stream(slide: SyntheticSlide, chain: list[Level], encoder: Encoder) -> Iterator[bytes]:
    """Render bands of blocks, push them down the chain, and yield the tiles of level 0 in order."""
    for y0 in range(0, slide.height, BLOCK_PX):
        band = Box(0, y0, slide.width, min(y0 + BLOCK_PX, slide.height))
        corners = range(0, slide.width, BLOCK_PX)
        boxes = [Box(x0, band.y0, min(x0 + BLOCK_PX, band.x1), band.y1) for x0 in corners]
        rows = np.empty((band.height, band.width, 3), np.uint8)

        def fill(box: Box, rows: Pixels = rows, band: Box = band) -> None:
            rows[box.slices_in(band)] = slide.render(box)

        list(encoder.pool.map(fill, boxes))
        yield from chain[0].push(rows)
