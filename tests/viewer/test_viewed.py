"""What a store is shown with, and what is said when something is not there."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image
from viewed_store import change, make_viewed, picture, write_nuclei

from wsiseg.errors import SlideError, StoreError
from wsiseg.viewer import viewed
from wsiseg.viewer.backdrop import SlideBackdrop, StainBackdrop
from wsiseg.viewer.viewed import open_viewed


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_viewed(tmp_path / "out")


def test_everything_there(store: Path) -> None:
    found = open_viewed(store)
    assert found.notes == ()
    assert isinstance(found.backdrop, SlideBackdrop)
    assert found.slide is not None
    assert found.nuclei is not None
    assert (found.mpp_l0, found.threshold) == (0.25, 0.4)


def test_a_slide_that_moved_beside_the_store_is_found(store: Path, tmp_path: Path) -> None:
    change(store, slide="/elsewhere/slide.png")
    assert open_viewed(store).notes == ()
    shutil.move(store.with_name("slide.png"), tmp_path / "moved.png")
    found = open_viewed(store)
    assert isinstance(found.backdrop, StainBackdrop)
    assert "no longer at /elsewhere/slide.png" in found.notes[0]
    assert "--slide" in found.notes[0]
    assert open_viewed(store, str(tmp_path / "moved.png")).notes == ()


def test_a_slide_behind_a_url_is_not_fetched(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewed, "open_slide", lambda *_: pytest.fail("asked for"))
    change(store, slide="https://example.org/slide.svs")
    assert "does not fetch" in open_viewed(store).notes[0]


def test_another_slide_is_refused_or_left_out(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    Image.fromarray(picture()[:800]).save(other)
    with pytest.raises(StoreError, match="has 1200 x 800 px, the store was made from 1200 x 900 px"):
        open_viewed(store, str(other))
    shutil.copy(other, store.with_name("slide.png"))
    found = open_viewed(store)
    assert found.slide is None
    assert "no longer the slide of this store" in found.notes[0]


def test_another_file_of_the_same_size_is_shown_with_a_note(store: Path, tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "same.bmp")
    found = open_viewed(store, str(tmp_path / "same.bmp"))
    assert found.slide is not None
    assert "is another file" in found.notes[0]


def test_a_broken_slide(store: Path) -> None:
    store.with_name("slide.png").write_bytes(b"\x89PNG broken")
    found = open_viewed(store)
    assert found.slide is None
    assert "cannot be opened" in found.notes[0]
    with pytest.raises(SlideError):
        open_viewed(store, str(store.with_name("slide.png")))


def test_without_a_store_it_is_said_what_there_is(store: Path) -> None:
    with pytest.raises(StoreError, match=r"no such store.*there is .*slide\.zarr"):
        open_viewed(store.with_name("sldie.zarr"))
    with pytest.raises(StoreError, match=r"out: no such store.*there is .*slide\.zarr"):
        open_viewed(store.parent)
    store.rename(store.with_name("slide.zarr.unfinished"))
    with pytest.raises(StoreError, match="not finished; repeat `wsiseg predict`"):
        open_viewed(store)
    (store.parent / "zarr.json").write_text("{}")
    with pytest.raises(StoreError, match="Zarr store"):
        open_viewed(store.parent)


def test_an_unfinished_store(store: Path) -> None:
    change(store, state="unfinished")
    with pytest.raises(StoreError, match="not finished"):
        open_viewed(store)


def test_nuclei_that_are_gone_broken_or_others(store: Path) -> None:
    parquet = store.with_name("slide.parquet")
    change(store, summary={"nuclei": 17})
    assert "slide.parquet holds 5 nuclei, the store 17" in open_viewed(store).notes[0]
    change(store, summary={})
    assert open_viewed(store).notes == ()
    parquet.write_bytes(b"broken")
    assert f"wsiseg export {shlex.quote(str(store.resolve()))}" in open_viewed(store).notes[0]
    parquet.unlink()
    found = open_viewed(store)
    assert found.nuclei is None
    assert "no slide.parquet beside the store" in found.notes[0]
    write_nuclei(parquet, row_group=100)
    assert open_viewed(store).notes == ()
