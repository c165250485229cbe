"""The files that we write are Zarr's, and we read what Zarr writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

from wsiseg.store.chunks import ChunkFiles, StateFiles
from wsiseg.store.states import State
from wsiseg.tiles import Box


def make(folder: Path, dtype: str = "u4", shard_px: int | None = 16) -> zarr.Array:
    shards = None if shard_px is None else (shard_px, shard_px)
    return zarr.create_array(
        folder, shape=(40, 27), dtype=dtype, chunks=(8, 8), shards=shards, compressors=[ZstdCodec(level=1)],
        fill_value=0, config={"write_empty_chunks": False},
    )  # fmt: skip


def picture(dtype: str) -> np.ndarray:
    """A picture of which whole chunks, and one whole shard, are empty."""
    values = np.random.default_rng(1).integers(0, 200, (40, 27)).astype(dtype)
    values[:9, :17] = 0
    values[16:32, :16] = 0
    return values


@pytest.mark.parametrize("dtype", ["u1", "u4"])
@pytest.mark.parametrize("shard_px", [16, 24, None])
def test_zarr_reads_what_we_write_and_we_what_zarr_writes(
    tmp_path: Path, dtype: str, shard_px: int | None
) -> None:
    ours, theirs = make(tmp_path / "ours", dtype, shard_px), make(tmp_path / "theirs", dtype, shard_px)
    values = picture(dtype)
    theirs[:] = values
    files = ChunkFiles.of(tmp_path / "ours", ours)
    px = files.file_px
    for row in range(-(-40 // px)):
        for col in range(-(-27 // px)):
            files.write(row, col, values[row * px : (row + 1) * px, col * px : (col + 1) * px])
    assert np.array_equal(ours[:], values)
    of_zarr = ChunkFiles.of(tmp_path / "theirs", theirs)
    for box in (Box(0, 0, 27, 40), Box(3, 5, 26, 39), Box(9, 9, 12, 30), Box(16, 16, 24, 24)):
        assert np.array_equal(of_zarr.read(box), values[box.slices_in(Box(0, 0, 27, 40))])
        assert of_zarr.read(box).dtype == values.dtype
    names = [
        sorted(p.relative_to(tmp_path / who) for p in (tmp_path / who).rglob("c/*/*"))
        for who in ("ours", "theirs")
    ]
    assert names[0] == names[1]  # nothing is stored where there is nothing


def test_a_file_that_becomes_empty_goes(tmp_path: Path) -> None:
    files = ChunkFiles.of(tmp_path, make(tmp_path))
    files.write(1, 0, np.ones((16, 16), np.uint32))
    files.write(1, 0, np.zeros((16, 16), np.uint32))
    assert not list(tmp_path.rglob("c/*/*"))


def test_a_damaged_index_is_noticed(tmp_path: Path) -> None:
    files = ChunkFiles.of(tmp_path, make(tmp_path))
    files.write(0, 0, np.ones((16, 16), np.uint32))
    path = tmp_path / "c/0/0"
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="index of a shard is damaged"):
        files.read(Box(0, 0, 16, 16))


def test_status_is_one_byte_a_file_as_in_zarr(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path, shape=(3, 2), dtype="u1", chunks=(1, 1), compressors=None, filters=None, fill_value=0
    )
    status = StateFiles(tmp_path, array.shape)
    assert not status.all().any()
    status.mark(2, 1, State.DONE)
    array[0, 1] = 2
    assert np.array_equal(status.all(), [[0, 2], [0, 0], [0, 1]])
    assert np.array_equal(array[:], status.all())
    assert (status.at(2, 1), status.at(1, 1)) == (State.DONE, State.TODO)


def test_what_lies_outside_is_an_error_and_not_background(tmp_path: Path) -> None:
    files = ChunkFiles.of(tmp_path, make(tmp_path))
    with pytest.raises(ValueError, match="is not inside"):
        files.read(Box(0, 0, 28, 40))
