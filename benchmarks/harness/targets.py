"""What is damaged, and what is done with it: the ways by which files of others come into wsiseg."""

from __future__ import annotations

import io
import json
import random
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from harness.mutations import mutated
from harness.sandbox import MEMORY, READ, REFUSED, UNCAUGHT, in_a_fork, learn_imports, memory_ran_out
from wsiseg.config import PredictConfig, TissueConfig
from wsiseg.errors import WsisegError
from wsiseg.evaluation.labels import read_labels
from wsiseg.inference.batch import predict_slides
from wsiseg.inference.export import export
from wsiseg.inference.kernel import Kernel
from wsiseg.inference.observer import PredictObserver
from wsiseg.inference.pages import Pages
from wsiseg.inference.place import Place
from wsiseg.inference.slide_report import SlideReport
from wsiseg.network.engine import Engine
from wsiseg.network.fold import fold
from wsiseg.network.model import load_model, serialise
from wsiseg.slides import open_slide
from wsiseg.slides.expand import expand
from wsiseg.slides.overview import Overview
from wsiseg.slides.sources import SlideSource
from wsiseg.slides.tissue_finder import find_tissue
from wsiseg.slides.tissue_mask import read_mask
from wsiseg.slides.view import SlideView
from wsiseg.store.slide_store import SlideStore

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "slides"))
import dicom_files
import small_slides

SIDE = 300
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Target:
    """Files as they should be, which of them is damaged and how, and what is done with them.

    Parameters
    ----------
    files : mapping of str to bytes
        Relative path to content.
    kind : str
        The kind of damage, see `mutated`.
    use : callable
        Gets the folder that holds the files; raises what goes wrong.
    share : int
        How many cases it gets, against others.
    """

    files: Files
    kind: str
    use: Callable[[Path], None]
    share: int = 2

    def write(self, folder: Path) -> None:
        """Write the files as they should be."""
        for name, data in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

    def attempt(self, folder: Path, rng: random.Random) -> tuple[str, str]:
        """Write the files, one of them damaged, and use them; return verdict and detail."""
        damaged = rng.choice(sorted(self.files))
        kind = "text" if damaged.endswith((".json", ".csv")) else self.kind
        self.write(folder)
        (folder / damaged).write_bytes(mutated(self.files[damaged], rng, kind))
        try:
            self.use(folder)
        except WsisegError as error:
            if memory_ran_out(error):
                return MEMORY, str(error)
            return REFUSED, str(error)
        except BaseException as error:
            return (MEMORY if memory_ran_out(error) else UNCAUGHT), described(error)
        return READ, ""


def described(error: BaseException) -> str:
    """Return an exception with the innermost lines of wsiseg that it passed."""
    place, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "/wsiseg/" in name:
            place += f" {Path(name).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} at{' '.join(place.split()[-4:]).join('  ')}"


def use_slide(path: Path) -> None:
    """Open a slide with every reader, read of every level, and find its tissue."""
    refused: list[WsisegError] = []
    for reader in ("openslide", "tiffslide", "image"):
        try:
            with open_slide(path, reader) as slide:
                for level, (width, height) in enumerate(slide.level_dimensions):
                    slide.read_region(0, 0, level, min(width, SIDE), min(height, SIDE))
        except WsisegError as error:
            refused.append(error)
    for error in refused:
        if memory_ran_out(error):
            raise error
    with open_slide(path) as slide:
        view = SlideView(slide, 0.5, 0.25 if slide.mpp is None else None)
        _ = slide.fingerprint
        find_tissue(slide, TissueConfig(), view.slide_mpp)
        view.read(view.frame._replace(x1=min(view.width, SIDE), y1=min(view.height, SIDE)))


def use_first(folder: Path) -> None:
    """Use the only file of a folder as a slide, by the name that the command line gives it."""
    (source,) = expand([str(next(iter(folder.iterdir())))], None)
    check_name(source)
    use_slide(Path(source.path))


def use_dicom(folder: Path) -> None:
    """Use a folder as a DICOM series."""
    for source in expand([str(folder)], None):
        check_name(source)
        use_slide(Path(source.path))


def check_name(source: SlideSource) -> None:
    """Raise unless the name stays inside an output folder."""
    if Path(source.name).name != source.name or source.name.startswith((".", "-")) or "\0" in source.name:
        raise AssertionError(f"unsafe name {source.name!r}")


def use_list(folder: Path) -> None:
    """Read a CSV list."""
    for source in expand([str(folder / "list.csv")], None):
        check_name(source)


def use_model(folder: Path) -> None:
    """Load a model and fold it as for inference."""
    fold(load_model(folder / "model.safetensors"))


class Dull(Engine):
    """A network that finds nothing."""

    name = "dull"

    def confidence(
        self, rgb: np.ndarray, table: np.ndarray, inner: tuple[slice, slice] | None = None
    ) -> np.ndarray:
        """Return zeros."""
        return np.zeros(rgb.shape[:2], np.float32)[inner or ...]


class Heard(PredictObserver):
    """Keeps the error that ended a slide."""

    error: BaseException | None = None

    def failed(self, error: BaseException) -> None:
        """See `PredictObserver`."""
        self.error = error


def use_outputs(folder: Path) -> None:
    """Go on with the outputs of an earlier run, as predict and export do."""
    Kernel.load = lambda _kernel: Dull()  # type: ignore[method-assign]
    heard = Heard()
    config = PredictConfig(workers=1, device="cpu", tissue=TissueConfig(detect=False))
    source = SlideSource(str(folder / "slide.png"), "slide", 0.25)
    predict_slides([source], Place(folder / "out"), load_model(), config, EmptyPages(), heard)
    if heard.error is not None and not isinstance(heard.error, (WsisegError, OSError)):
        raise heard.error
    if (folder / "out" / "slide.zarr").is_dir():
        export(folder / "out" / "slide.zarr", folder / "again", PredictConfig(workers=1))


class EmptyPages(Pages):
    """Previews without a picture, and no pages.

    Parameters
    ----------
    stop : bool
        Whether to stop the run where a preview would be drawn.
    """

    def __init__(self, stop: bool = False) -> None:
        self._stop = stop

    def draw(self, store: SlideStore, thumbnail: Overview, path: Path) -> None:
        """See `Pages`."""
        if self._stop:
            raise KeyboardInterrupt
        path.touch()

    def add(self, report: SlideReport) -> None:
        """See `Pages`."""


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    """Return the bytes of an image file."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def tiff_seeds(folder: Path) -> dict[str, bytes]:
    """Return TIFFs of many kinds, made in a folder."""
    folder.mkdir(parents=True)
    pixels = small_slides.picture(150, 170)
    small_slides.write_svs(folder / "jpeg.svs", pixels, tile=64)
    small_slides.write_svs(folder / "jp2000.svs", pixels, tile=64, compression="aperio_jp2000_rgb")
    small_slides.write_svs(folder / "deflate.svs", pixels, tile=64, compression="deflate")
    small_slides.write_tiff(folder / "lzw.tif", pixels, tile=64, compression="lzw", photometric="rgb")
    small_slides.write_tiff(folder / "strips.tif", pixels, tile=None, rowsperstrip=16, photometric="rgb")
    small_slides.write_tiff(folder / "grey16.tif", pixels[..., 0].astype(np.uint16), tile=None)
    Image.fromarray(pixels).quantize(16).save(folder / "palette.tif")
    meta = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "um", "PhysicalSizeY": 0.25}
    with tifffile.TiffWriter(folder / "a.ome.tif", ome=True) as writer:
        writer.write(pixels, subifds=1, photometric="rgb", tile=(64, 64), metadata=meta)
        writer.write(small_slides.halved(pixels, 2), subfiletype=1, photometric="rgb", tile=(64, 64))
    with tifffile.TiffWriter(folder / "big.tif", bigtiff=True) as writer:
        writer.write(pixels, tile=(64, 64), compression="zstd", photometric="rgb")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def store_seeds(folder: Path) -> tuple[Files, Files]:
    """Return a slide with its finished outputs, and with those of a run that was stopped."""
    for name in ("finished", "stopped"):
        in_a_fork(partial(make_outputs, folder / name, name == "stopped"))
    finished, stopped = (
        {str(path.relative_to(folder / name)): path.read_bytes() for path in files_in(folder / name)}
        for name in ("finished", "stopped")
    )
    return finished, stopped


def files_in(folder: Path) -> list[Path]:
    """Return the files of a run, locks left out."""
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def make_outputs(folder: Path, stop: bool) -> None:
    """Predict a small slide, or stop before its label image is written."""
    folder.mkdir(parents=True)
    Kernel.load = lambda _kernel: Dark()  # type: ignore[method-assign]
    pixels = small_slides.picture(90, 120)
    pixels[20:40, 30:50] = pixels[60:75, 80:100] = 40
    Image.fromarray(pixels).save(folder / "slide.png")
    source = SlideSource(str(folder / "slide.png"), "slide", 0.25)
    config = PredictConfig(workers=1, device="cpu", tissue=TissueConfig(detect=False))

    with suppress(KeyboardInterrupt):
        predict_slides([source], Place(folder / "out"), load_model(), config, EmptyPages(stop))


class Dark(Engine):
    """A network that finds what is dark."""

    name = "dark"

    def confidence(
        self, rgb: np.ndarray, table: np.ndarray, inner: tuple[slice, slice] | None = None
    ) -> np.ndarray:
        """Return 1 where red is dark."""
        return (rgb[inner or ...][..., 0] < 60).astype(np.float32)


def targets(folder: Path) -> dict[str, Target]:
    """Return all targets by name; the whole files are made in a folder."""
    found = {
        name: Target({name: data}, "tiff", use_first, share=2 if "svs" in name else 1)
        for name, data in tiff_seeds(folder / "tiff").items()
    }
    image = Image.fromarray(small_slides.picture(60, 70))
    found["a.png"] = Target({"a.png": encoded(image, "PNG")}, "png", use_first)
    deep = Image.fromarray(small_slides.picture(40, 50)[..., 0].astype(np.uint16) * 200)
    found["deep.png"] = Target({"deep.png": encoded(deep, "PNG")}, "png", use_first, 1)
    found["a.jpg"] = Target({"a.jpg": encoded(image, "JPEG")}, "binary", use_first)
    for form, name in (("BMP", "a.bmp"), ("WEBP", "a.webp"), ("JPEG2000", "a.jp2")):
        found[name] = Target({name: encoded(image, form)}, "binary", use_first, 1)
    (folder / "dicom").mkdir()
    for number, factor in ((1, 1), (2, 2)):
        pixels = small_slides.halved(small_slides.picture(128, 192), factor)
        dicom_files.write_instance(folder / "dicom" / f"{number}.dcm", pixels, "1.2.7", number, 0.25 * factor)
    series = {path.name: path.read_bytes() for path in (folder / "dicom").iterdir()}
    found["dicom"] = Target(series, "binary", use_dicom, 3)
    rows = (
        '\ufeffslide,mpp,remark\r\na.svs,0.25,x\r\n"sub/b, c.svs",,\r\n/x/d.svs, 0.5 ,\r\ns3://b/e.svs,1,\r\n'
    )
    found["list.csv"] = Target({"list.csv": rows.encode()}, "text", use_list, 3)
    model = load_model()
    found["model"] = Target({"model.safetensors": serialise(model.weights, model.info)}, "text", use_model, 4)
    finished, stopped = store_seeds(folder / "store")
    found["outputs"] = Target(finished, "binary", use_outputs, 3)
    found["stopped outputs"] = Target(stopped, "binary", use_outputs, 2)
    ring = [[1, 1], [60, 1], [60, 40], [1, 40], [1, 1]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    features = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": shape}] * 3}
    text = json.dumps(features).encode()

    def use_mask(here: Path) -> None:
        read_mask(str(here / "m.json"), (640, 480), 4.0)

    found["mask"] = Target({"m.json": text}, "text", use_mask, 1)

    def use_geojson(here: Path) -> None:
        read_labels(here / "l.geojson", (60, 80))

    found["labels.geojson"] = Target({"l.geojson": text}, "text", use_geojson, 1)
    points = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in ring)
    region = f'<Region Id="1" NegativeROA="0"><Vertices>{points}</Vertices></Region>'
    regions = f"<Annotation><Regions>{region * 3}</Regions></Annotation>"
    xml = f'<?xml version="1.0"?><Annotations>{regions}</Annotations>'

    def use_xml(here: Path) -> None:
        read_labels(here / "l.xml", (60, 80))
        read_labels(here / "l.xml")

    found["labels.xml"] = Target({"l.xml": xml.encode()}, "text", use_xml, 1)
    learn_imports(partial(use_whole, found, folder / "whole"))
    return found


def use_whole(found: Mapping[str, Target], folder: Path) -> None:
    """Use every target without damage; each must be read."""
    for number, target in enumerate(found.values()):
        target.write(folder / str(number))
        target.use(folder / str(number))
