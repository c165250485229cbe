"""Outputs in a bucket: a run writes to a local work folder, whose files are uploaded as they appear.

A slide's state reaches the bucket every few seconds, data before the status that speaks of them, and whoever
resumes the slide downloads it from there. The root metadata of a finished store is uploaded last: without
it no reader opens the store, with it the slide is complete.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from wsiseg.errors import StoreError
from wsiseg.inference.mirror import Mirror, Stamp
from wsiseg.inference.place import Place
from wsiseg.inference.run_log import SUMMARY, merged_summary
from wsiseg.machine.lock_object import LockObject, put_in_place_of, tag_of
from wsiseg.machine.locks import BusyError, LostError, held, held_lock, wait_for_sign
from wsiseg.machine.marks import LOG, stand_in
from wsiseg.slides.sources import SlideSource, possible_names
from wsiseg.store.outputs import REPORTS, STORE, UNFINISHED

SEND_EVERY_S = 5.0
ROOT = "zarr.json"


class Bucket(Place):
    """A prefix of an object store, and the local work folder that is uploaded to it.

    Parameters
    ----------
    folder : Path
        The work folder.
    fs : fsspec filesystem
        Without a cache of listings.
    url : str
        The prefix.
    """

    def __init__(self, folder: Path, fs: Any, url: str) -> None:
        super().__init__(folder)
        self._url = url.rstrip("/") + "/"
        root = str(fs._strip_protocol(url))
        self._mirror = Mirror(folder, fs, root)
        # Finished stores of which only the root metadata are in the folder, with its stamp.
        self._hollow: dict[str, Stamp] = {}
        self._done_before: set[str] = set()
        self._busy = threading.Lock()

    @contextmanager
    def turn(self, source: SlideSource) -> Iterator[None]:
        """Hold a slide by its lock in the bucket; download its state before and upload it after."""
        with held(self._lock(source), work=source.path) as lock:
            with self._busy:
                self._thin()
                for name in possible_names(source):
                    self._fetch(name)
            yield
            try:
                lock.check()
            except LostError as error:
                raise BusyError(str(error), source.path) from error
            self.send(whole=True)

    def foreign(self, targets: Iterable[Path], inputs: Iterable[str]) -> list[str]:
        """Return the URLs in the bucket that must not be replaced."""
        kept = set(inputs)
        urls = {path: self._url + path.relative_to(self.folder).as_posix() for path in targets}
        return [
            url
            for path, url in urls.items()
            if url in kept or self._mirror.is_foreign(path.relative_to(self.folder).as_posix())
        ]

    def join_log(self) -> None:
        """Fetch the log of earlier runs, so that this one adds to it."""
        if self._mirror.exists(LOG):
            if not (self.folder / LOG).exists():
                self._mirror.get([LOG])
            self._mirror.note([LOG])

    def wait_for_sign(self, source: SlideSource, name: str) -> None:
        """Wait until the run that has the slide is done with it, shows that it lives, or is dead."""
        wait_for_sign(self._lock(source))

    def _lock(self, source: SlideSource) -> LockObject:
        return LockObject(self._mirror.fs, self._mirror.there(f".{source.name}.lock"))

    def _fetch(self, name: str) -> None:
        """Bring the work folder up to the bucket's state of a slide, where the bucket is further along."""
        if self._mirror.exists(f"{name}{STORE}/{ROOT}"):
            self._fetch_finished(name)
        elif self._mirror.exists(f"{name}{UNFINISHED}/{ROOT}"):
            self._fetch_unfinished(f"{name}{UNFINISHED}")

    def _fetch_unfinished(self, store: str) -> None:
        """Download what is missing of an unfinished store; all of it if the local one is another run's."""
        mirror, root = self._mirror, self.folder / store / ROOT
        if root.exists() and root.read_bytes() != mirror.fs.cat_file(mirror.there(f"{store}/{ROOT}")):
            shutil.rmtree(self.folder / store)
        there = mirror.listed(store)
        missing = [rel for rel in there if not (self.folder / rel).exists()]
        # The status of a tile after its data, the root once everything is there.
        mirror.get([rel for rel in missing if _rank(rel) == 0])
        mirror.get([rel for rel in missing if _rank(rel) > 0])
        mirror.note(rel for rel in there if (self.folder / rel).stat().st_size == there[rel])

    def _fetch_finished(self, name: str) -> None:
        """Download the root metadata of a finished store; small files stand in for those beside it."""
        store = f"{name}{STORE}"
        shutil.rmtree(self.folder / f"{name}{UNFINISHED}", ignore_errors=True)
        if (self.folder / store / ROOT).exists():
            return
        plain = [rel for rel in self._mirror.top() if rel.startswith(f"{name}.")]
        beside = [*plain, *self._mirror.listed(f"{REPORTS}/{name}")]
        absent = [
            rel for rel in beside if not (self.folder / rel).exists() and not self._mirror.is_foreign(rel)
        ]
        for rel in absent:
            (self.folder / rel).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / rel).write_bytes(stand_in(rel))
        self._mirror.get([f"{store}/{ROOT}"])
        self._mirror.note([*absent, f"{store}/{ROOT}"])
        self._hollow[store] = self._mirror.stamp(f"{store}/{ROOT}")

    def send(self, whole: bool = False) -> None:
        """Upload what is new in the work folder, in an order in which nothing refers to a missing file.

        Parameters
        ----------
        whole : bool
            Whether nothing is being written now; only then are files that were deleted here deleted there.
        """
        with self._busy:
            self._clear_replaced()
            first = self._files()
            # Data are listed after the status that refers to them.
            now = {**self._files(), **{rel: stamp for rel, stamp in first.items() if _rank(rel) > 0}}
            new = {rel: stamp for rel, stamp in now.items() if self._mirror.sent.get(rel) != stamp}
            for rank in (0, 1, 2):
                self._mirror.put({rel: stamp for rel, stamp in new.items() if _rank(rel) == rank})
            if whole:
                self._remove([rel for rel in self._mirror.sent if rel not in now and rel != SUMMARY])
            while not self._send_summary() and whole:
                time.sleep(0.1)

    def _files(self) -> dict[str, Stamp]:
        return {rel: stamp for rel, stamp in self._mirror.files().items() if rel != SUMMARY}

    def _remove(self, gone: list[str]) -> None:
        """Delete in the bucket what was deleted here; in a deleted store also what a lost run uploaded."""
        tops = {rel.partition("/")[0] for rel in gone}
        for store in tops:
            if store.endswith((STORE, UNFINISHED)) and not (self.folder / store).exists():
                self._mirror.remove_below(store)
        self._mirror.remove([rel for rel in gone if rel in self._mirror.sent])

    def _send_summary(self) -> bool:
        """Upload summary.csv, merged with the rows of other runs; return whether it was uploaded."""
        mirror, here, there = self._mirror, self.folder / SUMMARY, self._mirror.there(SUMMARY)
        if not here.exists() or mirror.sent.get(SUMMARY) == (stamp := mirror.stamp(SUMMARY)):
            return True
        tag = tag_of(mirror.fs, there)
        rows = [mirror.fs.cat_file(there)] if mirror.exists(SUMMARY) else []
        if not put_in_place_of(mirror.fs, there, merged_summary(*rows, here.read_bytes()), tag):
            return False
        mirror.sent[SUMMARY] = stamp
        return True

    def _clear_replaced(self) -> None:
        """Delete hollow stores in the bucket that were replaced in the folder."""
        for store, stamp in list(self._hollow.items()):
            root = f"{store}/{ROOT}"
            if not (self.folder / root).exists() or self._mirror.stamp(root) != stamp:
                self._mirror.remove_below(store)
                del self._hollow[store]

    def _thin(self) -> None:
        """Free disk space: of all finished slides but the last, keep only what the report needs."""
        done = {path.name for path in self.folder.glob(f"*{STORE}")} - self._hollow.keys()
        for store in done & self._done_before:
            name, root = store.removesuffix(STORE), f"{store}/{ROOT}"
            for rel in [rel for rel in self._mirror.sent if rel.startswith((f"{store}/", f"{name}."))]:
                path = self.folder / rel
                if rel.startswith(f"{store}/") and rel != root:
                    del self._mirror.sent[rel]
                    path.unlink(missing_ok=True)
                elif path.suffix in (".geojson", ".gz", ".parquet"):
                    path.write_bytes(stand_in(rel))
                    self._mirror.note([rel])
            self._hollow[store] = self._mirror.stamp(root)
        self._done_before = done - self._hollow.keys()


def _rank(rel: str) -> int:
    """Return the turn of a file: data first, then status and notes, then the root of a store."""
    store, _, inside = rel.partition("/")
    if not store.endswith((STORE, UNFINISHED)):
        return 0
    if inside == ROOT:
        return 2
    is_note = inside.startswith("work/") and inside.endswith(".json") and not inside.endswith(ROOT)
    return int(is_note or inside.startswith(("status/", "work/status/")))


@contextmanager
def bucket(url: str, base: Path) -> Iterator[Bucket]:
    """Give the place of a URL; what is in its work folder when the block ends is uploaded.

    Parameters
    ----------
    url : str
        A prefix of an object store.
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
        place = Bucket(folder, fs, url)
        place.join_log()
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
    """Hold the local folder in which the slides of a bucket are processed; create it if absent.

    A run that was killed and restarted finds its folder; concurrent runs each have their own.
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
        # A failed upload is retried; at the end of a slide it is an error.
        with suppress(Exception):
            place.send()
