"""The model file: weights and everything needed to use them, in one safetensors file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from wsiseg.errors import ModelError
from wsiseg.machine.replacing import write_output
from wsiseg.network.architecture import WIDTH, WIDTHS, weight_shapes

if TYPE_CHECKING:
    from wsiseg.network.fcnn import FCNN

Weights = dict[str, npt.NDArray[Any]]

FORMAT = 1
FILE_NAME = "model.safetensors"
# What ships with wsiseg, by name: `large` takes longer and finds more (docs/model-card.md).
SHIPPED = ("default", "large")
# The weights take 35 kB; a file a thousand times larger is something else.
MAX_FILE_BYTES = 32 << 20


@dataclass(frozen=True)
class ModelInfo:
    """The settings in a model file.

    Parameters
    ----------
    classes : int
        K, the number of confidence maps.
    channel : int
        The map that shows nuclei.
    inverted : bool
        Whether nuclei are where that map is low: the confidence of a nucleus is then 1 - map.
    threshold : float
        Confidence from which a pixel is taken for nucleus.
    adaptive : bool
        Whether `predict` chooses a threshold for each slide, starting from that.
    mpp : float
        Micrometres per pixel at which the network was trained and works.
    input : {"rgb", "stains"}
        What the network sees: colours, or each slide's stains on a common scale (see `appearance`).
    preset : str
        Name of the training preset.
    seed : int
        Seed of the repeat.
    score : float or None
        The label-free score by which it was chosen, if any.
    training : dict
        Configuration of the training, as plain JSON values.
    versions : dict
        Versions of wsiseg and torch that trained it.
    """

    classes: int = 4
    channel: int = 0
    inverted: bool = False
    threshold: float = 0.5
    adaptive: bool = False
    mpp: float = 0.25
    input: str = "rgb"
    preset: str = "default"
    seed: int = 0
    score: float | None = None
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks = {
            "classes": 1 <= self.classes <= 64,
            "channel": 0 <= self.channel < self.classes,
            "threshold": 0 < self.threshold < 1,
            "mpp": 0.01 <= self.mpp <= 100,
            "input": self.input in ("rgb", "stains"),
        }
        wrong = [f"{name} = {getattr(self, name)!r}" for name, ok in checks.items() if not ok]
        if wrong:
            raise ModelError("settings out of range in the model file: " + ", ".join(wrong))


@dataclass(frozen=True, eq=False)
class Model:
    """Weights and the settings in their file.

    Parameters
    ----------
    weights : dict of ndarray
        Every tensor of the network by name, as in its `state_dict`.
    info : ModelInfo
        Its settings.
    sha256 : str
        Hash of the file's bytes: the model's identity in every output.
    """

    weights: Weights
    info: ModelInfo
    sha256: str

    @property
    def width(self) -> int:
        """Channels of every layer between image and maps."""
        return len(self.weights["stem.0.weight"])

    @cached_property
    def network(self) -> FCNN:
        """The network in evaluation mode, on the CPU, float32; the first use imports torch."""
        import torch

        from wsiseg.network.fcnn import FCNN

        network = FCNN(self.info.classes, self.width)
        network.load_state_dict({name: torch.from_numpy(array) for name, array in self.weights.items()})
        return network.eval()


def weights_of(network: FCNN) -> Weights:
    """Return the tensors of a network as arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}


def serialise(weights: Weights, info: ModelInfo) -> bytes:
    """Return the bytes of a model file; the same weights and settings give the same bytes."""
    described = json.dumps({"format": FORMAT, **dataclasses.asdict(info)}, sort_keys=True)
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in weights.items()}
    return safetensors.numpy.save(contiguous, metadata={"wsiseg": described})


def save_model(path: str | os.PathLike[str], network: FCNN, info: ModelInfo) -> Model:
    """Write a model file beside its place and rename it, so that it is whole or absent."""
    weights = weights_of(network)
    data = serialise(weights, info)
    write_output(Path(path), data)
    return Model(weights, info, hashlib.sha256(data).hexdigest())


def load_model(path: str | os.PathLike[str] | None = None) -> Model:
    """Read a model file.

    Parameters
    ----------
    path : path-like, optional
        A model file, a run folder of `fit`, or, where nothing else is called so, the name of a model that
        ships with wsiseg: `default` or `large`. If omitted, `default`.

    Raises
    ------
    ModelError
        If the file is absent, is no safetensors file of wsiseg, is of another architecture, or has weights
        that are not finite. Nothing in a file is ever unpickled or executed.
    """
    if path is None:
        return shipped_model(SHIPPED[0])
    if os.fspath(path) in SHIPPED and not Path(path).exists():
        return shipped_model(os.fspath(path))
    name, data = _read_file(Path(path))
    return parse_model(data, name)


def shipped_model(name: str) -> Model:
    """Return one of the models that ship with wsiseg, by its name in `SHIPPED`."""
    data = resources.files("wsiseg.network").joinpath("models", f"{name}.safetensors").read_bytes()
    return parse_model(data, f"the model {name} that ships with wsiseg")


def parse_model(data: bytes, name: str) -> Model:
    """Return the model in the bytes of a model file; errors refer to it by `name`."""
    try:
        header = _metadata(data)
        weights = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise ModelError(f"{name}: not a model file of wsiseg (safetensors expected): {error}") from error
    info = _parse_info(name, header)
    _check(name, info, weights)
    return Model(weights, info, hashlib.sha256(data).hexdigest())


def _read_file(path: Path) -> tuple[str, bytes]:
    file = path / FILE_NAME if path.is_dir() else path
    try:
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelError(
                f"{file}: {size} bytes is too large for a model of wsiseg; give a file made by `wsiseg fit`"
            )
        return str(file), file.read_bytes()
    except FileNotFoundError:
        hint = "no finished run in this folder" if path.is_dir() else "no such model file"
        raise ModelError(
            f"{file}: {hint}; give the folder or the {FILE_NAME} that `wsiseg fit` wrote"
        ) from None
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror or error}") from error


def _metadata(data: bytes) -> dict[str, Any]:
    if len(data) < 8:
        raise ValueError("the file is too short")
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise ValueError("the file is truncated or of another kind")
    header = json.loads(data[8 : 8 + length])
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__"), dict):
        raise ValueError("no metadata")
    described = json.loads(header["__metadata__"]["wsiseg"])
    if not isinstance(described, dict):
        raise ValueError("metadata of another kind")
    return described


def _parse_info(name: str, described: dict[str, Any]) -> ModelInfo:
    if described.get("format") != FORMAT:
        raise ModelError(
            f"{name}: model format {described.get('format')!r}; this wsiseg reads format {FORMAT}: use the "
            "version that wrote it, or train again"
        )
    known = {f.name for f in dataclasses.fields(ModelInfo)}
    values = {key: value for key, value in described.items() if key in known}
    kinds: dict[str, tuple[type, ...]] = {
        "classes": (int,), "channel": (int,), "inverted": (bool,), "threshold": (int, float),
        "adaptive": (bool,),
        "mpp": (int, float), "input": (str,), "preset": (str,), "seed": (int,),
        "score": (int, float, type(None)), "training": (dict,), "versions": (dict,),
    }  # fmt: skip
    for key, value in values.items():
        number = isinstance(value, float) and not math.isfinite(value)
        boolean = isinstance(value, bool) and bool not in kinds[key]
        if not isinstance(value, kinds[key]) or number or boolean:
            raise ModelError(f"{name}: {key} = {value!r} in the model file is not usable")
    try:
        return ModelInfo(**values)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None


def _check(name: str, info: ModelInfo, weights: Weights) -> None:
    stem = weights.get("stem.0.weight")
    width = len(stem) if stem is not None and stem.ndim and len(stem) in WIDTHS else WIDTH
    expected = weight_shapes(info.classes, width)
    found = {key: value.shape for key, value in weights.items()}
    if expected != found:
        odd = sorted(set(expected.items()) ^ set(found.items()))
        raise ModelError(
            f"{name}: weights of another architecture (first difference: {odd[0][0]} {odd[0][1]}); "
            "use the version of wsiseg that wrote it"
        )
    other = [key for key, value in weights.items() if value.dtype not in (np.float32, np.int64)]
    if other:
        raise ModelError(f"{name}: weights of another type in {', '.join(sorted(other))}; float32 expected")
    bad = [key for key, value in weights.items() if not np.isfinite(value).all()]
    if bad:
        raise ModelError(f"{name}: weights that are not finite in {', '.join(sorted(bad))}; train again")
