"""The arrays and metadata of a new store: OME-Zarr 0.5 for any reader, status and work for wsiseg."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from wsiseg.errors import StoreError
from wsiseg.slides.tissue import Tissue
from wsiseg.store import names
from wsiseg.store.blocks import SHARD_PX
from wsiseg.store.identity import Identity
from wsiseg.store.slide_store import FORMAT, SlideStore
from wsiseg.store.states import Progress, Stage, State
from wsiseg.tiles import Grid

CHUNK_PX = 512
# The coarsest pyramid level is the first whose longer side fits this.
COARSEST_PX = 512


def create_store(
    path: Path,
    identity: Identity,
    tissue: Tissue,
    tile_px: int,
    provenance: Mapping[str, Any],
    pixels: SlideStore | None = None,
) -> SlideStore:
    """Create the empty arrays of a store, see `new_store`.

    Parameters
    ----------
    pixels : SlideStore, optional
        Another store of the slide, whose confidence and stain the new one shares (see `SlideStore`).
    """
    with new_store(path, identity, tissue, tile_px, dict(provenance)):
        pass
    return SlideStore(path, pixels)


@contextmanager
def new_store(
    path: Path,
    identity: Identity,
    tissue: Tissue,
    tile_px: int,
    provenance: dict[str, Any],
    regions: str = "",
) -> Iterator[None]:
    """Create the empty arrays of a store, which appears when the block ends.

    It is written beside its place and renamed: a killed run, or an exception in the block, leaves nothing
    that looks like a store.

    Parameters
    ----------
    path : Path
        Folder to create; must not exist.
    identity : Identity
        What the store is of.
    tissue : Tissue
        What is computed.
    tile_px : int
        Side of an object tile.
    provenance : dict
        Further JSON values for the root attributes; `name` names the image. The block may add some.
    regions : str
        GeoJSON of the regions, see `wsiseg.slides.regions`; empty without any.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    frame = identity.frame
    shapes = _level_shapes(frame.height, frame.width)
    try:
        with _said(path):
            root = zarr.open_group(beside, mode="w", zarr_format=3)
            _create_arrays(root, shapes, tissue, tile_px)
            if identity.objects.get("measurements") == "all":
                for name in names.PLANES:
                    _image(root, name, shapes[0], "u1", CHUNK_PX, SHARD_PX)
            if regions:
                text = np.frombuffer(regions.encode(), np.uint8)
                root.create_array(names.REGIONS, data=text, dimension_names=("byte",))
        yield
        with _said(path):
            _describe(root, identity, tile_px, len(shapes), provenance)
            os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be created: {error.strerror or error}") from error


def _create_arrays(root: zarr.Group, shapes: list[tuple[int, int]], tissue: Tissue, tile_px: int) -> None:
    height, width = shapes[0]
    blocks, tiles = Grid(width, height, SHARD_PX), Grid(width, height, tile_px)
    for level, shape in enumerate(shapes):
        _image(root, names.confidence(level), shape, "u1", CHUNK_PX, SHARD_PX)
        _image(root, names.labels(level), shape, "u4", CHUNK_PX, SHARD_PX)
    stain = blocks.frame.halved()
    _image(root, names.HAEMATOXYLIN, (stain.height, stain.width), "u1", CHUNK_PX, CHUNK_PX)
    _write_tissue(root, tissue)
    _image(root, names.TILE_LABELS, shapes[0], "u4", _divisor(tile_px), tile_px)
    for stage, grid in ((Stage.NETWORK, blocks), (Stage.OBJECTS, tiles), (Stage.LABELS, blocks)):
        _states(root, names.states(stage), grid.shape)
    for level, (height, width) in enumerate(shapes[1:], start=1):
        for stage in (Stage.CONFIDENCE_PYRAMID, Stage.LABEL_PYRAMID):
            _states(root, names.states(stage, level), Grid(width, height, SHARD_PX).shape)


def _describe(
    root: zarr.Group, identity: Identity, tile_px: int, levels: int, provenance: Mapping[str, Any]
) -> None:
    """Write the attributes of all groups."""
    mpp = identity.frame.mpp
    root.attrs.update(
        {
            "ome": {
                "version": "0.5",
                "multiscales": [_multiscales(str(provenance["name"]), mpp, levels, "mean")],
            },
            "wsiseg": {
                "format": FORMAT,
                "state": Progress.UNFINISHED,
                "identity": asdict(identity),
                "tile_px": tile_px,
                "levels": levels,
                **provenance,
            },
        }
    )
    nuclei = root.require_group(names.NUCLEI)
    root.require_group("labels").attrs["ome"] = {"version": "0.5", "labels": ["nuclei"]}
    nuclei.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [_multiscales("nuclei", mpp, levels, "nearest")],
        "image-label": {"source": {"image": "../../"}},
    }


def _level_shapes(height: int, width: int) -> list[tuple[int, int]]:
    shapes = [(height, width)]
    while max(shapes[-1]) > COARSEST_PX:
        height, width = shapes[-1]
        shapes.append((-(-height // 2), -(-width // 2)))
    return shapes


def _divisor(tile_px: int) -> int:
    """Return the largest chunk of at most CHUNK_PX that divides a tile evenly, or the whole tile."""
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
    parts = (tissue.mask.astype(np.uint8) + tissue.without_margin).astype(np.uint8)
    mask = group.create_array(names.TISSUE, data=parts, dimension_names=("y", "x"))
    mask.attrs.update({"scale_l0": tissue.scale_l0, "remarks": list(tissue.remarks)})


def _states(group: zarr.Group, path: str, shape: tuple[int, ...]) -> None:
    # One byte per file, so that workers on neighbouring tiles never write the same file.
    group.create_array(
        path,
        shape=shape,
        dtype=np.uint8,
        chunks=(1, 1),
        compressors=None,
        filters=None,
        fill_value=int(State.TODO),
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
