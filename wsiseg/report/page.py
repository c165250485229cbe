"""Pages that need no other file and no network: templates, one style sheet, one script."""

from __future__ import annotations

import base64
import hashlib
import math
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from wsiseg.machine.marks import HTML_MARK, marked_jpeg
from wsiseg.machine.replacing import write_output

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent / "pages"


def write_page(path: Path, template: str, **values: Any) -> None:
    """Write a page, whole or not at all.

    Parameters
    ----------
    path : Path
        The file to write.
    template : str
        A file of `pages/`.
    **values
        Values that the template shows; all are escaped.
    """
    # Names of files need not be valid text.
    page = _environment().get_template(template).render(values).encode("utf-8", "backslashreplace")
    remove_leftovers(path.parent, path.name)
    try:
        write_output(path, page)
    except FileNotFoundError:  # another run took this partial file for a leftover
        write_output(path, page)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Delete partial files of a killed run."""
    for leftover in folder.glob(f".{name}.*.part"):
        leftover.unlink(missing_ok=True)


def link(*parts: str) -> str:
    """Return the relative URL of a file, whatever characters its folders have."""
    return "/".join(quote(os.fsencode(part), safe="") for part in parts)


def data_uri(data: bytes, kind: str) -> str:
    """Return a picture as a URL that holds it; kind is "png" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def jpeg(rgb: npt.NDArray[np.uint8], quality: int = 85, *, full_colour: bool = False) -> bytes:
    """Return a uint8 (H, W, 3) or (H, W) picture as JPEG; thin coloured lines need colour in every pixel."""
    import cv2

    factor = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if full_colour else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    packing = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]

    ordered = rgb if rgb.ndim == 2 else rgb[..., ::-1]
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(ordered), packing)
    assert done
    return marked_jpeg(bytes(data))


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return a uint8 (H, W), (H, W, 3) or (H, W, 4) picture as PNG."""
    import cv2

    ordered = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    done, data = cv2.imencode(".png", np.ascontiguousarray(ordered), [cv2.IMWRITE_PNG_COMPRESSION, 6])
    assert done
    return bytes(data)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as text with at least so many digits and separated thousands."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float | None) -> str:
    """Return a duration as text."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{number(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    # Both are files of this package and contain nothing that would close their element.
    style, script = (
        (FOLDER / name).read_text(encoding="utf-8").strip() for name in ("style.css", "script.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals.update(
        mark=Markup(HTML_MARK.decode()),
        style=Markup(style),
        script=Markup(script),
        policy=(
            "default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; "
            f"script-src 'sha256-{digest}'"
        ),
    )
    environment.filters.update(number=number, duration=duration)
    return environment
