"""Geometry of the small charts: bars and lines as numbers that the templates put into SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wsiseg.report.page import number
from wsiseg.report.slide_numbers import Spread

WIDTH, HEIGHT, BASE = 360, 190, 165
LEFT = 46
MOST_BARS = 40
MOST_POINTS = 300


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Bar:
    """A bar and its tooltip."""

    x: float
    y: float
    width: float
    height: float
    tip: str


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The picture of a chart, in pixels: the x axis lies at `base`, the y axis of curves at `left`."""

    width: int = WIDTH
    height: int = HEIGHT
    base: int = BASE
    left: int = LEFT


@dataclass(frozen=True)
class Histogram(Frame):
    """A histogram, ready to be drawn."""

    title: str
    note: str
    summary: str
    bars: tuple[Bar, ...] = ()
    ticks: tuple[Tick, ...] = ()
    median_at: float = 0.0


def histogram(title: str, unit: str, spread: Spread, note: str = "") -> Histogram:
    """Draw a distribution between its 0.2 % and 99.8 % quantiles; what is beyond is in the outer bars."""
    note = note or unit
    low, median, high = (spread.quantile(share) for share in (0.05, 0.5, 0.95))
    first, last = spread.quantile(0.002), spread.quantile(0.998)
    if low is None or median is None or high is None or first is None or last is None:
        return Histogram(title, note, "No nuclei.")
    step = spread.top / spread.bins
    begin, end = math.floor(first / step), max(math.floor(last / step) + 1, math.floor(first / step) + 8)
    begin, end = max(0, min(begin, spread.bins - 8)), min(end, spread.bins)
    a_bar = max(1, math.ceil((end - begin) / MOST_BARS))
    bars_wanted = math.ceil((end - begin) / a_bar)
    inner = np.zeros(bars_wanted * a_bar, np.int64)
    inner[: min(len(inner), spread.bins - begin)] = spread.counts[begin : begin + len(inner)]
    inner[0] += spread.counts[:begin].sum()
    inner[-1] += spread.counts[begin + len(inner) :].sum()
    counts = inner.reshape(bars_wanted, a_bar).sum(1)
    total, width = int(counts.sum()), WIDTH / bars_wanted
    bars = []
    for i, count in enumerate(counts.tolist()):
        tall = round((BASE - 6) * count / int(counts.max()), 1)
        start = (begin + i * a_bar) * step
        span = f"{number(start)} to {number(start + a_bar * step)}"
        tip = f"{span}: {count:,} nuclei ({number(100 * count / total, 2)} %)"
        bars.append(Bar(round(i * width, 2), round(BASE - tall, 1), round(width, 2), tall, tip))
    shown = begin * step, (begin + bars_wanted * a_bar) * step
    scale = WIDTH / (shown[1] - shown[0])
    ticks = tuple(
        Tick(round((value - shown[0]) * scale, 1), number(value))
        for value in nice_ticks(*shown, 6)
        if 10 <= (value - shown[0]) * scale <= WIDTH - 10
    )
    units = f" {unit}" if unit else ""
    summary = f"Median {number(median)}{units}; nine in ten between {number(low)} and {number(high)}{units}."
    return Histogram(
        title, note, summary, tuple(bars), ticks, round(min(max((median - shown[0]) * scale, 0), WIDTH), 1)
    )


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most so many round numbers from low to high."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def nice_top(value: float) -> float:
    """Return the next larger round number: 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    tops = (round(factor * power, 12) for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10))
    return next(top for top in tops if top >= value * (1 - 1e-9))


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, whether it is the chosen one, its colour, its SVG path."""

    name: str
    chosen: bool
    hue: int
    path: str


@dataclass(frozen=True)
class Curves(Frame):
    """Values over epochs, ready to be drawn; `values` is what the page's script shows under the pointer."""

    title: str
    unit: str
    summary: str
    lines: tuple[Line, ...] = ()
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    values: dict[str, object] | None = None


Series = tuple[str, bool, Sequence[float | None]]


def curves(
    title: str, unit: str, summary: str, series: Sequence[Series], bottom: float | None = None
) -> Curves:
    """Draw values over epochs, counted from 1.

    Parameters
    ----------
    title, unit, summary : str
        Headline, unit of the values, and the chart in a sentence.
    series : sequence of (name, chosen, values)
        A value an epoch; None where there is none.
    bottom : float, optional
        Where the axis starts; the least value if left out.
    """
    known = [v for _, _, values in series for v in values if v is not None and math.isfinite(v)]
    if not known:
        return Curves(title, unit, summary or "Nothing recorded.")
    low = min(known) if bottom is None else min(bottom, *known)
    high = max(known)
    if high - low < 1e-9:
        high = low + 1
    epochs = max(len(values) for _, _, values in series)
    step = max(1, math.ceil(epochs / MOST_POINTS))

    def x(epoch: int) -> float:
        return LEFT + (WIDTH - LEFT - 4) * (epoch - 1) / max(1, epochs - 1)

    def y(value: float) -> float:
        return BASE - (BASE - 8) * (value - low) / (high - low)

    lines = [
        Line(name, chosen, _hue(i, len(series)), _line_path(values, step, x, y))
        for i, (name, chosen, values) in enumerate(series)
    ]
    # The chosen one is drawn last, over the others.
    drawn = tuple(sorted(lines, key=lambda line: line.chosen))
    values_shown = {
        "x": [round(x(epoch), 1) for epoch in range(1, epochs + 1, step)],
        "epoch": list(range(1, epochs + 1, step)),
        "lines": [
            {"name": name, "values": [None if v is None else number(v, 4) for v in values[::step]]}
            for name, _, values in series
        ],
    }
    whole = [int(v) for v in nice_ticks(1, epochs, 6) if v == int(v)]
    x_ticks = tuple(Tick(round(x(epoch), 1), f"{epoch}") for epoch in whole)
    y_ticks = tuple(Tick(round(y(v), 1), number(v)) for v in nice_ticks(low, high, 5))
    return Curves(title, unit, summary, drawn, x_ticks, y_ticks, values_shown)


def _line_path(
    values: Sequence[float | None], step: int, x: Callable[[int], float], y: Callable[[float], float]
) -> str:
    path, pen_down = [], False
    for i in range(0, len(values), step):
        value = values[i]
        if value is None or not math.isfinite(value):
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{x(i + 1):.1f} {y(value):.1f}")
        pen_down = True
    if len(path) == 1:  # a single epoch: a dash that shows
        path.append("h3")
    return "".join(path)


def _hue(place: int, count: int) -> int:
    return round(265 + 360 * place / max(count, 1)) % 360
