"""Nuclei as a data frame: with geopandas a GeoDataFrame, without it pandas and shapely's geometries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsiseg.errors import StoreError, UsageError
from wsiseg.machine.marks import PARQUET_ID_UNIT

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds

GEOMETRY = "geometry"


def nuclei_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table of nuclei as a data frame, its column `geometry` (WKB), if there is one, as polygons."""
    import shapely

    frame: pd.DataFrame = table.to_pandas()
    if GEOMETRY not in frame:
        return frame
    frame[GEOMETRY] = shapely.from_wkb(frame[GEOMETRY].to_numpy(object))
    try:
        import geopandas
    except ImportError:
        return frame
    geo: pd.DataFrame = geopandas.GeoDataFrame(frame, geometry=GEOMETRY)
    return geo


def read_nuclei(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    where: Sequence[Any] | pa.dataset.Expression | None = None,
) -> pd.DataFrame:
    """Read the nuclei that `predict` or `export` wrote: of one slide, or of all slides in a folder.

    Only the columns asked for are read, and rows that `where` leaves out are never in memory.

    Parameters
    ----------
    path : path-like
        `OUT/<name>`, also with its ending `.parquet` or `.zarr`; or `OUT` for all of its slides, told apart
        by a first column `slide`.
    columns : sequence of str, optional
        Columns to read; all if left out. Without `geometry` no outline is read.
    where : sequence of (column, operator, value), or pyarrow Expression, optional
        Which nuclei: ``[("area_um2", ">", 30)]``; several conditions must all hold. Operators are ``=``,
        ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in`` and ``not in``.

    Returns
    -------
    pandas.DataFrame
        One row per nucleus, columns as in :doc:`/measurements`; `geometry` holds shapely polygons in level-0
        pixels. A ``geopandas.GeoDataFrame`` if geopandas is installed and `geometry` was asked for.

    Raises
    ------
    StoreError
        If there is no such file, or it is not of wsiseg.
    UsageError
        If a column is not in it, or `where` makes no sense.

    Examples
    --------
    >>> wsiseg.read_nuclei("out/slide", ["area_um2"], [("area_um2", ">", 30)])  # doctest: +SKIP
    """
    import pandas as pd

    files, is_folder = _files(Path(path))
    # A slide that was done again has a newer table of its own than its rows in the common one.
    own = [file.name.removesuffix(".parquet") for file in files] if is_folder else []
    frames = [nuclei_frame(_read(file, columns, where, own)) for file in files]
    if not is_folder:
        return frames[0]
    for file, frame in zip(files, frames, strict=True):
        if "slide" not in frame:
            frame.insert(0, "slide", file.name.removesuffix(".parquet"))
    whole = [frame for frame in frames if len(frame)] or frames[:1]
    return pd.concat(whole, ignore_index=True)


def _files(path: Path) -> tuple[list[Path], bool]:
    """Return the Parquet files that are meant, and whether a folder was."""
    named = (
        path if path.suffix == ".parquet" else path.with_name(path.name.removesuffix(".zarr") + ".parquet")
    )
    if named.is_file():
        return [named], False
    found = sorted(file for file in path.glob("*.parquet") if _is_of_nuclei(file)) if path.is_dir() else []
    if not found:
        raise StoreError(
            f"{path}: there are no nuclei here; give OUT/<name> as `wsiseg predict -o OUT` wrote it"
        )
    return found, True


def _dataset(file: Path) -> ds.Dataset:
    import pyarrow as pa
    import pyarrow.dataset as ds

    try:
        return ds.dataset(str(file), format="parquet")
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{file}: not a Parquet file of nuclei: {error}") from error


def _is_of_nuclei(file: Path) -> bool:
    try:
        schema = _dataset(file).schema
    except StoreError:
        return False
    notes = (schema.field("id").metadata or {}) if "id" in schema.names else {}
    return bool(notes.get(b"unit") == PARQUET_ID_UNIT.encode())


def _read(
    file: Path,
    columns: Sequence[str] | None,
    where: Sequence[Any] | pa.dataset.Expression | None,
    without: Sequence[str],
) -> pa.Table:
    """Read columns and rows of a file; of the common table without the slides named."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not _is_of_nuclei(file):
        raise StoreError(f"{file}: not a Parquet file of nuclei that wsiseg wrote")
    dataset = _dataset(file)
    unknown = sorted(set(columns or ()) - set(dataset.schema.names))
    if unknown:
        raise UsageError(
            f"{file}: no column {', '.join(unknown)}; there are {', '.join(dataset.schema.names)}"
        )
    try:
        rows = where
        if isinstance(where, Sequence):
            rows = pq.filters_to_expression(list(where)) if where else None
        if "slide" in dataset.schema.names:
            others = ~pc.field("slide").isin(pa.array(without, pa.string()))
            rows = others if rows is None else rows & others
        named = None if columns is None else list(columns)
        if named is not None and "slide" in dataset.schema.names:
            named = ["slide", *(name for name in named if name != "slide")]
        return dataset.to_table(columns=named, filter=rows)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise UsageError(f"{file}: cannot select where {where}: {error}") from error
