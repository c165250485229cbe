"""Which of two models suits the slides of a run, without labels: the one whose nuclei hold still.

A network that knows a nucleus finds it again when the tissue lies another way, is scanned a little finer or
coarser, stained a little more or less, or is slightly out of focus; one that guesses finds others. So the
nuclei of a window are compared with those of the same window seen otherwise, as predicted nuclei are compared
with true ones (AJI; Kumar et al., 2017). docs/accuracy.md says how far this goes along with labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from wsiseg.config import ObjectsConfig
from wsiseg.errors import SlideError
from wsiseg.evaluation.metrics import score
from wsiseg.network.appearance import CENTRE, rgb_table
from wsiseg.network.engine import Engine, make_engine
from wsiseg.network.model import Model
from wsiseg.objects.segment import segment_whole
from wsiseg.objects.threshold import suited_threshold
from wsiseg.tiles import Box
from wsiseg.training.crops import draw_crop
from wsiseg.training.guided.fields import standing_for
from wsiseg.training.randomness import Purpose, numpy_generator
from wsiseg.training.sources import OpenViews, TrainingSource

Pixels = npt.NDArray[np.uint8]
Confidence = npt.NDArray[np.uint8]
Table = npt.NDArray[np.float32]

WINDOWS, WINDOW_UM = 24, 160.0
ZOOMS = (0.87, 1.15)
# Gains of haematoxylin, eosin and residual.
STAINS = ((1.15, 0.9, 1.0), (0.87, 1.1, 1.0))
BLUR_UM = 0.25
# Whoever is taught the mean of several views holds stiller, and is no better for it (docs/accuracy.md).
HEAD_START = 0.01
# So much worse is worse, however few windows say so.
MUCH = 0.05
# Share of the other model's nuclei that a model must find.
FEWEST = 0.5


class Steady(NamedTuple):
    """How well nuclei hold still in a window, the mean AJI with all other views; and how many were found."""

    aji: float
    number: int


@dataclass(frozen=True)
class Comparison:
    """How well a fitted model holds still beside another one, on windows of the same slides.

    Parameters
    ----------
    other : str
        Name of the other model.
    fitted_sha256, other_sha256 : str
        Hashes of both.
    fitted_score, other_score : float
        How well nuclei hold still, see `scores`: means over windows.
    low, high : float
        Ends of the 95 % interval of `difference` (Student's t, paired over windows).
    windows : int
        Windows that were compared.
    head_start : float
        Taken off the fitted model's score before both are compared.
    """

    other: str
    fitted_sha256: str
    other_sha256: str
    fitted_score: float
    other_score: float
    low: float
    high: float
    windows: int
    head_start: float = 0.0

    @property
    def difference(self) -> float:
        """What is gained by fitting, head start taken off."""
        return self.fitted_score - self.other_score - self.head_start

    @property
    def keeps_fitted(self) -> bool:
        """Whether the fitted model is kept: the other one is taken where it is surely or much steadier."""
        return self.high >= 0 and self.difference > -MUCH

    def __str__(self) -> str:
        """Return the outcome in one sentence."""
        if self.low > 0:
            outcome = f"beats the model {self.other}"
        elif not self.keeps_fitted:
            outcome = f"is worse than the model {self.other}"
        else:
            outcome = f"is as good as the model {self.other}, as far as can be told"
        less = f", less {self.head_start:.3f} that any fitted one has" if self.head_start else ""
        return (
            f"without labels, on {self.windows} windows of these slides, the fitted model {outcome}: its "
            f"nuclei hold still to an AJI of {self.fitted_score:.3f}, the other's to {self.other_score:.3f} "
            f"(difference{less}: {self.difference:+.3f}, 95 % interval {self.low:+.3f} to {self.high:+.3f})"
        )


def compare(
    fitted: Model,
    other: Model,
    name: str,
    sources: Sequence[TrainingSource],
    mpp: float,
    seed: int,
    head_start: float = 0.0,
) -> Comparison | None:
    """Compare two models on up to 24 windows of tissue; None where no window can be read.

    Parameters
    ----------
    fitted, other : Model
        The models.
    name : str
        What the other one is called.
    sources : sequence of TrainingSource
        Slides and images; they take turns.
    mpp : float
        Micrometres per pixel of the sources' frames.
    seed : int
        Windows follow from it.
    head_start : float
        By how much stiller the fitted model's nuclei must hold.
    """
    chosen = standing_for(sources, seed)
    boxes = list(_boxes(chosen, mpp, seed))
    if not boxes:
        return None
    ours, theirs = scores(_found(fitted, chosen, boxes, mpp), _found(other, chosen, boxes, mpp))
    low, high = interval(ours - theirs - head_start)
    return Comparison(
        name, fitted.sha256, other.sha256, float(ours.mean()), float(theirs.mean()), float(low), float(high),
        len(boxes), head_start,
    )  # fmt: skip


def interval(differences: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of n differences within [-1, 1]; of one there is none but that."""
    from scipy.stats import t

    if len(differences) < 2:
        return -1.0, 1.0
    reach = t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences))
    return float(differences.mean() - reach), float(differences.mean() + reach)


def _boxes(sources: Sequence[TrainingSource], mpp: float, seed: int) -> Iterator[tuple[int, Box]]:
    """Yield places of tissue that can be read, with the number of their source."""
    with closing(OpenViews(mpp)) as views:
        for number in range(min(WINDOWS, _room(sources, mpp))):
            place = number % len(sources)
            source, generator = sources[place], numpy_generator(Purpose.COMPARISON, seed, number)
            side = min(round(WINDOW_UM / mpp), source.width, source.height)
            try:
                yield place, draw_crop(source, views, side, 0.5, generator)[0]
            except SlideError:
                continue


def _room(sources: Sequence[TrainingSource], mpp: float) -> int:
    """Return how many windows there is room for, at least one a source."""
    side = WINDOW_UM / mpp
    return sum(max(1, int(source.width * source.height / side**2)) for source in sources)


def scores(fitted: Sequence[Steady], other: Sequence[Steady]) -> npt.NDArray[np.float64]:
    """Return how well the nuclei of two models hold still in each window: float64 (2, windows) in [0, 1].

    It is the AJI, but 0 where a model finds fewer than half as many nuclei as the other one: whoever finds
    nothing finds it again each time.
    """
    aji, number = np.array([fitted, other], np.float64).transpose(2, 0, 1)
    return np.where(FEWEST * number.max(0) <= number, aji, 0.0)


def _found(
    model: Model, sources: Sequence[TrainingSource], boxes: Sequence[tuple[int, Box]], mpp: float
) -> list[Steady]:
    """Return what a model finds in each window, and how still that holds."""
    engine, own_mpp, found = make_engine(model, "cpu"), model.info.mpp, []
    with closing(OpenViews(own_mpp)) as views:
        for place, box in boxes:
            source = sources[place]
            view = views.get(source)
            x0, y0, x1, y1 = (round(edge * mpp / own_mpp) for edge in (box.x0, box.y0, box.x1, box.y1))
            rgb = view.read(Box(x0, y0, x1, y1).clipped(view.frame))
            table = source.table if model.info.input == "stains" else rgb_table()
            found.append(steadiness(engine, model, rgb, table))
    return found


def steadiness(engine: Engine, model: Model, rgb: Pixels, table: Table) -> Steady:
    """Return how well nuclei hold still when a window is seen otherwise, and how many there are.

    Parameters
    ----------
    engine : Engine
        Runs the model.
    model : Model
        Its resolution and threshold are used.
    rgb : uint8 (H, W, 3)
        The window at the model's resolution.
    table : float32 (3, 256, 3)
        What the network sees of a pixel.
    """
    mpp, config = model.info.mpp, ObjectsConfig()
    straight, *others = seen_otherwise(engine, rgb, table, mpp)
    threshold = model.info.threshold
    if model.info.adaptive:
        threshold = suited_threshold([[straight], [others[0]]], mpp, config, threshold)

    def nuclei(confidence: Confidence) -> npt.NDArray[np.int32]:
        return segment_whole(confidence, mpp, config, threshold).labels

    usual = nuclei(straight)
    agreement = [score(usual, nuclei(other)).aji for other in others]
    return Steady(float(np.mean(agreement)), int(usual.max(initial=0)))


def seen_otherwise(engine: Engine, rgb: Pixels, table: Table, mpp: float) -> list[Confidence]:
    """Return the confidence in a window: as it is, turned, smaller, larger, restained twice, and blurred."""

    def looked_at(pixels: Pixels, seen: Table = table) -> npt.NDArray[np.float32]:
        return engine.confidence(np.ascontiguousarray(pixels), seen)

    height, width = rgb.shape[:2]
    maps = [looked_at(rgb), np.rot90(looked_at(np.rot90(rgb)[:, ::-1])[:, ::-1], -1)]
    for zoom in ZOOMS:
        how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
        small = looked_at(np.asarray(cv2.resize(rgb, None, fx=zoom, fy=zoom, interpolation=how), np.uint8))
        maps.append(np.asarray(cv2.resize(small, (width, height)), np.float32))
    maps += [looked_at(rgb, restained(table, gains)) for gains in STAINS]
    maps.append(looked_at(np.asarray(cv2.GaussianBlur(rgb, (0, 0), BLUR_UM / mpp), np.uint8)))
    return [np.rint(255 * np.clip(each, 0, 1)).astype(np.uint8) for each in maps]


def restained(table: Table, gains: tuple[float, float, float]) -> Table:
    """Return the table of the same slide with each stain's spread multiplied; its mean stays."""
    factors = np.array(gains, np.float32)
    # Each colour carries a third of the constant.
    moved: Table = (table * factors + np.float32(CENTRE / 3) * (1 - factors)).astype(np.float32)
    return moved
