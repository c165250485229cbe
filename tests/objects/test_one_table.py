"""One table of many slides: what is in it, what is replaced, what is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fake_outputs import write_slide

from wsiseg.errors import StoreError
from wsiseg.machine.marks import is_ours
from wsiseg.objects.one_table import add_slides, slides_of
from wsiseg.objects.parquet import ParquetWriter, file_schema


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """The tables of slides with four nuclei, none and one."""
    counts = {"a": 2, "empty": 0, "b": 1}
    return {name: write_slide(tmp_path, name, squares=n).parquet for name, n in counts.items()}


def rows(table: Path) -> list[tuple[str, int]]:
    found = pq.read_table(table, columns=["slide", "id"]).to_pylist()
    return [(row["slide"], row["id"]) for row in found]


def test_rows_of_all_slides_in_order(tables: dict[str, Path], tmp_path: Path) -> None:
    table = tmp_path / "nuclei.parquet"
    add_slides(table, tables)
    assert rows(table) == [("a", 1), ("a", 2), ("a", 3), ("a", 4), ("b", 1)]
    assert slides_of(table) == ["a", "empty", "b"]
    assert is_ours(table)
    own = pq.read_table(tables["b"]).to_pylist()
    assert pq.read_table(table, filters=[("slide", "==", "b")]).drop(["slide"]).to_pylist() == own
    assert pq.read_schema(table).metadata[b"geo"] == pq.read_schema(tables["a"]).metadata[b"geo"]


def test_a_slide_that_is_added_again_is_replaced(tables: dict[str, Path], tmp_path: Path) -> None:
    table = tmp_path / "nuclei.parquet"
    add_slides(table, {name: tables[name] for name in ("a", "empty")})
    add_slides(table, {"a": tables["b"], "b": tables["b"]})
    assert rows(table) == [("a", 1), ("b", 1)]
    assert slides_of(table) == ["empty", "a", "b"]
    add_slides(table, {})
    assert slides_of(table) == ["empty", "a", "b"]


def test_other_columns_and_other_files_are_refused(tables: dict[str, Path], tmp_path: Path) -> None:
    table = tmp_path / "nuclei.parquet"
    add_slides(table, tables)
    before = table.read_bytes()
    with ParquetWriter(tmp_path / "all.parquet", file_schema("all")):
        pass
    with pytest.raises(StoreError, match=r"nuclei\.parquet: nuclei\.parquet has other columns"):
        add_slides(table, {"c": tmp_path / "all.parquet"})
    with pytest.raises(StoreError, match=r"new\.parquet: c has other columns"):
        add_slides(tmp_path / "new.parquet", {"a": tables["a"], "c": tmp_path / "all.parquet"})
    assert table.read_bytes() == before
    (tmp_path / "theirs.parquet").write_text("mine")
    with pytest.raises(StoreError, match="wsiseg did not make this file"):
        add_slides(tmp_path / "theirs.parquet", tables)


def test_no_table_has_no_slides(tmp_path: Path) -> None:
    assert slides_of(tmp_path / "nuclei.parquet") == []
