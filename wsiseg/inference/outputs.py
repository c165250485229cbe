"""What a slide leaves in the output folder, and what is told of it on the way."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field, replace
from glob import escape
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outputs:
    """The files of one slide in the output folder."""

    folder: Path
    name: str
    gzip: bool = False

    @property
    def store(self) -> Path:
        """The finished store."""
        return self.folder / f"{self.name}.zarr"

    @property
    def unfinished(self) -> Path:
        """The store while the slide is worked on."""
        return self.folder / f"{self.name}.zarr.unfinished"

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
        """The picture."""
        return self.folder / f"{self.name}.png"

    def geojson_files(self) -> list[Path]:
        """Return the GeoJSON files that are there: one, or the parts that `--split` made."""
        ending = self.geojson.name.removeprefix(self.name)
        parts = self.folder.glob(f"{escape(self.name)}.part*{ending}")
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
        """Delete everything of this slide."""
        for store in (self.store, self.unfinished):
            shutil.rmtree(store, ignore_errors=True)
        plain, packed = (replace(self, gzip=gzip).geojson_files() for gzip in (False, True))
        for file in (*plain, *packed, self.parquet, self.preview):
            file.unlink(missing_ok=True)
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Delete what runs that were killed had begun to write."""
        name = escape(self.name)
        for pattern in (f".{name}.zarr.unfinished.*.part", f".{name}.png.*.part", f".{name}.again.part"):
            for leftover in self.folder.glob(pattern):
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)


@dataclass
class SlideReport:
    """What became of a slide: one row of summary.csv.

    Parameters
    ----------
    name, path : str
        The name of its outputs, and where it was read from.
    state : str
        done, skipped (was done before), incomplete (tiles failed and were left empty), elsewhere (another run
        is working on it) or failed.
    cause : str
        Why it is incomplete, elsewhere or failed.
    """

    name: str
    path: str
    state: str = "done"
    cause: str = ""
    nuclei: int = 0
    nuclei_per_mm2: float = 0.0
    tissue_mm2: float = 0.0
    megapixels: float = 0.0
    tiles: int = 0
    failed_tiles: int = 0
    seconds: float = 0.0
    mpp: float = 0.0
    reader: str = ""
    engine: str = ""
    model: str = ""
    warnings: str = ""
    stage_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether everything of the slide is there, or in the hands of another run."""
        return self.state in ("done", "elsewhere") or (self.state == "skipped" and not self.failed_tiles)

    def remembered(self) -> dict[str, Any]:
        """Return what the store keeps for later runs that skip the slide."""
        return {key: value for key, value in asdict(self).items() if key not in ("name", "path", "state")}

    def recall(self, remembered: dict[str, Any]) -> None:
        """Take over what an earlier run remembered."""
        for key, value in remembered.items():
            if hasattr(self, key):
                setattr(self, key, value)


class Observer:
    """What a run tells whoever watches; this one says nothing."""

    def slide_started(self, name: str, megapixels: float, resumed_megapixels: float) -> None:
        """Hear that a slide's plan is known."""

    def advanced(self, megapixels: float, nuclei: int) -> None:
        """Hear that a block or tile is done."""

    def phase(self, name: str) -> None:
        """Hear that the slide enters a phase after the network."""

    def slide_ended(self, report: SlideReport) -> None:
        """Hear that a slide is done, skipped or failed."""

    def failed(self, error: BaseException) -> None:
        """Hear of an error that ended a slide; `slide_ended` tells its cause again."""
