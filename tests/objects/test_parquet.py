import json

import pyarrow.parquet as pq

from wsiseg.objects.parquet import ParquetWriter
from wsiseg.objects.records import RECORDS


def test_parquet_has_the_records_with_units(tmp_path, table):
    with ParquetWriter(tmp_path / "p.parquet") as writer:
        for begin in range(0, table.num_rows, 9):
            writer.write(table.slice(begin, 9))
    back = pq.read_table(tmp_path / "p.parquet")
    assert back.column_names[0] == "id"
    for name in back.column_names:
        assert back[name].to_pylist() == table[name].to_pylist()
        assert back.schema.field(name).metadata[b"unit"]
    assert json.loads(back.schema.metadata[b"geo"])["primary_column"] == "geometry"
    assert pq.ParquetFile(tmp_path / "p.parquet").num_row_groups == 1


def test_parquet_of_no_nuclei_has_its_columns(tmp_path):
    with ParquetWriter(tmp_path / "p.parquet"):
        pass
    back = pq.read_table(tmp_path / "p.parquet")
    assert back.num_rows == 0
    assert set(back.column_names) < {"id", *RECORDS.names}
