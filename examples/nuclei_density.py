"""Predict a slide from Python and tabulate how densely its nuclei lie, in fields of 0.1 mm."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import wsiseg
from wsiseg.synthetic import SyntheticSlide, write_synthetic

FIELD_UM = 100.0


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Any slide does; this one is made here so that the example needs no file.
        slide = write_synthetic(
            Path(folder) / "slide.svs", SyntheticSlide(1600, 1200, seed=3, tissue_share=0.8)
        )
        (report,) = wsiseg.predict(slide, Path(folder) / "out")
        nuclei = pq.read_table(Path(folder) / "out" / f"{report.name}.parquet")
    cols = (nuclei["centroid_x_um"].to_numpy() // FIELD_UM).astype(int)
    rows = (nuclei["centroid_y_um"].to_numpy() // FIELD_UM).astype(int)
    table = np.zeros((rows.max() + 1, cols.max() + 1), int)
    np.add.at(table, (rows, cols), 1)
    print(f"{report.nuclei} nuclei; nuclei per field of {FIELD_UM:g} um:")
    print(table)


if __name__ == "__main__":
    main()
