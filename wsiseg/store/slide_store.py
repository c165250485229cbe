"""The Zarr store of one slide: OME-Zarr 0.5 when finished, and the state of the work while it is not.

`OUT/<name>.zarr.unfinished` is renamed to `OUT/<name>.zarr` when everything in it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import zarr

from wsiseg import __version__
from wsiseg.errors import StoreError
from wsiseg.machine.whole import put_whole, write_whole
from wsiseg.slides.tissue import Tissue
from wsiseg.store.blocks import SHARD_PX as SHARD_PX
from wsiseg.store.chunks import ChunkFiles, StatusFiles
from wsiseg.tiles import Grid

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
STAIN_DOWNSAMPLE = 2
MIN_TILE_PX = 64

TODO, DONE, FAILED = 0, 1, 2
# What is only of use while the slide is worked on is in work/.
_STATUS = {"network": "status/network", "objects": "status/objects", "labels": "work/status/labels"}


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
        The stages' settings; the threshold of objects is None where it is the slide's own.
    """

    model: str
    slide: str
    frame: FrameInfo
    objects: Mapping[str, Any]
    tissue: Mapping[str, Any]

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Return in words what a stored identity has otherwise."""
        mine = _flat(json.loads(json.dumps(asdict(self))))
        theirs = _flat(stored)
        return [
            _HASHED.get(key)
            or f"{key}: {_in_words(theirs.get(key))} there, {_in_words(mine.get(key))} asked for"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]


# Entries that are hashes: nobody reads these.
_HASHED = {
    "model": "another model",
    "slide": "another slide, or its file has changed",
    "tissue.mask": "another tissue mask",
}


def _in_words(value: Any) -> str:
    return "the slide's own" if value is None else repr(value)


def _maker(stored: Any) -> str:
    """Say by whom a store was made that is not of our format."""
    if not isinstance(stored, dict):
        return "a Zarr store, but not of wsiseg"
    by = stored.get("versions", {}).get("wsiseg", "of another version")
    return f"written by wsiseg {by} in format {stored.get('format')!r}"


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
                f"{self.path}: {_maker(stored)}, this is wsiseg {__version__}, which reads format {FORMAT}; "
                "choose another folder, or replace it with --overwrite"
            )
        return stored

    def is_of(self, other: SlideStore) -> bool:
        """Whether this folder is there and holds what `other` read from it before."""
        try:
            work = () if other.provenance["state"] == "complete" else ("work/labels", "work/status/labels")
            for name in ("0", "haematoxylin", "labels/nuclei/0", *work):
                self.array(name)
            return bool(self.provenance["identity"] == other.provenance["identity"])
        except (StoreError, KeyError):
            return False

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

    def files(self, name: str) -> ChunkFiles:
        """Return the files of an image, to read and write pixels."""
        if name not in self._files:
            self._files[name] = ChunkFiles.of(self.path / name, self.array(name))
        return self._files[name]

    def status(self, name: str) -> StatusFiles:
        """Return the files of a status array: "network", "objects", "labels" or that of a pyramid level."""
        if name not in self._status:
            path = _STATUS.get(name, f"work/made/{name}")
            self._status[name] = StatusFiles(self.path / path, self.array(path).shape)
        return self._status[name]

    @cached_property
    def _files(self) -> dict[str, ChunkFiles]:
        return {}

    @cached_property
    def _status(self) -> dict[str, StatusFiles]:
        return {}

    @cached_property
    def _arrays(self) -> dict[str, zarr.Array[Any]]:
        return {}

    @cached_property
    def frame(self) -> FrameInfo:
        """The frame of the store's first level."""
        return FrameInfo(**self.provenance["identity"]["frame"])

    @property
    def threshold(self) -> float:
        """The threshold at which the store's nuclei are found: the one given, or the slide's own."""
        given = self.provenance["identity"]["objects"]["threshold"]
        return float(self.provenance["threshold"] if given is None else given)

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
            sink = pa.BufferOutputStream()
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            write_whole(target, sink.getvalue())

    def read_records(self, row: int, col: int, name: str, columns: Sequence[str] = ()) -> pa.Table:
        """Return one of a tile's tables, or some columns of it."""
        import pyarrow as pa

        with pa.OSFile(str(self._record_path(row, col, name)), "rb") as source:
            if not columns:
                return pa.ipc.open_file(source).read_all()
            names = pa.ipc.open_file(source).schema.names
            options = pa.ipc.IpcReadOptions(included_fields=[names.index(column) for column in columns])
            return pa.ipc.open_file(source, options=options).read_all()

    def _record_path(self, row: int, col: int, name: str) -> Path:
        return self.path / "work" / "records" / f"{row}-{col}.{name}.arrow"

    def write_keys(self, keys: npt.NDArray[np.int64]) -> None:
        """Keep the sorted keys of all nuclei for the workers that paint labels."""
        target = self.path / "work" / "keys.npy"
        with put_whole(target) as beside, beside.open("wb") as file:
            np.save(file, keys, allow_pickle=False)
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
        failure = {"row": row, "col": col, "cause": cause}
        write_whole(folder / f"{row}-{col}.json", json.dumps(failure).encode())

    def failures(self) -> list[dict[str, Any]]:
        """Return the blocks that stay empty with their causes, in raster order."""
        found = [
            json.loads(file.read_text(encoding="utf-8")) for file in self.path.glob("work/failures/*.json")
        ]
        return sorted(found, key=lambda failure: (failure["row"], failure["col"]))

    def note(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep what a later run must know to go on from here."""
        write_whole(self.path / "work" / f"{name}.json", json.dumps(value).encode())

    def noted(self, name: str) -> dict[str, Any] | None:
        """Return what was kept, or None."""
        try:
            found: dict[str, Any] = json.loads((self.path / "work" / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return None
        return found

    def annotate(self, **values: Any) -> None:
        """Add to the provenance in the root attributes."""
        self.provenance.update(values)
        self.root.attrs["wsiseg"] = self.provenance

    def remove_work(self) -> None:
        """Delete what only an unfinished store needs."""
        shutil.rmtree(self.path / "work", ignore_errors=True)
        for leftover in self.path.rglob("*.partial"):
            leftover.unlink(missing_ok=True)


def no_store(path: Path) -> str:
    """Return why there is no store at a path, and what may have been meant."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    if unfinished.exists():
        return f"{path}: the slide is not finished; run the same `wsiseg predict` again to resume it"
    found = sorted(path.glob("*.zarr") if path.is_dir() else path.parent.glob("*.zarr"))
    names = [*map(str, found[:3]), *(["..."] if len(found) > 3 else [])]
    near = f"; there {'is' if len(found) == 1 else 'are'} {', '.join(names)}" if found else ""
    return f"{path}: no such store; give a folder OUT/<name>.zarr that `wsiseg predict` wrote{near}"
