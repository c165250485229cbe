"""The settings, one frozen dataclass per stage; they are saved whole with every output."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from wsiseg.errors import UsageError

C = TypeVar("C", "TissueConfig", "ObjectsConfig", "PredictConfig")

STAIN_OD_AT_255 = 3.0
"""Optical density (base 10) that the byte 255 of a stain stands for: tissue stays under 1.8, black is 2.9."""


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
    regions : str or None
        Path of a GeoJSON file of named regions, or of a folder with one for each slide: only what lies in
        them is computed, and every nucleus knows its region.
    accept_odd : bool
        Whether slides are taken that look like no H&E (fluorescence, inverted) or lack their original level.
    """

    detect: bool = True
    mask: str | None = None
    mpp: float = 8.0
    regions: str | None = None
    accept_odd: bool = False


# Disks of 3 and 1 px at 0.25 um per pixel, for opening and for closing (Boserup & Selvan, 2023).
PAPER_CLEAN_UP_UM = (0.75, 0.25)


# What is measured of each nucleus: what costs little, or everything.
MEASUREMENTS = ("basic", "all")
OUTPUT_KINDS = ("store", "geojson", "parquet", "preview", "report")


@dataclass(frozen=True)
class ObjectsConfig:
    """How confidence becomes nuclei; every size is physical, so that it scales with the resolution.

    Parameters
    ----------
    threshold : float or None
        Confidence in (0, 1) from which a pixel is nucleus. None takes the model's own, or one chosen for
        each slide where the model says so (those of the preset `default` do).
    min_area_um2 : float
        Smaller objects are dropped.
    certainty : float
        How far the mean confidence of a nucleus of 25 um2 must lie above the threshold, as a share of what is
        left up to 1; smaller ones need more, larger ones less, see `wsiseg.objects.certainty`. 0 keeps all.
    split : bool
        Whether touching nuclei are split.
    measurements : {"basic", "all"}
        What is measured of each nucleus, see `wsiseg.objects.records`.
    simplify_um : float
        How far a point left out of an outline may lie from it; 0 keeps every pixel corner.
    opening_um, closing_um : tuple of float
        Radii of the disks of the clean-up: an opening and a closing with the first, then with the second, and
        so on; what is smaller than a pixel is left out. `PAPER_CLEAN_UP_UM` for models of the preset `paper`;
        else none by default, as closing joins neighbours and opening eats small ones.
    hole_area_um2 : float
        Holes up to this area are filled.
    deepest_um : float
        Distances to the background count up to here: necks wider than twice this split nothing, and what is
        wider than four times this (40 um) is split somewhere.
    shallowest_um : float
        A nucleus is at least this deep (half its width) somewhere.
    neck : float
        Touching nuclei are split where the depth falls below this share of the smaller one's depth.
    peak_box : float
        How far around its middle, in units of its depth, a nucleus is looked at to find out whether it is
        part of a larger one.
    """

    threshold: float | None = None
    min_area_um2: float = 7.5
    certainty: float = 0.45
    split: bool = True
    simplify_um: float = 0.125
    opening_um: tuple[float, ...] = ()
    closing_um: tuple[float, ...] = ()
    hole_area_um2: float = 15.0
    deepest_um: float = 10.0
    shallowest_um: float = 1.0
    neck: float = 0.92
    peak_box: float = 2.0
    measurements: str = "basic"


@dataclass(frozen=True)
class PredictConfig:
    """How `predict` runs.

    Parameters
    ----------
    tissue : TissueConfig
        How tissue is found.
    objects : ObjectsConfig
        How confidence becomes nuclei.
    mpp : float or None
        Resolution at which the network works; None takes the model's.
    tile_px : int
        Side of the tiles in which nuclei are found, in pixels of that resolution. It changes memory and
        scheduling, never the result.
    workers : int or None
        Threads of this machine; None takes its cores. With `scheduler`, threads of one worker.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    reader : str
        auto, openslide, tiffslide or image.
    scheduler : str or None
        Address of a running Dask scheduler; None computes in threads of this process.
    overwrite : bool
        Whether outputs made with other settings are replaced.
    gzip : bool
        Whether the GeoJSON is compressed (`.geojson.gz`).
    split : int or None
        Nuclei in one GeoJSON file at most; more go into further parts.
    only : tuple of str
        What is kept of each slide: some of `OUTPUT_KINDS`. Without "store" the arrays go when the slide is
        done, and `<name>.zarr` is a record by which later runs know it.
    one_table : bool
        Whether all slides share one table, nuclei.parquet, in place of one each.
    origin : {"slide", "scan"}
        Where coordinates in GeoJSON count from, written, and in tissue masks and regions: the slide's corner,
        or that of its scan, as QuPath counts. Elsewhere they always count from the slide's.
    """

    tissue: TissueConfig = TissueConfig()
    objects: ObjectsConfig = ObjectsConfig()
    mpp: float | None = None
    tile_px: int = 2048
    workers: int | None = None
    device: str = "auto"
    reader: str = "auto"
    scheduler: str | None = None
    overwrite: bool = False
    gzip: bool = False
    split: int | None = None
    only: tuple[str, ...] = OUTPUT_KINDS
    one_table: bool = False
    origin: str = "slide"


def predict_config(
    config: PredictConfig | None = None,
    *,
    threshold: float | None = None,
    min_area: float | None = None,
    certainty: float | None = None,
    no_splitting: bool = False,
    simplify: float | None = None,
    measurements: str | None = None,
    tissue_mask: str | os.PathLike[str] | None = None,
    no_tissue: bool = False,
    regions: str | os.PathLike[str] | None = None,
    accept_odd: bool = False,
    mpp: float | None = None,
    tile_size: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    reader: str | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    gzip: bool = False,
    split: int | None = None,
    only: str | Sequence[str] | None = None,
    one_table: bool = False,
    origin: str | None = None,
) -> PredictConfig:
    """Return settings of `predict` from the names of the command line; what is left out stays as in `config`.

    Parameters
    ----------
    config : PredictConfig, optional
        The defaults if left out.
    threshold, min_area, certainty, no_splitting, simplify, measurements
        As in `wsiseg predict --help`, and all that follow.
    """
    base = config or PredictConfig()
    objects = {
        "threshold": threshold, "min_area_um2": min_area, "certainty": certainty, "simplify_um": simplify,
        "split": False if no_splitting else None, "measurements": measurements,
    }  # fmt: skip
    tissue = changed_tissue(base.tissue, tissue_mask, no_tissue, regions, accept_odd)
    return _changed(
        base, objects=_changed(base.objects, **objects), tissue=tissue, mpp=mpp, tile_px=tile_size,
        workers=workers, device=device, reader=reader, scheduler=scheduler,
        overwrite=overwrite or None, gzip=gzip or None, split=split, origin=origin,
        only=None if only is None else output_kinds(only), one_table=one_table or None,
    )  # fmt: skip


def output_kinds(only: str | Sequence[str]) -> tuple[str, ...]:
    """Return the outputs that are named, in words or as a list with commas, in the order of `OUTPUT_KINDS`.

    Raises
    ------
    UsageError
        If there is no such output, or a report without the store that it is made from.
    """
    names = only.split(",") if isinstance(only, str) else only
    named = {name.strip() for name in names} - {""}
    known = ", ".join(OUTPUT_KINDS)
    if not named or not named <= set(OUTPUT_KINDS):
        raise UsageError(f"--only {','.join(names)}: choose from {known}, separated by commas")
    if "report" in named and "store" not in named:
        raise UsageError(f"--only {','.join(names)}: the report is made from the store; add store")
    return tuple(kind for kind in OUTPUT_KINDS if kind in named)


def changed_tissue(
    config: TissueConfig,
    tissue_mask: str | os.PathLike[str] | None,
    no_tissue: bool,
    regions: str | os.PathLike[str] | None = None,
    accept_odd: bool = False,
) -> TissueConfig:
    """Return how tissue is found, with what was given of the command line's options."""
    mask, drawn = (None if path is None else os.fspath(path) for path in (tissue_mask, regions))
    detect = False if no_tissue else None
    return _changed(config, mask=mask, regions=drawn, detect=detect, accept_odd=accept_odd or None)


def _changed(config: C, **values: Any) -> C:
    """Return a config with those of the values that are given."""
    return replace(config, **{key: value for key, value in values.items() if value is not None})
