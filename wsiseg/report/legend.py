"""The legend below a preview: name, count, colours of the density, and a scale bar."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import ImageFont

Rgb = npt.NDArray[np.uint8]

INK, PAPER = (30, 30, 30), (255, 255, 255)


def colours(share: npt.NDArray[np.float32]) -> Rgb:
    """Return the colours (H, W, 3) of shares in [0, 1]."""
    import cv2

    bgr = cv2.applyColorMap(cv2.convertScaleAbs(share, alpha=255), cv2.COLORMAP_VIRIDIS)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def with_legend(rgb: Rgb, *, mpp: float, title: str, count: int, area_mm2: float, highest: float) -> Rgb:
    """Return a picture with name, count, key of the density and scale bar below it.

    Parameters
    ----------
    rgb : uint8 (H, W, 3)
        Pixels.
    mpp : float
        Micrometres per pixel of the picture.
    title : str
        Shortened where it does not fit.
    count : int
        Nuclei.
    area_mm2 : float
        Area of the tissue; 0 says that there is none.
    highest : float
        Density that has the last colour, in nuclei per mm2; 0 where no density is shown.
    """
    from PIL import Image, ImageDraw

    height, width = rgb.shape[:2]
    canvas_width = max(width, 480)
    font = _font(max(12, min(28, canvas_width // 65)))
    line = round(font.size * 1.5)
    canvas = Image.new("RGB", (canvas_width, height + 2 * line + line // 2), PAPER)
    canvas.paste(Image.fromarray(rgb), (0, 0))
    draw = ImageDraw.Draw(canvas)
    left, top = line // 2, height + line // 4
    bar_px, bar_text = scale_bar(mpp, canvas_width)
    right = canvas_width - line // 2
    draw.line([(right - bar_px, top + 6), (right, top + 6)], fill=INK, width=max(3, line // 8))
    draw.text((right - bar_px / 2, top + line // 2), bar_text, fill=INK, font=font, anchor="ma")
    free = right - bar_px - 2 * line - left
    draw.text((left, top), _fitting(title, font, free), fill=INK, font=font)
    text = _summary(count, area_mm2)
    draw.text((left, top + line), text, fill=INK, font=font)
    if highest > 0:
        start = left + font.getlength(text) + 2 * line
        _draw_key(canvas, (round(start), top + line), font, highest, round(free + left))
    return np.asarray(canvas)


def _summary(count: int, area_mm2: float) -> str:
    nuclei = f"{count:,} nucle{'us' if count == 1 else 'i'}"
    if area_mm2 <= 0:
        return f"{nuclei}; no tissue found"
    return f"{nuclei} in {area_mm2:.3g} mm² of tissue: {count / area_mm2:,.0f} per mm²"


def _draw_key(canvas: Any, at: tuple[int, int], font: Any, highest: float, end: int) -> None:
    """Draw the key to the density's colours, if there is room before `end`."""
    from PIL import Image, ImageDraw

    text = f"0 to {_round(highest):,.0f} per mm²"
    length, height = 6 * round(font.size), round(font.size * 0.9)
    if at[0] + length + font.getlength(text) + font.size > end:
        return
    ramp = np.repeat(np.linspace(0, 1, length, dtype=np.float32)[None], height, axis=0)
    canvas.paste(Image.fromarray(colours(ramp)), (at[0], at[1] + 2))
    ImageDraw.Draw(canvas).text((at[0] + length + font.size / 2, at[1]), text, fill=INK, font=font)


def scale_bar(mpp: float, width_px: int) -> tuple[int, str]:
    """Return pixels and text of a bar of 1, 2 or 5 times a power of ten um, at most a fifth of the width."""
    most_um = width_px * mpp / 5
    power = 10.0 ** math.floor(math.log10(most_um))
    um = max(step * power for step in (1, 2, 5) if step * power <= most_um * (1 + 1e-9))
    return max(1, round(um / mpp)), f"{um:g} µm" if um < 1000 else f"{um / 1000:g} mm"


def _round(value: float) -> float:
    """Round to two digits."""
    return float(f"{value:.2g}")


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Shorten a text in its middle until it is at most so wide."""
    text = " ".join(text.split()) or "-"
    if font.getlength(text) <= width:
        return text
    for keep in range(len(text), 1, -1):
        short = text[: keep - keep // 2] + "…" + text[len(text) - keep // 2 :]
        if font.getlength(short) <= width:
            return short
    return "…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    from importlib.util import find_spec

    from PIL import ImageFont

    # Pillow's own font has neither µ nor ²; matplotlib brings one that has, and takes a second to import.
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    fonts = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(fonts / "DejaVuSans.ttf", size)
