"""A local folder whose files are uploaded to a prefix of an object store and downloaded from it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from wsiseg.errors import StoreError
from wsiseg.machine.marks import has_mark, has_store_mark
from wsiseg.machine.whole import STREAMED

AT_ONCE = 16
# Identifies a version of a file: inode, time of modification, size.
Stamp = tuple[int, int, int]


class Mirror:
    """A folder and its prefix; paths are relative to both, with slashes.

    Parameters
    ----------
    folder : Path
        The local folder.
    fs : fsspec filesystem
        Without a cache of listings.
    root : str
        The prefix, in the form that `fs` uses.

    Attributes
    ----------
    sent : dict
        Files that are the same in both, with their stamps in the folder.
    """

    def __init__(self, folder: Path, fs: Any, root: str) -> None:
        self.folder, self.fs, self.root = folder, fs, root.rstrip("/")
        self.sent: dict[str, Stamp] = {}

    def there(self, rel: str) -> str:
        """Return where a path is in the store."""
        return f"{self.root}/{rel}"

    def exists(self, rel: str) -> bool:
        """Whether an object is there."""
        return bool(self.fs.exists(self.there(rel)))

    def listed(self, prefix: str) -> dict[str, int]:
        """Return the objects below a path, with their sizes."""
        found = self.fs.find(self.there(prefix), detail=True)
        return {self._relative(path): int(entry["size"]) for path, entry in found.items()}

    def top(self) -> list[str]:
        """Return the objects that lie directly in the prefix."""
        entries = self.fs.ls(self.root, detail=True)
        return [self._relative(str(entry["name"])) for entry in entries if entry["type"] == "file"]

    def _relative(self, path: str) -> str:
        return path.removeprefix(f"{self.root}/")

    def is_foreign(self, rel: str) -> bool:
        """Whether there is a file or store at a path that wsiseg did not make."""
        if not self.exists(rel):
            return False
        inside = [found.removeprefix(f"{rel}/") for found in self.listed(rel) if found != rel]
        if not inside:
            return not has_mark(rel, lambda: self.fs.open(self.there(rel), "rb"))
        metadata = self.fs.cat_file(self.there(f"{rel}/zarr.json")) if "zarr.json" in inside else b""
        return not has_store_mark(metadata, {name.partition("/")[0] for name in inside})

    def get(self, relative: list[str]) -> None:
        """Fetch files."""
        for rel in relative:
            (self.folder / rel).parent.mkdir(parents=True, exist_ok=True)
        if relative:
            here = [str(self.folder / rel) for rel in relative]
            self.fs.get([self.there(rel) for rel in relative], here, batch_size=AT_ONCE)

    def note(self, relative: Iterable[str]) -> None:
        """Regard files as uploaded in their present state."""
        for rel in relative:
            self.sent[rel] = self.stamp(rel)

    def stamp(self, rel: str) -> Stamp:
        """Return the stamp of a file in the folder."""
        return _stamp(self.folder / rel)

    def put(self, new: dict[str, Stamp]) -> None:
        """Upload files; a file that was only renamed locally is copied within the store.

        Raises
        ------
        StoreError
            If a file that wsiseg did not make has one of the names outside stores.
        """
        before = {stamp: rel for rel, stamp in self.sent.items()}

        def put(rel: str) -> bool:
            here = self.folder / rel
            if rel not in self.sent and not _in_store(rel) and self.is_foreign(rel):
                raise StoreError(
                    f"{self.there(rel)}: wsiseg did not make this file, so it stays as it is; move it away"
                )
            if new[rel] in before:
                with suppress(FileNotFoundError):
                    self.fs.cp_file(self.there(before[new[rel]]), self.there(rel))
                    return True
            try:
                self.fs.put_file(str(here), self.there(rel))
            except FileNotFoundError:
                if here.exists():
                    raise
                return False
            return True

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="wsiseg-send") as pool:
            were_put = list(pool.map(put, new))
        self.sent |= {rel: new[rel] for rel, was_put in zip(new, were_put, strict=True) if was_put}

    def remove(self, gone: list[str]) -> None:
        """Delete objects."""
        if gone:
            self.fs.rm([self.there(rel) for rel in gone])
        for rel in gone:
            self.sent.pop(rel, None)

    def remove_below(self, prefix: str) -> None:
        """Delete all objects below a path, also those that another machine put there."""
        with suppress(FileNotFoundError):
            self.fs.rm(self.there(prefix), recursive=True)
        for rel in [rel for rel in self.sent if rel.startswith(f"{prefix}/")]:
            del self.sent[rel]

    def files(self) -> dict[str, Stamp]:
        """Return the finished files of the folder with their stamps, without hidden ones."""
        return dict(self._walk())

    def _walk(self) -> Iterator[tuple[str, Stamp]]:
        for place, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(place, name)
                if not name.startswith(".") and not name.endswith(STREAMED):
                    with suppress(FileNotFoundError):
                        yield path.relative_to(self.folder).as_posix(), _stamp(path)


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _in_store(rel: str) -> bool:
    return ".zarr" in rel.partition("/")[0] and "/" in rel
