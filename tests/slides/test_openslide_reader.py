"""The corner of the scan, where a slide has one: QuPath counts from there."""

from __future__ import annotations

from wsiseg.slides.openslide_reader import _bounds, _offset


def said(*bounds: int) -> dict[str, str]:
    names = ("x", "y", "width", "height")
    return {f"openslide.bounds-{name}": str(value) for name, value in zip(names, bounds, strict=True)}


def test_a_scan_that_does_not_begin_at_the_corner_is_warned_of() -> None:
    assert _bounds(said(1000, 400, 1200, 1000)) == (1000, 400, 1200, 1000)
    (remark,) = _offset(_bounds(said(1000, 400, 1200, 1000)))
    assert "x 1000, y 400" in remark


def test_no_bounds_and_bounds_at_the_corner_are_not() -> None:
    assert _bounds({}) is None
    assert _offset(None) == _offset(_bounds(said(0, 0, 1200, 1000))) == ()
