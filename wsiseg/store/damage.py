"""Finds out after an error whether a store is damaged: then that is the cause, not a bug."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsiseg.errors import DamageError, WsisegError
from wsiseg.store import names
from wsiseg.store.states import Stage

if TYPE_CHECKING:
    import zarr

    from wsiseg.store.slide_store import SlideStore


@contextmanager
def damage_named(*stores: Path) -> Iterator[None]:
    """Turn an exception in the block into a DamageError if one of the stores is damaged.

    Parameters
    ----------
    *stores : Path
        Read completely, and only after an exception.

    Raises
    ------
    DamageError
        With the cause; if no store is damaged the exception passes.
    """
    try:
        yield
    except (WsisegError, OSError, MemoryError):
        raise
    except Exception as error:
        for path in stores:
            cause = damage_in(path)
            if cause is not None:
                raise DamageError(
                    f"{path}: is damaged ({cause}); replace it with `wsiseg predict --overwrite`"
                ) from error
        raise


def damage_in(path: Path) -> str | None:
    """Return what is wrong with a store in one short line; None if nothing is wrong, or there is no store."""
    if not path.is_dir():
        return None
    try:
        _read_through(path)
    except MemoryError:
        raise
    except Exception as error:
        text = " ".join(str(error).removeprefix(f"{path}: ").split())
        return f"{type(error).__name__}: {text}"[:200]
    return None


def _read_through(path: Path) -> None:
    """Read everything in a store; raise if anything is wrong."""
    from wsiseg.store.slide_store import SlideStore

    store = SlideStore(path)
    frame, identity = store.frame, store.provenance["identity"]
    for value in (identity["model"], identity["slide"], store.provenance["name"]):
        _expect(isinstance(value, str), f"{value!r} is no text")
    _expect(0 < store.threshold < 1, f"a threshold of {store.threshold}")
    dict(identity["tissue"])
    sizes = (frame.width, frame.height, store.tiles.core_px, store.levels)
    _expect(all(isinstance(value, int) and value > 0 for value in sizes), f"sizes of {sizes}")
    _expect(frame.mpp > 0 and frame.scale_l0 > 0, f"a frame of {frame}")
    whole = store.blocks.frame
    for name, image, expected in (
        ("confidence", store.confidence[0], whole),
        ("labels", store.labels[0], whole),
        ("haematoxylin", store.haematoxylin, whole.halved()),
    ):
        _expect(image.frame == expected, f"{name} has the shape {image.shape}")
    for stage, grid in ((Stage.NETWORK, store.blocks), (Stage.OBJECTS, store.tiles)):
        shape = store.states(stage).shape
        _expect(shape == grid.shape, f"the states of {stage} have the shape {shape}")
    _expect(store.tissue.mask.ndim == 2 and store.tissue.scale_l0 > 0, "tissue is no mask")
    dict(store.provenance.get("summary", {}))
    for file in path.rglob("zarr.json"):
        if json.loads(file.read_bytes())["node_type"] == "array":
            _read_array(store.array(file.parent.relative_to(path).as_posix()))
    _read_work(store)


def _read_work(store: SlideStore) -> None:
    """Read what a store holds while its slide is processed."""
    import numpy as np
    import pyarrow as pa

    from wsiseg.objects.records import records_schema
    from wsiseg.store.numbering import MARKER, NUCLEI

    for file in (store.path / names.RECORDS).glob("*.arrow"):
        with pa.OSFile(str(file), "rb") as source:
            table = pa.ipc.open_file(source).read_all()
        table.validate(full=True)
        is_nuclei = file.name.endswith(f".{NUCLEI}.arrow")
        columns = records_schema(store.measurements, bool(store.regions)).names if is_nuclei else MARKER
        _expect(set(table.column_names) == set(columns), f"{file.name} has columns {table.column_names}")
    notes = (store.path / names.WORK).glob("*.json"), (store.path / names.FAILURES).glob("*.json")
    for file in chain(*notes):
        json.loads(file.read_bytes())
    if (store.path / names.KEYS).exists():
        _expect(store.keys.dtype == np.int64 and store.keys.ndim == 1, f"{names.KEYS} holds something else")


def _read_array(array: zarr.Array[Any]) -> None:
    """Read an array shard by shard."""
    steps = array.shards or array.chunks
    corners = [range(0, size, step) for size, step in zip(array.shape, steps, strict=True)]
    for corner in product(*corners):
        array[tuple(slice(at, at + step) for at, step in zip(corner, steps, strict=True))]


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
