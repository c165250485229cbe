"""The picture of README: nuclei that the shipped model finds in real tissue, outlined.

    python benchmarks/readme_picture.py IMAGE --mpp 0.5 -o docs/images/tissue.jpg

The image in README is `stardist/data/images/histo.jpg` of the package StarDist (`pip download stardist`), a
field of The Cancer Imaging Archive (https://www.cancerimagingarchive.net, CC BY 3.0).
"""

from __future__ import annotations

from pathlib import Path

import click
import cv2
import numpy as np
import shapely

import wsiseg

SCALE = 2
LINE_BGR = (60, 255, 120)


@click.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--mpp", type=float, required=True, help="Micrometres per pixel of the image.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(image: Path, mpp: float, output: Path) -> None:
    """Outline the nuclei of an image."""
    bgr = cv2.imread(str(image))
    _, nuclei = wsiseg.segment(np.ascontiguousarray(bgr[..., ::-1]), mpp=mpp, no_tissue=True)
    drawn = cv2.resize(bgr, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    for polygon in shapely.get_parts(np.asarray(nuclei["geometry"])):
        ring = np.rint(shapely.get_coordinates(polygon.exterior) * SCALE * 16 - 8).astype(np.int32)
        cv2.polylines(drawn, [ring], True, LINE_BGR, 1, cv2.LINE_AA, shift=4)
    cv2.imwrite(str(output), drawn, [cv2.IMWRITE_JPEG_QUALITY, 88])
    click.echo(f"{len(nuclei)} nuclei; {output}")


if __name__ == "__main__":
    main()
