"""The files of one slide in an output folder."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from uuid import uuid4

from wsiseg.config import OUTPUT_KINDS
from wsiseg.machine.marks import PREVIEW, is_ours
from wsiseg.machine.whole import STREAMED
from wsiseg.objects.one_table import slides_of

# Endings of a finished and an unfinished store, and the folder of the slides' reports.
STORE, UNFINISHED = ".zarr", ".zarr.unfinished"
REPORTS = "report"
INDEX = PAGE = "index.html"
# One table of all slides, in place of one each.
ONE_TABLE = "nuclei.parquet"
THUMBNAIL = "thumbnail.jpg"


@dataclass(frozen=True)
class Outputs:
    """The files of one slide in the output folder.

    Parameters
    ----------
    folder : Path
    name : str
    gzip : bool
        Whether the GeoJSON is compressed.
    only : tuple of str
        Which of `OUTPUT_KINDS` are kept.
    """

    folder: Path
    name: str
    gzip: bool = False
    only: tuple[str, ...] = OUTPUT_KINDS

    @property
    def store(self) -> Path:
        """The finished store."""
        return self.folder / f"{self.name}{STORE}"

    @property
    def unfinished(self) -> Path:
        """The store while the slide is processed."""
        return self.folder / f"{self.name}{UNFINISHED}"

    @property
    def scratch(self) -> Path:
        """A temporary store for nuclei found once more from the finished one."""
        return self.folder / f".{self.name}.again.part"

    @property
    def geojson(self) -> Path:
        """The polygons."""
        return self.folder / f"{self.name}.geojson{'.gz' if self.gzip else ''}"

    @property
    def parquet(self) -> Path:
        """One row per nucleus."""
        return self.folder / f"{self.name}.parquet"

    @property
    def preview(self) -> Path:
        """The picture; no slide can have its name."""
        return self.folder / f"{self.name}{PREVIEW}"

    @property
    def files(self) -> list[Path]:
        """What is kept beside the store: polygons, table, preview, and page and thumbnail of the report."""
        report = self.folder / REPORTS / self.name
        files = {"geojson": [self.geojson], "parquet": [self.parquet], "preview": [self.preview],
                 "report": [report / PAGE, report / THUMBNAIL]}  # fmt: skip
        return [file for kind in self.only for file in files.get(kind, [])]

    def geojson_files(self) -> list[Path]:
        """Return the existing GeoJSON files: one, or the parts that `--split` wrote."""
        ending = self.geojson.name.removeprefix(self.name)
        parts = self.folder.glob(f"{escape(self.name)}.part[0-9][0-9]*{ending}")
        return [*sorted(parts), *filter(Path.exists, [self.geojson])]

    def missing(self) -> list[Path]:
        """Return the polygons, table and preview that are to be kept and are not there."""
        there = {
            self.geojson: bool(self.geojson_files()),
            self.parquet: self.parquet.exists() or self.name in slides_of(self.folder / ONE_TABLE),
            self.preview: self.preview.exists(),
        }
        return [file for file in self.files if not there.get(file, True)]

    @property
    def lock(self) -> Path:
        """Exists while a run is processing the slide."""
        return self.folder / f".{self.name}.lock"

    def remove(self) -> None:
        """Delete what wsiseg wrote for this slide; a store is renamed before its files are deleted."""
        for store in (self.store, self.unfinished):
            if store.is_dir() and is_ours(store):
                _put_away(store)
        plain, packed = (replace(self, gzip=gzip).geojson_files() for gzip in (False, True))
        for file in (*plain, *packed, self.parquet, self.preview):
            if is_ours(file):
                file.unlink(missing_ok=True)
        self.remove_leftovers()

    def remove_torso(self) -> None:
        """Delete an unfinished store without metadata, left when a store was deleted during writing."""
        torso = self.unfinished.is_dir() and not (self.unfinished / "zarr.json").exists()
        if torso and is_ours(self.unfinished):
            _put_away(self.unfinished)

    def remove_leftovers(self) -> None:
        """Delete partial files of runs that were killed."""
        name = escape(self.name)
        endings = (
            f"{UNFINISHED}.*.part",
            f"{STORE}.*.removed",
            f"{UNFINISHED}.*.removed",
            f"{PREVIEW}.*.part",
        )
        hidden = [f".{name}{ending}" for ending in (*endings, ".again.part", ".again.part.*.removed")]
        streamed = [
            f".{name}{ending}.wsiseg{STREAMED}"
            for ending in (".geojson*", ".part[0-9]*.geojson*", ".parquet")
        ]
        for pattern in (*hidden, *streamed):
            for leftover in self.folder.glob(pattern):
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)


def _put_away(store: Path) -> None:
    aside = store.with_name(f".{store.name}.{uuid4().hex[:12]}.removed")
    try:
        os.rename(store, aside)
    except FileNotFoundError:
        return
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink()
