"""How well types are learned from a few named nuclei, and from none, on CoNSeP's true nuclei.

    python benchmarks/nucleus_types.py CONSEP

CONSEP holds images/*.png and labels/*.mat with inst_map and type_map (2 inflammatory, 3 epithelial,
4 spindle). The true nuclei are measured with `--measurements all` at 0.5 um per pixel. Clicks are drawn from
the labels of four fifths of the tiles, and balanced accuracy is that on the nuclei of the last fifth; mean
and standard deviation of 10 draws. Without labels the adjusted Rand index is against the three types.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.io import loadmat
from sklearn.metrics import adjusted_rand_score, balanced_accuracy_score

from wsiseg.config import ObjectsConfig
from wsiseg.objects.neighbours import neighbours
from wsiseg.objects.outlines import bounding_boxes
from wsiseg.objects.records import describe
from wsiseg.objects.segment import Segmented
from wsiseg.slides import open_slide
from wsiseg.slides.stain import stain_planes
from wsiseg.slides.view import SlideView
from wsiseg.types.learn import fit_types, learn_types

MPP_L0, MPP = 0.25, 0.5
NAMES = {2: "inflammatory", 3: "epithelial", 4: "spindle"}
DRAWS, FOLDS = 10, 5


def measured(image: Path, labels: Path) -> tuple[pa.Table, np.ndarray]:
    """Return the table of the true nuclei of a tile, and the type of each."""
    truth = loadmat(labels)
    with open_slide(image) as slide:
        view = SlideView(slide, MPP, MPP_L0)
        planes = stain_planes(view.read(view.frame))
    fine = truth["inst_map"][1::2, 1::2][: view.height, : view.width]
    types = truth["type_map"][1::2, 1::2][: view.height, : view.width]
    ids, where = np.unique(fine, return_inverse=True)
    found = where.reshape(fine.shape).astype(np.int32)
    kinds = np.array([np.bincount(types[found == k]).argmax() for k in range(1, len(ids))])
    boxes = bounding_boxes(found, len(ids) - 1)
    columns = [
        box[1] + np.flatnonzero(found[box[0], box[1] : box[3]] == k + 1)[0] for k, box in enumerate(boxes)
    ]
    markers = np.stack([boxes[:, 0], columns], 1).astype(np.int64)
    whole = view.frame
    segmented = Segmented(
        whole,
        whole,
        whole,
        markers,
        np.ones(len(kinds), np.bool_),
        found,
        np.full(found.shape, 255, np.uint8),
    )
    half = planes[0, ::2, ::2]
    inside = whole.halved()
    table = describe(
        segmented, lambda box: half[box.slices_in(inside)], MPP, MPP / MPP_L0, ObjectsConfig(),
        lambda box: planes[(slice(None), *box.slices_in(whole))],
    )  # fmt: skip
    centres = np.stack([table[f"centroid_{axis}_um"].to_numpy() for axis in "xy"], 1)
    around = neighbours(centres, centres)
    for field in around.schema:
        table = table.append_column(field, around[field.name])
    table = table.drop_columns(["marker_row", "marker_col", "exact_area_px"])
    return table.append_column("id", pa.array(np.arange(1, len(kinds) + 1), pa.uint32())), kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("consep", type=Path)
    consep = parser.parse_args().consep
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds: dict[Path, np.ndarray] = {}
        for image in sorted((consep / "images").glob("*.png")):
            table, kinds_of = measured(image, consep / "labels" / f"{image.stem}.mat")
            path = folder / f"{image.stem}.parquet"
            pq.write_table(table, path)
            kinds[path] = kinds_of
        clicked(folder, kinds)
        unlabelled(kinds)


def clicked(folder: Path, kinds: dict[Path, np.ndarray]) -> None:
    tables = {path: pq.read_table(path) for path in kinds}
    folds = np.array_split(np.random.default_rng(0).permutation(len(kinds)), FOLDS)
    paths = [*kinds]
    print("| clicks a class | balanced accuracy |\n|---|---|")
    for clicks in (5, 20, 100):
        scores = []
        for draw in range(DRAWS):
            held = [paths[k] for k in folds[draw % FOLDS]]
            others = [path for path in paths if path not in held]
            rng = np.random.default_rng(draw)
            lines = ["slide,class,id"]
            for kind, called in NAMES.items():
                those = [
                    (path.stem, row + 1) for path in others for row in np.flatnonzero(kinds[path] == kind)
                ]
                lines += [
                    f"{those[k][0]},{called},{those[k][1]}" for k in rng.choice(len(those), clicks, False)
                ]
            (folder / "clicks.csv").write_text("\n".join(lines))
            model = learn_types(others, folder / "clicks.csv")
            truth, said = [], []
            for path in held:
                known = kinds[path] > 1
                truth += [NAMES[kind] for kind in kinds[path][known]]
                said += [model.names[k] for k in model.classify(tables[path])[0][known]]
            scores.append(balanced_accuracy_score(truth, said))
        print(f"| {clicks} | {np.mean(scores):.3f} ± {np.std(scores):.3f} |", flush=True)


def unlabelled(kinds: dict[Path, np.ndarray]) -> None:
    truth = np.concatenate([*kinds.values()])
    known = truth > 1
    print("\n| types without labels | adjusted Rand, against the types | of bootstraps |\n|---|---|---|")
    for k in (None, 3, 4, 6):
        model = fit_types([*kinds], k)
        said = np.concatenate([model.classify(pq.read_table(path))[0] for path in kinds])
        count = len(model.names)
        alike = model.told["adjusted_rand_of_bootstraps"][str(count)]
        called = f"auto: {count}" if k is None else str(k)
        print(
            f"| {called} | {adjusted_rand_score(truth[known], said[known]):.3f} | {alike:.3f} |", flush=True
        )


if __name__ == "__main__":
    main()
