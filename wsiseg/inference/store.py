"""The Zarr store of one slide: OME-Zarr 0.5 when finished, and the state of the work while it is not.

`OUT/<name>.zarr.unfinished` is renamed to `OUT/<name>.zarr` when everything in it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import ZstdCodec

from wsiseg.errors import StoreError
from wsiseg.slides.tiles import Grid
from wsiseg.slides.tissue import Tissue

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
CHUNK_PX = 512
SHARD_PX = 1024
# Pyramid levels end when the longer side fits a chunk.
COARSEST_PX = 512
STAIN_DOWNSAMPLE = 2
MIN_TILE_PX = 64

TODO, DONE, FAILED = 0, 1, 2


@dataclass(frozen=True)
class FrameInfo:
    """The slide at the model's resolution: pixels, micrometres per pixel, level-0 pixels per pixel."""

    width: int
    height: int
    mpp: float
    scale_l0: float


@dataclass(frozen=True)
class Identity:
    """What must be the same for two runs to share a store.

    Parameters
    ----------
    model : str
        SHA-256 of the model file.
    slide : str
        Fingerprint of the slide.
    frame : FrameInfo
    objects, tissue : dict
        The stages' settings; objects with the threshold in use.
    """

    model: str
    slide: str
    frame: FrameInfo
    objects: Mapping[str, Any]
    tissue: Mapping[str, Any]

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Return what a stored identity has otherwise, as `name: there != here`."""
        mine = _flat(json.loads(json.dumps(asdict(self))))
        theirs = _flat(stored)
        return [
            f"{key}: {theirs.get(key)!r} there, {mine.get(key)!r} asked for"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


class SlideStore:
    """Arrays, status and records of one slide; opens lazily, so that workers receive only its path.

    Parameters
    ----------
    path : path-like
        The store's folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    @cached_property
    def root(self) -> zarr.Group:
        """The root group."""
        try:
            return zarr.open_group(self.path, mode="r+", zarr_format=3)
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{self.path}: not a Zarr store of wsiseg: {error}") from error

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What the root attributes say of the run."""
        stored = self.root.attrs.asdict().get("wsiseg")
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            raise StoreError(
                f"{self.path}: not a store of this version of wsiseg; choose another folder or --overwrite"
            )
        return stored

    def array(self, name: str) -> zarr.Array[Any]:
        """Return an array of the store by its path."""
        if name not in self._arrays:
            found = self.root[name]
            if not isinstance(found, zarr.Array):
                raise StoreError(
                    f"{self.path}: {name} is not an array; the store is damaged, use --overwrite"
                )
            self._arrays[name] = found
        return self._arrays[name]

    @cached_property
    def _arrays(self) -> dict[str, zarr.Array[Any]]:
        return {}

    @cached_property
    def frame(self) -> FrameInfo:
        """The frame of the store's first level."""
        return FrameInfo(**self.provenance["identity"]["frame"])

    @cached_property
    def blocks(self) -> Grid:
        """The grid of network blocks."""
        return Grid(self.frame.width, self.frame.height, SHARD_PX)

    @cached_property
    def tiles(self) -> Grid:
        """The grid of object tiles."""
        return Grid(self.frame.width, self.frame.height, int(self.provenance["tile_px"]))

    @cached_property
    def tissue(self) -> Tissue:
        """What was computed."""
        stored = self.array("tissue")
        scale_l0 = float(stored.attrs["scale_l0"])  # type: ignore[arg-type]
        return Tissue(np.asarray(stored[:]) > 0, scale_l0)

    @property
    def levels(self) -> int:
        """Number of pyramid levels."""
        return int(self.provenance["levels"])

    def write_records(self, row: int, col: int, tables: Mapping[str, pa.Table]) -> None:
        """Write a tile's tables (whole or not at all)."""
        import pyarrow as pa

        folder = self.path / "work" / "records"
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            target = self._record_path(row, col, name)
            beside = target.with_suffix(f".{os.getpid()}.part")
            with pa.OSFile(str(beside), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            os.replace(beside, target)

    def read_records(self, row: int, col: int, name: str) -> pa.Table:
        """Return one of a tile's tables."""
        import pyarrow as pa

        with pa.OSFile(str(self._record_path(row, col, name)), "rb") as source:
            return pa.ipc.open_file(source).read_all()

    def _record_path(self, row: int, col: int, name: str) -> Path:
        return self.path / "work" / "records" / f"{row}-{col}.{name}.arrow"

    def write_keys(self, keys: npt.NDArray[np.int64]) -> None:
        """Keep the sorted keys of all nuclei for the workers that paint labels."""
        target = self.path / "work" / "keys.npy"
        beside = target.with_suffix(f".{os.getpid()}.part")
        with beside.open("wb") as file:
            np.save(file, keys, allow_pickle=False)
        os.replace(beside, target)
        self.__dict__.pop("keys", None)

    @cached_property
    def keys(self) -> npt.NDArray[np.int64]:
        """The sorted keys of all nuclei, see `stages.marker_keys`."""
        stored: npt.NDArray[np.int64] = np.load(
            self.path / "work" / "keys.npy", mmap_mode="r", allow_pickle=False
        )
        return stored

    def note_failure(self, row: int, col: int, cause: str) -> None:
        """Keep why a block stays empty; no two workers write the same file."""
        folder = self.path / "work" / "failures"
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f"{row}-{col}.{os.getpid()}.part"
        beside.write_text(json.dumps({"row": row, "col": col, "cause": cause}), encoding="utf-8")
        os.replace(beside, folder / f"{row}-{col}.json")

    def failures(self) -> list[dict[str, Any]]:
        """Return the blocks that stay empty with their causes, in raster order."""
        found = [
            json.loads(file.read_text(encoding="utf-8")) for file in self.path.glob("work/failures/*.json")
        ]
        return sorted(found, key=lambda failure: (failure["row"], failure["col"]))

    def annotate(self, **values: Any) -> None:
        """Add to the provenance in the root attributes."""
        self.provenance.update(values)
        self.root.attrs["wsiseg"] = self.provenance

    def remove_work(self) -> None:
        """Delete what only an unfinished store needs."""
        shutil.rmtree(self.path / "work", ignore_errors=True)
        for leftover in self.path.rglob("*.partial"):
            leftover.unlink(missing_ok=True)


def create_store(
    path: Path, identity: Identity, tissue: Tissue, tile_px: int, provenance: Mapping[str, Any]
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
