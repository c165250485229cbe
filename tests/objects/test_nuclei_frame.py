"""Tables of nuclei as data frames, read with no more than was asked for."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely

from wsiseg.errors import StoreError, UsageError
from wsiseg.objects.nuclei_frame import nuclei_frame, read_nuclei
from wsiseg.objects.parquet import ParquetWriter, file_schema
from wsiseg.objects.records import RECORDS


def table(count: int) -> pa.Table:
    ids = np.arange(1, count + 1)
    outlines = shapely.to_wkb(shapely.box(ids, 0, ids + 1, 2))
    columns: dict[str, Any] = dict.fromkeys(RECORDS.names, ids) | {"geometry": outlines, "id": ids}
    schema = pa.schema([pa.field("id", pa.uint32()), *RECORDS])
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for name, count in (("a", 5), ("b", 3)):
        with ParquetWriter(tmp_path / f"{name}.parquet") as writer:
            writer.write(table(count))
    pd.DataFrame({"id": [1], "mine": [2]}).to_parquet(tmp_path / "notes.parquet")
    return tmp_path


@pytest.mark.parametrize("name", ["a", "a.parquet", "a.zarr"])
def test_a_slide_by_any_of_its_names(out: Path, name: str) -> None:
    import geopandas

    nuclei = read_nuclei(out / name)
    assert isinstance(nuclei, geopandas.GeoDataFrame)
    assert list(nuclei) == file_schema().names
    assert nuclei.area.tolist() == [2.0] * 5


def test_only_what_is_asked_for(out: Path) -> None:
    nuclei = read_nuclei(out / "a", ["id"], [("area_um2", ">", 2), ("area_um2", "<=", 4)])
    assert type(nuclei) is pd.DataFrame
    assert nuclei["id"].tolist() == [3, 4]
    assert read_nuclei(out / "a", ["id"], pc.field("area_um2") < 2)["id"].tolist() == [1]
    assert len(read_nuclei(out / "a", ["geometry"], [])) == 5


def test_a_folder_is_all_of_its_slides_but_no_other_files(out: Path) -> None:
    nuclei = read_nuclei(out, ["id"], [("id", ">=", 3)])
    assert nuclei.to_dict("list") == {"slide": ["a", "a", "a", "b"], "id": [3, 4, 5, 3]}
    assert list(read_nuclei(out, ["id"], [("id", ">", 9)])) == ["slide", "id"]


def test_without_geopandas_there_are_shapely_polygons(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "geopandas":
            raise ImportError(name)
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    found = nuclei_frame(table(2))
    assert type(found) is pd.DataFrame
    assert shapely.bounds(found["geometry"].iloc[1]).tolist() == [2, 0, 3, 2]


def test_a_nucleus_without_outline_has_none() -> None:
    some = table(2).set_column(
        table(2).schema.get_field_index("geometry"),
        "geometry",
        pa.array([None, b""], pa.binary()).take([0, 0]),
    )
    assert nuclei_frame(some)["geometry"].isna().all()


def test_what_is_wrong_is_said(out: Path) -> None:
    with pytest.raises(StoreError, match="c: there are no nuclei here; give OUT/<name>"):
        read_nuclei(out / "c")
    with pytest.raises(StoreError, match=r"notes\.parquet: not a Parquet file of nuclei that wsiseg wrote"):
        read_nuclei(out / "notes")
    with pytest.raises(UsageError, match=r"a\.parquet: no column size; there are id, centroid_x_um"):
        read_nuclei(out / "a", ["size"])
    with pytest.raises(UsageError, match="cannot select where"):
        read_nuclei(out / "a", where=[("area_um2", "about", 3)])
