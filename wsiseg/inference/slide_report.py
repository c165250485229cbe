"""The outcome of a slide: one row of summary.csv."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

_OF_ONE_RUN = ("name", "path", "state", "ended")


@dataclass(repr=False)
class SlideReport:
    """The outcome of a slide: one row of summary.csv.

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
        How much of the slide the network computes, and how much of that an earlier, interrupted run had done.
    tiles, failed_tiles : int
        Blocks that the network computes, and those that could not be read.
    threshold : float
        Confidence from which a pixel is nucleus: the one given, the model's, or the slide's own.
    scan_x_l0, scan_y_l0 : int
        Where on the slide its scan begins: QuPath counts from there.
    model : str
        The first 12 digits of the model file's SHA-256; run.json has all of them.
    versions : str
        The software that computed it.
    stage_seconds : dict
        Thread seconds of tissue, read, network, objects, describe, write, labels and pyramid; seconds of
        polygons and preview.
    regions : list of dict
        Name, class, area_mm2, nuclei and nuclei_per_mm2 of each region, where there are any.
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
    scan_x_l0: int = 0
    scan_y_l0: int = 0
    reader: str = ""
    engine: str = ""
    model: str = ""
    versions: str = ""
    warnings: str = ""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    regions: list[dict[str, Any]] = field(default_factory=list)
    ended: str = ""

    def __repr__(self) -> str:
        """Return the outcome in one line."""
        found = f", {self.nuclei:,} nuclei, {self.nuclei_per_mm2:,.0f} per mm2"
        cause = f": {self.cause}" if self.cause else ""
        known = found if self.state in ("done", "skipped", "incomplete") else ""
        return f"<SlideReport {self.name}: {self.state}{known}{cause}>"

    @property
    def is_there(self) -> bool:
        """Whether outputs of the slide are there, as far as it can be read."""
        return self.state in ("done", "incomplete", "skipped")

    @property
    def is_whole(self) -> bool:
        """Whether the slide is complete, or another run is processing it."""
        return self.state in ("done", "elsewhere") or (self.state == "skipped" and not self.failed_tiles)

    def remembered(self) -> dict[str, Any]:
        """Return what the store keeps for later runs that skip the slide."""
        return {key: value for key, value in asdict(self).items() if key not in _OF_ONE_RUN}

    def recall(self, remembered: dict[str, Any]) -> None:
        """Take over what an earlier run remembered."""
        for key in {known.name for known in fields(self)} & remembered.keys() - set(_OF_ONE_RUN):
            setattr(self, key, remembered[key])
