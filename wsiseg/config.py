"""What can be set, one frozen dataclass a stage; they are saved whole with every output."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TissueConfig:
    """How tissue is found.

    Parameters
    ----------
    detect : bool
        Whether to look for tissue at all; if not, the whole slide is taken.
    mask : str or None
        Path of a user's mask (PNG or GeoJSON), taken instead of the detector.
    mpp : float
        Resolution at which tissue is looked for, in micrometres per pixel.
    """

    detect: bool = True
    mask: str | None = None
    mpp: float = 8.0


@dataclass(frozen=True)
class ObjectsConfig:
    """How confidence becomes nuclei; every size is physical, so that it scales with the resolution.

    Parameters
    ----------
    threshold : float or None
        Confidence in (0, 1) from which a pixel is nucleus; None takes the model's own.
    min_area_um2 : float
        Smaller objects are dropped.
    split : bool
        Whether touching nuclei are parted.
    simplify_um : float
        How far a simplified outline may lie from the exact one; 0 keeps every pixel corner.
    """

    threshold: float | None = None
    min_area_um2: float = 7.5
    split: bool = True
    simplify_um: float = 0.125
