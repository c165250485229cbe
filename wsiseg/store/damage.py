"""Whether a store with which something went wrong is damaged: then that is the cause, and not a defect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsiseg.errors import StoreError, WsisegError

if TYPE_CHECKING:
    import zarr


@contextmanager
def damage_told(*stores: Path) -> Iterator[None]:
    """Turn what goes wrong inside into a StoreError if one of the stores is damaged.

    Parameters
    ----------
    *stores : Path
        Looked through, every byte, only after something went wrong.

    Raises
    ------
    StoreError
        With the cause; other exceptions pass if no store is damaged.
    """
    try:
        yield
    except (WsisegError, OSError, MemoryError):
        raise
    except Exception as error:
        for path in stores:
            cause = damage_in(path)
            if cause is not None:
                raise StoreError(
                    f"{path}: is damaged ({cause}); make it again with `wsiseg predict --overwrite`"
                ) from error
        raise


def damage_in(path: Path) -> str | None:
    """Return what is wrong with a store as one short line, None where nothing is, or no store."""
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
    """Read everything in a store; raise anything that is wrong."""
    import numpy as np
    import pyarrow as pa

    from wsiseg.inference.numbering import MARKER
    from wsiseg.objects.records import RECORDS
    from wsiseg.store.slide_store import STAIN_DOWNSAMPLE, SlideStore

    store = SlideStore(path)
    frame, identity = store.frame, store.provenance["identity"]
    for value in (identity["model"], identity["slide"], store.provenance["name"]):
        _expect(isinstance(value, str), f"{value!r} is no text")
    _expect(0 < store.threshold < 1, f"a threshold of {store.threshold}")
    dict(identity["tissue"])
    sizes = (frame.width, frame.height, store.tiles.core_px, store.levels)
    _expect(all(isinstance(value, int) and value > 0 for value in sizes), f"sizes of {sizes}")
    _expect(frame.mpp > 0 and frame.scale_l0 > 0, f"a frame of {frame}")
    half = tuple(-(-side // STAIN_DOWNSAMPLE) for side in (frame.height, frame.width))
    shapes = {
        "0": (frame.height, frame.width),
        "labels/nuclei/0": (frame.height, frame.width),
        "haematoxylin": half,
        "status/network": store.blocks.shape,
        "status/objects": store.tiles.shape,
    }
    for name, shape in shapes.items():
        _expect(store.array(name).shape == shape, f"{name} has the shape {store.array(name).shape}")
    _expect(store.tissue.mask.ndim == 2 and store.tissue.scale_l0 > 0, "tissue is no mask")
    dict(store.provenance.get("summary", {}))
    for file in path.rglob("zarr.json"):
        if json.loads(file.read_bytes())["node_type"] == "array":
            _read_array(store.array(file.parent.relative_to(path).as_posix()))
    for file in path.glob("work/records/*.arrow"):
        with pa.OSFile(str(file), "rb") as source:
            table = pa.ipc.open_file(source).read_all()
        table.validate(full=True)
        whole = RECORDS.names if file.name.endswith(".nuclei.arrow") else MARKER
        _expect(set(table.column_names) == set(whole), f"{file.name} has columns {table.column_names}")
    for file in [*path.glob("work/failures/*.json"), *path.glob("work/*.json")]:
        json.loads(file.read_bytes())
    if (path / "work" / "keys.npy").exists():
        _expect(store.keys.dtype == np.int64 and store.keys.ndim == 1, "keys.npy holds something else")


def _read_array(array: zarr.Array[Any]) -> None:
    """Read an array shard by shard."""
    steps = array.shards or array.chunks
    corners = [range(0, size, step) for size, step in zip(array.shape, steps, strict=True)]
    for corner in product(*corners):
        array[tuple(slice(at, at + step) for at, step in zip(corner, steps, strict=True))]


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
