"""Read a store with dask and zarr alone: mean confidence inside and outside nuclei."""

from __future__ import annotations

import tempfile
from pathlib import Path

import dask.array as da
import zarr

import wsiseg
from wsiseg.synthetic import SyntheticSlide, write_synthetic


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        slide = write_synthetic(
            Path(folder) / "slide.svs", SyntheticSlide(1600, 1200, seed=4, tissue_share=0.8)
        )
        (report,) = wsiseg.predict(slide, Path(folder) / "out")
        store = zarr.open_group(Path(folder) / "out" / f"{report.name}.zarr", mode="r")
        confidence = da.from_zarr(store["0"]) / 255
        labels = da.from_zarr(store["labels/nuclei/0"])
        inside = da.mean(confidence[labels > 0]).compute()
        outside = da.mean(confidence[labels == 0]).compute()
    print(f"{report.nuclei} nuclei, confidence {inside:.2f} inside, {outside:.2f} outside")


if __name__ == "__main__":
    main()
