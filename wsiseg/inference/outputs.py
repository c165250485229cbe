"""What a slide leaves in the output folder, and what is told of it on the way."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, field, fields, replace
from glob import escape
from pathlib import Path
from typing import Any
from uuid import uuid4

from wsiseg.machine.marks import PREVIEW, is_ours
from wsiseg.machine.whole import STREAMED

# Endings of a slide's store, when all is there and before, and the folder of the slides' reports.
STORE, UNFINISHED = ".zarr", ".zarr.unfinished"
REPORTS = "report"
INDEX = PAGE = "index.html"
THUMBNAIL = "thumbnail.jpg"


@dataclass(frozen=True)
class Outputs:
    """The files of one slide in the output folder."""

    folder: Path
    name: str
    gzip: bool = False

    @property
    def store(self) -> Path:
        """The finished store."""
        return self.folder / f"{self.name}{STORE}"

    @property
    def unfinished(self) -> Path:
        """The store while the slide is worked on."""
        return self.folder / f"{self.name}{UNFINISHED}"

    @property
    def scratch(self) -> Path:
        """A store for nuclei that are found again from the finished one."""
        return self.folder / f".{self.name}.again.part"

    @property
    def geojson(self) -> Path:
        """The polygons."""
        return self.folder / f"{self.name}.geojson{'.gz' if self.gzip else ''}"

    @property
    def parquet(self) -> Path:
        """One row a nucleus."""
        return self.folder / f"{self.name}.parquet"

    @property
    def preview(self) -> Path:
        """The picture, whose name no slide has."""
        return self.folder / f"{self.name}{PREVIEW}"

    @property
    def files(self) -> list[Path]:
        """What is beside the store: polygons, table, preview, and page and thumbnail of the report."""
        report = self.folder / REPORTS / self.name
        return [self.geojson, self.parquet, self.preview, report / PAGE, report / THUMBNAIL]

    def geojson_files(self) -> list[Path]:
        """Return the GeoJSON files that are there: one, or the parts that `--split` made."""
        ending = self.geojson.name.removeprefix(self.name)
        parts = self.folder.glob(f"{escape(self.name)}.part[0-9][0-9]*{ending}")
        return [*sorted(parts), *filter(Path.exists, [self.geojson])]

    def missing(self) -> list[Path]:
        """Return the files beside the store that are not there."""
        missing = [] if self.geojson_files() else [self.geojson]
        return missing + [file for file in (self.parquet, self.preview) if not file.exists()]

    @property
    def lock(self) -> Path:
        """There while a run works on the slide."""
        return self.folder / f".{self.name}.lock"

    def remove(self) -> None:
        """Delete what wsiseg made of this slide; a store is gone by its name first, never there in part."""
        for store in (self.store, self.unfinished):
            if store.is_dir() and is_ours(store):
                _put_away(store)
        plain, packed = (replace(self, gzip=gzip).geojson_files() for gzip in (False, True))
        for file in (*plain, *packed, self.parquet, self.preview):
            if is_ours(file):
                file.unlink(missing_ok=True)
        self.remove_leftovers()

    def remove_torso(self) -> None:
        """Delete an unfinished store without its metadata: what went on being written when it was removed."""
        torso = self.unfinished.is_dir() and not (self.unfinished / "zarr.json").exists()
        if torso and is_ours(self.unfinished):
            _put_away(self.unfinished)

    def remove_leftovers(self) -> None:
        """Delete what runs that were killed had begun to write."""
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


_OF_ONE_RUN = ("name", "path", "state", "ended")


@dataclass(repr=False)
class SlideReport:
    """What became of a slide: one row of summary.csv.

    Parameters
    ----------
    name, path : str
        The name of its outputs, and where it was read from: absolute, or a URL.
    state : str
        done, skipped (was done before), incomplete (tiles failed and were left empty), elsewhere (another run
        is working on it), kept (finished by an earlier run, whose outputs and row stay, but refused or not
        readable now) or failed.
    cause : str
        Why it is incomplete, elsewhere, kept or failed.
    megapixels, megapixels_before : float
        What is computed of the slide, and how much of it an earlier run, which was stopped, had done.
    tiles, failed_tiles : int
        Blocks that the network sees, and those that could not be read.
    threshold : float
        Confidence from which a pixel is nucleus: the one given, the model's, or the slide's own.
    model : str
        The first 12 digits of the model file's SHA-256; run.json has all.
    versions : str
        What computed it.
    stage_seconds : dict
        Thread seconds of tissue, read, network, objects, describe, write, labels and pyramid; seconds of
        polygons and preview.
    ended : str
        When it ended, in UTC.
    """

    name: str
    path: str
    state: str = "done"
    cause: str = ""
    nuclei: int = 0
    nuclei_per_mm2: float = 0.0
    tissue_mm2: float = 0.0
    megapixels: float = 0.0
    megapixels_before: float = 0.0
    tiles: int = 0
    failed_tiles: int = 0
    seconds: float = 0.0
    mpp: float = 0.0
    threshold: float = 0.0
    reader: str = ""
    engine: str = ""
    model: str = ""
    versions: str = ""
    warnings: str = ""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    ended: str = ""

    def __repr__(self) -> str:
        """Return what became of the slide in one line."""
        found = f", {self.nuclei:,} nuclei, {self.nuclei_per_mm2:,.0f} per mm2"
        cause = f": {self.cause}" if self.cause else ""
        known = found if self.state in ("done", "skipped", "incomplete") else ""
        return f"<SlideReport {self.name}: {self.state}{known}{cause}>"

    @property
    def is_whole(self) -> bool:
        """Whether everything of the slide is there, or in the hands of another run."""
        return self.state in ("done", "elsewhere") or (self.state == "skipped" and not self.failed_tiles)

    def remembered(self) -> dict[str, Any]:
        """Return what the store keeps for later runs that skip the slide."""
        return {key: value for key, value in asdict(self).items() if key not in _OF_ONE_RUN}

    def recall(self, remembered: dict[str, Any]) -> None:
        """Take over what an earlier run remembered."""
        for key in {known.name for known in fields(self)} & remembered.keys() - set(_OF_ONE_RUN):
            setattr(self, key, remembered[key])


class Observer:
    """What a run tells whoever watches; it decides nothing. This one is silent."""

    def run_started(self, slides: int) -> None:
        """Hear how many slides there are."""

    def slide_started(self, name: str, megapixels: float, resumed_megapixels: float) -> None:
        """Hear that a slide's plan is known."""

    def advanced(self, megapixels: float, nuclei: int) -> None:
        """Hear that a block or tile is done."""

    def phase(self, name: str) -> None:
        """Hear that the slide enters a phase after the network."""

    def tile_failed(self, row: int, col: int, cause: str) -> None:
        """Hear that a block stays empty, and why."""

    def warned(self, text: str) -> None:
        """Hear of a trouble that ends no slide."""

    def slide_ended(self, report: SlideReport) -> None:
        """Hear that a slide is done, skipped or failed."""

    def failed(self, error: BaseException) -> None:
        """Hear of an error that ended a slide; `slide_ended` tells its cause again."""
