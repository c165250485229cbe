"""Finding and opening a finished store by the path that a user gives."""

from __future__ import annotations

from pathlib import Path

from wsiseg.errors import StoreError
from wsiseg.store.slide_store import SlideStore


def open_finished(path: Path) -> SlideStore:
    """Return a finished store.

    Raises
    ------
    StoreError
        If there is none at the path; the message names what may have been meant.
    """
    if not (path / "zarr.json").is_file():
        raise StoreError(_no_store(path))
    store = SlideStore(path.resolve())
    if not store.is_complete:
        raise StoreError(f"{path}: the slide is not finished; repeat `wsiseg predict` to resume it")
    if not store.has_arrays:
        raise StoreError(
            f"{path}: its arrays were not kept (--only); run `wsiseg predict` with the store to have them"
        )
    return store


def store_at(path: Path) -> Path:
    """Return the store that a path means: itself, or the only one in a folder of outputs."""
    found = [] if (path / "zarr.json").exists() else [*path.glob("*.zarr")]
    return found[0] if len(found) == 1 else path


def _no_store(path: Path) -> str:
    unfinished = path.with_name(f"{path.name}.unfinished")
    if unfinished.exists():
        return f"{path}: the slide is not finished; repeat `wsiseg predict` to resume it"
    found = sorted(path.glob("*.zarr") if path.is_dir() else path.parent.glob("*.zarr"))
    listed = [*map(str, found[:3]), *(["..."] if len(found) > 3 else [])]
    near = f"; there {'is' if len(found) == 1 else 'are'} {', '.join(listed)}" if found else ""
    return f"{path}: no such store; give a folder OUT/<name>.zarr that `wsiseg predict` wrote{near}"
