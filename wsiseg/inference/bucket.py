"""Outputs in a bucket: a run writes to a work folder, and what it writes is sent after it.

A slide's state reaches the bucket every few seconds, data before the status that speaks of them, and whoever
goes on with the slide fetches it from there. The root metadata of a finished store is sent last: without
it no reader opens the store, with it the slide is complete.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from wsiseg.errors import StoreError
from wsiseg.inference.outputs import REPORTS, STORE, UNFINISHED
from wsiseg.inference.place import Place
from wsiseg.inference.run_log import SUMMARY, merged_summary
from wsiseg.machine.lock_object import LockObject, put_in_place_of, tag_of
from wsiseg.machine.locks import BusyError, LostError, held, held_lock, wait_for_sign
from wsiseg.slides.sources import SlideSource, possible_names

SEND_EVERY_S = 5.0
ROOT = "zarr.json"
AT_ONCE = 16
# What tells one state of a file from another: its place on the disk, time and size.
Stamp = tuple[int, int, int]


class Bucket(Place):
    """A prefix of an object store, with the work folder that is sent there.

    Parameters
    ----------
    folder : Path
        The work folder.
    fs : fsspec filesystem
        Without a cache of listings.
    root : str
        The prefix, as `fs` has it.
    """

    def __init__(self, folder: Path, fs: Any, root: str) -> None:
        super().__init__(folder)
        self._fs, self._root = fs, root.rstrip("/")
        self._sent: dict[str, Stamp] = {}
        self._hollow: dict[str, Stamp] = {}
        self._done_before: set[str] = set()
        self._busy = threading.Lock()

    @contextmanager
    def turn(self, source: SlideSource) -> Iterator[None]:
        """See `Place.turn`: the state of the slide is fetched before and sent after."""
        with held(self._lock(source), work=source.path) as lock:
            self._thin()
            for name in possible_names(source):
                self._fetch(name)
            yield
            try:
                lock.check()
            except LostError as error:
                raise BusyError(str(error), source.path) from error
            self.send(whole=True)

    def wait_for_sign(self, source: SlideSource, name: str) -> None:
        """See `Place.wait_for_sign`."""
        wait_for_sign(self._lock(source))

    def _lock(self, source: SlideSource) -> LockObject:
        return LockObject(self._fs, f"{self._root}/.{source.name}.lock")

    def _fetch(self, name: str) -> None:
        """Bring the work folder to the state that the bucket has of a slide, where that is further."""
        with self._busy:
            if self._fs.exists(f"{self._root}/{name}{STORE}/{ROOT}"):
                self._fetch_finished(name)
            elif self._fs.exists(f"{self._root}/{name}{UNFINISHED}/{ROOT}"):
                self._fetch_unfinished(f"{name}{UNFINISHED}")

    def _fetch_unfinished(self, store: str) -> None:
        """Fetch what is missing here of an unfinished store; all, if here is that of another run."""
        root = self.folder / store / ROOT
        if root.exists() and root.read_bytes() != self._fs.cat_file(f"{self._root}/{store}/{ROOT}"):
            shutil.rmtree(self.folder / store)
        there = self._listed(store)
        missing = [rel for rel in there if not (self.folder / rel).exists()]
        # The status of a tile after its data, the root when all is there.
        self._get([rel for rel in missing if _rank(rel) == 0])
        self._get([rel for rel in missing if _rank(rel) > 0])
        self._note(rel for rel in there if (self.folder / rel).stat().st_size == there[rel])

    def _fetch_finished(self, name: str) -> None:
        """Fetch the root metadata of a finished store, and stand in for the files that are there."""
        store = f"{name}{STORE}"
        shutil.rmtree(self.folder / f"{name}{UNFINISHED}", ignore_errors=True)
        if (self.folder / store / ROOT).exists():
            return
        there = [rel for rel in self._beside(name) if not (self.folder / rel).exists()]
        for rel in there:
            (self.folder / rel).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / rel).touch()
        self._get([f"{store}/{ROOT}"])
        self._note([*there, f"{store}/{ROOT}"])
        self._hollow[store] = self._sent[f"{store}/{ROOT}"]

    def _beside(self, name: str) -> list[str]:
        """Return the files of a slide that lie beside its store, the pages of its report last."""
        listed = self._fs.ls(self._root, detail=True)
        files = [str(entry["name"]) for entry in listed if entry["type"] == "file"]
        plain = [self._relative(file) for file in files if file.rpartition("/")[2].startswith(f"{name}.")]
        return [*plain, *self._listed(f"{REPORTS}/{name}")]

    def _listed(self, prefix: str) -> dict[str, int]:
        found = self._fs.find(f"{self._root}/{prefix}", detail=True)
        return {self._relative(path): int(entry["size"]) for path, entry in found.items()}

    def _relative(self, path: str) -> str:
        return path.removeprefix(f"{self._root}/")

    def _get(self, relative: list[str]) -> None:
        for rel in relative:
            (self.folder / rel).parent.mkdir(parents=True, exist_ok=True)
        here = [str(self.folder / rel) for rel in relative]
        if relative:
            self._fs.get([f"{self._root}/{rel}" for rel in relative], here, batch_size=AT_ONCE)

    def _note(self, relative: Iterator[str] | list[str]) -> None:
        for rel in relative:
            self._sent[rel] = _stamp((self.folder / rel).stat())

    def send(self, whole: bool = False) -> None:
        """Send what is new in the work folder, in an order in which nothing speaks of what is not there.

        Parameters
        ----------
        whole : bool
            Whether nothing is being written now: then what is gone here goes there too.
        """
        with self._busy:
            self._clear_replaced()
            first = self._walk()
            # Data are looked for after the status that speaks of them.
            now = {**self._walk(), **{rel: stamp for rel, stamp in first.items() if _rank(rel) > 0}}
            new = {rel: stamp for rel, stamp in now.items() if self._sent.get(rel) != stamp}
            for rank in (0, 1, 2):
                self._put({rel: stamp for rel, stamp in new.items() if _rank(rel) == rank})
            if whole:
                self._remove([rel for rel in self._sent if rel not in now and rel != SUMMARY])
            while not self._send_summary() and whole:
                time.sleep(0.1)

    def _remove(self, gone: list[str]) -> None:
        """Delete in the bucket what is gone here; of a store that is gone also what a lost run still sent."""
        tops = {rel.partition("/")[0] for rel in gone if "/" in rel}
        stores = {
            top for top in tops if top.endswith((STORE, UNFINISHED)) and not (self.folder / top).exists()
        }
        for store in stores:
            with suppress(FileNotFoundError):
                self._fs.rm(f"{self._root}/{store}", recursive=True)
        single = [f"{self._root}/{rel}" for rel in gone if rel.partition("/")[0] not in stores]
        if single:
            self._fs.rm(single)
        for rel in gone:
            del self._sent[rel]

    def _put(self, new: dict[str, Stamp]) -> None:
        """Put files; what only got another name here is copied there."""
        before = {stamp: rel for rel, stamp in self._sent.items()}

        def put(rel: str) -> bool:
            here, there = self.folder / rel, f"{self._root}/{rel}"
            if new[rel] in before:
                with suppress(FileNotFoundError):
                    self._fs.cp_file(f"{self._root}/{before[new[rel]]}", there)
                    return True
            try:
                self._fs.put_file(str(here), there)
            except FileNotFoundError:
                if here.exists():
                    raise
                return False
            return True

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="wsiseg-send") as pool:
            were_put = list(pool.map(put, new))
        self._sent |= {
            rel: stamp for (rel, stamp), was_put in zip(new.items(), were_put, strict=True) if was_put
        }

    def _send_summary(self) -> bool:
        """Put summary.csv with the rows that other runs have put there meanwhile; whether it was put."""
        here, there = self.folder / SUMMARY, f"{self._root}/{SUMMARY}"
        if not here.exists() or self._sent.get(SUMMARY) == (stamp := _stamp(here.stat())):
            return True
        tag = tag_of(self._fs, there)
        rows = [self._fs.cat_file(there)] if self._fs.exists(there) else []
        if not put_in_place_of(self._fs, there, merged_summary(*rows, here.read_bytes()), tag):
            return False
        self._sent[SUMMARY] = stamp
        return True

    def _clear_replaced(self) -> None:
        """Delete in the bucket the stores of which only the root was here, and that were replaced since."""
        for store, stamp in list(self._hollow.items()):
            root = self.folder / store / ROOT
            if not root.exists() or _stamp(root.stat()) != stamp:
                self._fs.rm(f"{self._root}/{store}", recursive=True)
                self._sent.pop(f"{store}/{ROOT}", None)
                del self._hollow[store]

    def _thin(self) -> None:
        """Make room: of slides that were done before the last one keep here what their report needs."""
        done = {path.name for path in self.folder.glob(f"*{STORE}")} - self._hollow.keys()
        with self._busy:
            for store in done & self._done_before:
                name = store.removesuffix(STORE)
                for rel in [rel for rel in self._sent if rel.startswith((f"{store}/", f"{name}."))]:
                    path = self.folder / rel
                    if rel.startswith(f"{store}/") and rel != f"{store}/{ROOT}":
                        del self._sent[rel]
                        path.unlink(missing_ok=True)
                    elif path.suffix in (".geojson", ".gz", ".parquet"):
                        path.write_bytes(b"")
                        self._note([rel])
                self._hollow[store] = _stamp((self.folder / store / ROOT).stat())
        self._done_before = done - self._hollow.keys()

    def _walk(self) -> dict[str, Stamp]:
        found = {}
        for place, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(place, name)
                if name.startswith(".") or name.endswith(".partial") or path == self.folder / SUMMARY:
                    continue
                with suppress(FileNotFoundError):
                    found[path.relative_to(self.folder).as_posix()] = _stamp(path.stat())
        return found


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _rank(rel: str) -> int:
    """Return when a file is sent: data, then status and notes of the work, then the root of a store."""
    store, _, inside = rel.partition("/")
    if not store.endswith((STORE, UNFINISHED)):
        return 0
    if inside == ROOT:
        return 2
    is_note = inside.startswith("work/") and inside.endswith(".json") and not inside.endswith(ROOT)
    return int(is_note or inside.startswith(("status/", "work/status/")))


@contextmanager
def bucket(url: str, base: Path) -> Iterator[Bucket]:
    """Give the place of a URL; what is in its work folder when the block ends is sent.

    Parameters
    ----------
    url : str
    base : Path
        Where work folders are made; workers of a cluster must see it too.

    Raises
    ------
    StoreError
        If nothing can be put there.
    """
    import fsspec

    try:
        fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        probe = f"{root.rstrip('/')}/.wsiseg-{os.getpid()}"
        fs.pipe_file(probe, b"")
        fs.rm_file(probe)
    except Exception as error:
        raise StoreError(f"{url}: cannot be written: {' '.join(str(error).split())[:200]}") from error
    with work_folder(url, base) as folder:
        place = Bucket(folder, fs, root)
        stop = threading.Event()
        sender = threading.Thread(target=_keep_sending, args=(place, stop), name="wsiseg-send", daemon=True)
        sender.start()
        try:
            yield place
        finally:
            stop.set()
            sender.join()
        place.send(whole=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def work_folder(url: str, base: Path) -> Iterator[Path]:
    """Hold a folder in which the slides of a bucket are worked on, made if absent.

    A run that was killed finds its folder again; runs at the same time have one each.
    """
    name = f"bucket-{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:16]}"
    with ExitStack() as stack:
        for number in count(1):
            folder = base / f"{name}-{number}"
            try:
                base.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held_lock(base / f"{folder.name}.lock", work=url))
                folder.mkdir(exist_ok=True)
                break
            except BusyError:
                continue
            except OSError as error:
                cause = error.strerror or error
                raise StoreError(
                    f"{folder}: cannot be made: {cause}; set WSISEG_WORK to a folder that can"
                ) from error
        yield folder


def _keep_sending(place: Bucket, stop: threading.Event) -> None:
    while not stop.wait(SEND_EVERY_S):
        # What cannot be sent now is tried again; at the end of a slide it is an error.
        with suppress(Exception):
            place.send()
