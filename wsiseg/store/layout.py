"""The arrays and metadata of a new store: OME-Zarr 0.5 for its readers, status and work for ourselves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from wsiseg.errors import StoreError
from wsiseg.slides.tissue import Tissue
from wsiseg.store.slide_store import (
    FORMAT,
    SHARD_PX,
    STAIN_DOWNSAMPLE,
    TODO,
    Identity,
    SlideStore,
)
from wsiseg.tiles import Grid

CHUNK_PX = 512
# Pyramid levels end when the longer side fits this.
COARSEST_PX = 512


def create_store(
    path: Path,
    identity: Identity,
    tissue: Tissue,
    tile_px: int,
    provenance: Mapping[str, Any],
    later: Callable[[], Mapping[str, Any]] = dict,
) -> SlideStore:
    """Create the empty arrays of a store.

    The folder appears whole: it is made beside its place and renamed; a run killed here leaves nothing
    that looks like a store.

    Parameters
    ----------
    path : Path
        Folder to create; must not exist.
    identity : Identity
    tissue : Tissue
        What is computed.
    tile_px : int
        Side of an object tile.
    provenance : mapping
        Further JSON values for the root attributes; `name` names the image.
    later : callable
        Gives more of them; is asked when the arrays are made.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    frame = identity.frame
    shapes = _level_shapes(frame.height, frame.width)
    try:
        root = zarr.open_group(beside, mode="w", zarr_format=3)
        labels = root.create_group("labels")
        nuclei = labels.create_group("nuclei")
        for level, shape in enumerate(shapes):
            _image(root, str(level), shape, "u1", CHUNK_PX, SHARD_PX)
            _image(nuclei, str(level), shape, "u4", CHUNK_PX, SHARD_PX)
        half = tuple(-(-side // STAIN_DOWNSAMPLE) for side in shapes[0])
        _image(root, "haematoxylin", half, "u1", CHUNK_PX, CHUNK_PX)
        chunk = _divisor(tile_px)
        _write_tissue(root, tissue)
        _image(root, "work/labels", shapes[0], "u4", chunk, tile_px)
        for stage, core_px in (("network", SHARD_PX), ("objects", tile_px), ("labels", SHARD_PX)):
            grid = Grid(frame.width, frame.height, core_px)
            _status(root, f"{'work/' if stage == 'labels' else ''}status/{stage}", grid.shape)
        for level, (height, width) in enumerate(shapes[1:], start=1):
            for group in ("", "labels/nuclei/"):
                _status(root, f"work/made/{group}{level}", Grid(width, height, SHARD_PX).shape)
        root.attrs.update(
            {
                "ome": {
                    "version": "0.5",
                    "multiscales": [_multiscales(str(provenance["name"]), frame.mpp, len(shapes), "mean")],
                },
                "wsiseg": {
                    "format": FORMAT,
                    "state": "unfinished",
                    "identity": asdict(identity),
                    "frame": asdict(frame),
                    "tile_px": tile_px,
                    "levels": len(shapes),
                    **provenance,
                    **later(),
                },
            }
        )
        labels.attrs["ome"] = {"version": "0.5", "labels": ["nuclei"]}
        nuclei.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [_multiscales("nuclei", frame.mpp, len(shapes), "nearest")],
            "image-label": {"source": {"image": "../../"}},
        }
        os.replace(beside, path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be created: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return SlideStore(path)


def _level_shapes(height: int, width: int) -> list[tuple[int, int]]:
    shapes = [(height, width)]
    while max(shapes[-1]) > COARSEST_PX:
        height, width = shapes[-1]
        shapes.append((-(-height // 2), -(-width // 2)))
    return shapes


def _divisor(tile_px: int) -> int:
    """Return the largest chunk of at most CHUNK_PX that parts a tile evenly, or the whole tile."""
    near = [n for n in range(CHUNK_PX // 2, CHUNK_PX + 1) if tile_px % n == 0]
    return near[-1] if near else tile_px


def _image(
    group: zarr.Group, path: str, shape: tuple[int, ...], dtype: str, chunk_px: int, shard_px: int
) -> None:
    group.create_array(
        path,
        shape=shape,
        dtype=dtype,
        chunks=(chunk_px, chunk_px),
        shards=(shard_px, shard_px) if shard_px > chunk_px else None,
        compressors=[ZstdCodec(level=1)],
        fill_value=0,
        dimension_names=("y", "x"),
        config={"write_empty_chunks": False},
    )


def _write_tissue(group: zarr.Group, tissue: Tissue) -> None:
    mask = group.create_array("tissue", data=tissue.mask.astype(np.uint8), dimension_names=("y", "x"))
    mask.attrs["scale_l0"] = tissue.scale_l0


def _status(group: zarr.Group, path: str, shape: tuple[int, ...]) -> None:
    # One byte a file, so that workers that finish neighbouring tiles never write the same file.
    group.create_array(
        path,
        shape=shape,
        dtype=np.uint8,
        chunks=(1, 1),
        compressors=None,
        filters=None,
        fill_value=TODO,
        config={"write_empty_chunks": False},
    )


def _multiscales(name: str, mpp: float, levels: int, method: str) -> dict[str, Any]:
    return {
        "name": name,
        "axes": [{"name": axis, "type": "space", "unit": "micrometer"} for axis in ("y", "x")],
        "datasets": [
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [mpp * 2**level] * 2},
                    {"type": "translation", "translation": [mpp * (2**level - 1) / 2] * 2},
                ],
            }
            for level in range(levels)
        ],
        "type": method,
    }
