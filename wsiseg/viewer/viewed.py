"""A finished store with what belongs to it: the slide, if it is still there, and the nuclei."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wsiseg.command_text import command_line
from wsiseg.errors import SlideError, StoreError
from wsiseg.slides import files, open_slide
from wsiseg.slides.slide import Slide
from wsiseg.store.finished import open_finished
from wsiseg.store.slide_store import SlideStore
from wsiseg.viewer.backdrop import Backdrop, SlideBackdrop, StainBackdrop
from wsiseg.viewer.nuclei import Nuclei

SHOW_IT = "Give it with --slide PATH. Until then you see the haematoxylin that predict kept."


@dataclass(frozen=True, eq=False)
class Viewed:
    """A store to view, with its slide and nuclei.

    Parameters
    ----------
    store : SlideStore
        The slide's store.
    backdrop : Backdrop
        What lies under the overlays.
    slide : Slide or None
        None where its file is not at hand.
    nuclei : Nuclei or None
        None where there is no Parquet file beside the store.
    notes : tuple of str
        Remarks for the user.
    """

    store: SlideStore
    backdrop: Backdrop
    slide: Slide | None
    nuclei: Nuclei | None
    notes: tuple[str, ...] = ()

    @property
    def mpp_l0(self) -> float:
        """Micrometres per level-0 pixel."""
        frame = self.store.frame
        return frame.mpp / frame.scale_l0

    @property
    def threshold(self) -> float:
        """The threshold at which the store's nuclei were found."""
        return self.store.threshold


def open_viewed(path: Path, slide: str | None = None, reader: str = "auto") -> Viewed:
    """Open a store, its slide and its nuclei.

    Parameters
    ----------
    path : Path
        `OUT/<name>.zarr`.
    slide : str, optional
        The slide; left out, where `predict` read it.
    reader : {"auto", "openslide", "tiffslide", "image"}
        Library that opens the slide.

    Raises
    ------
    StoreError
        If the store is missing or not finished, or `slide` is not the slide it was made from.
    SlideError
        If `slide` cannot be opened.
    """
    store = open_finished(path)
    notes: list[str] = []
    found = asked_for(store, slide, reader, notes) if slide else remembered(store, reader, notes)
    backdrop = SlideBackdrop(found) if found else StainBackdrop(store)
    nuclei = nuclei_beside(store, notes)
    failed = len(store.provenance.get("failures", ()))
    if failed:
        notes.append(
            f"{failed} block{'s' if failed > 1 else ''} of the slide could not be read and "
            f"{'are' if failed > 1 else 'is'} empty (framed in red)."
        )
    return Viewed(store, backdrop, found, nuclei, tuple(notes))


def asked_for(store: SlideStore, path: str, reader: str, notes: list[str]) -> Slide:
    """Open the slide that the user names; it must have the store's size."""
    slide = open_slide(path, reader)
    odd = mismatch(store, slide)
    if odd:
        raise StoreError(
            f"{path}: is not the slide of {store.path.name}: {odd}; leave --slide out to see the store alone"
        )
    note_other_file(store, slide, notes)
    return slide


def remembered(store: SlideStore, reader: str, notes: list[str]) -> Slide | None:
    """Open the slide where `predict` read it, or beside the store; return why if that fails."""
    stored = str(store.provenance.get("slide", ""))
    if files.is_url(stored):
        notes.append(f"The slide is at {stored}, which the viewer does not fetch by itself. {SHOW_IT}")
        return None
    places = [Path(stored), store.path.parent / Path(stored).name]
    place = next((place for place in places if stored and place.exists()), None)
    if place is None:
        gone = (
            f"The slide is no longer at {stored}" if stored else "The store does not say where its slide is"
        )
        notes.append(f"{gone}. {SHOW_IT}")
        return None
    try:
        slide = open_slide(place, reader)
        odd = mismatch(store, slide)
    except SlideError as error:
        notes.append(f"The slide cannot be opened: {error}. {SHOW_IT}")
        return None
    if odd:
        notes.append(f"{place} is no longer the slide of this store: {odd}. {SHOW_IT}")
        return None
    note_other_file(store, slide, notes)
    return slide


def mismatch(store: SlideStore, slide: Slide) -> str:
    """Return in words how a slide's size differs from the store's, or nothing."""
    frame = store.frame
    expected = (frame.width * frame.scale_l0, frame.height * frame.scale_l0)
    # a frame is a whole number of pixels of a pyramid level, which may lack a few of level 0
    slack = 2 * max(frame.scale_l0, *slide.level_downsamples)
    if all(abs(side - other) <= slack for side, other in zip(slide.dimensions, expected, strict=True)):
        return ""
    width, height = slide.dimensions
    return f"it has {width} x {height} px, the store was made from {expected[0]:.0f} x {expected[1]:.0f} px"


def note_other_file(store: SlideStore, slide: Slide, notes: list[str]) -> None:
    """Return a remark if a slide has the right size but is another file."""
    if slide.fingerprint != store.fingerprint:
        notes.append(
            f"{slide.path} has the size of the slide that was predicted but is another file; "
            "check that the outlines fit the tissue."
        )


def nuclei_beside(store: SlideStore, notes: list[str]) -> Nuclei | None:
    """Open the Parquet file beside a store, with remarks on it."""
    path = store.path.with_name(f"{store.path.name.removesuffix('.zarr')}.parquet")
    again = f"`{command_line('wsiseg', 'export', store.path)}` restores it"
    if not path.exists():
        notes.append(f"There is no {path.name} beside the store, so no outlines; {again}.")
        return None
    try:
        nuclei = Nuclei(path)
    except StoreError as error:
        notes.append(f"No outlines: {error}; {again}.")
        return None
    expected = store.provenance.get("summary", {}).get("nuclei", len(nuclei))
    if expected != len(nuclei):
        notes.append(
            f"{path.name} holds {len(nuclei):,} nuclei, the store {expected:,}: it was exported "
            "with other settings. Outlines and measurements are the file's."
        )
    return nuclei
