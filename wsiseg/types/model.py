"""A model of types: a linear classifier in a JSON file that can be read, renamed and never executed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wsiseg.errors import ModelError
from wsiseg.machine.whole import put_whole
from wsiseg.types.features import Values, feature_values

FORMAT = 1
# Okabe & Ito's colours, which most eyes tell apart.
COLOURS = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0),
    (240, 228, 66), (120, 120, 120),
)  # fmt: skip


@dataclass(frozen=True)
class TypesModel:
    """Types of nuclei.

    Parameters
    ----------
    names : tuple of str
        Classes; change them in the file as you like.
    colours : tuple of (int, int, int)
        Red, green and blue of each.
    features : tuple of str
        Columns of the table.
    context : bool
        Whether the means over the nearest nuclei count too.
    mean, sd : list of float
        Of each feature, by which it is standardised.
    weights : list of list of float
        One row a class, one number a feature.
    bias : list of float
        One number a class.
    told : dict
        Where it comes from, as JSON values.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    features: tuple[str, ...]
    context: bool
    mean: list[float]
    sd: list[float]
    weights: list[list[float]]
    bias: list[float]
    told: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        classes, numbers = len(self.names), len(self.features) * (2 if self.context else 1)
        shapes = (np.shape(self.mean), np.shape(self.sd), np.shape(self.weights), np.shape(self.bias))
        if shapes != ((numbers,), (numbers,), (classes, numbers), (classes,)):
            raise ModelError("a model of types whose numbers do not fit together")
        if len(set(self.names)) != classes or not all(self.names) or len(self.colours) != classes:
            raise ModelError("a model of types needs as many colours as names, which must differ")

    def classify(self, table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the number of the class of each nucleus of a slide, and its probability; see `features`."""
        return self.of_values(feature_values(table, self.features, self.context))

    def of_values(self, values: Values) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the number of the class and its probability from features, (n, features)."""
        standard = (values - np.array(self.mean)) / np.array(self.sd)
        score = standard @ np.array(self.weights).T + np.array(self.bias)
        share = np.exp(score - score.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        return share.argmax(1), share.max(1).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write the file, whole."""
        with put_whole(path) as beside:
            text = json.dumps({"wsiseg_types": FORMAT, **asdict(self)}, indent=1, ensure_ascii=False)
            beside.write_text(text + "\n", encoding="utf-8")


def load_types(path: Path) -> TypesModel:
    """Read a model of types.

    Raises
    ------
    ModelError
        If it is none.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored.pop("wsiseg_types") != FORMAT:
            raise ModelError(f"{path}: types of another version of wsiseg; learn them again")
        stored["names"], stored["features"] = tuple(map(str, stored["names"])), tuple(stored["features"])
        colours = [[min(max(int(value), 0), 255) for value in colour] for colour in stored["colours"]]
        stored["colours"] = tuple((red, green, blue) for red, green, blue in colours)
        return TypesModel(**stored)
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file of types") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: not types that wsiseg learned: {error}") from error
