"""Types learned: by themselves from the numbers of nuclei, or from a few that a user named."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wsiseg import __version__
from wsiseg.errors import UsageError
from wsiseg.types.features import CENTRE, Values, feature_names, feature_values
from wsiseg.types.model import COLOURS, TypesModel

LEAST_NUCLEI, MOST_NUCLEI = 50, 50_000
BOOTSTRAPS = 5
STABLE = 0.9
CHOICES = range(2, len(COLOURS) + 1)
# A point further from every centre than this names no nucleus.
CLICK_UM = 10.0
# Names of the list that a message shows.
SHOWN = 5


def fit_types(tables: Sequence[Path], k: int | None = None, seed: int = 0) -> TypesModel:
    """Part nuclei into types without labels: k-means of the standardised features of up to 50,000 nuclei.

    Parameters
    ----------
    tables : sequence of Path
        Parquet files of slides, which share the sample evenly.
    k : int, optional
        How many types; left out, the most of 2 to 8 that five bootstraps agree on (adjusted Rand index of 0.9
        on average), or else those on which they agree best.
    seed : int
        Of the sample and the starts.

    Raises
    ------
    UsageError
        If there are too few nuclei.
    """
    rng = np.random.default_rng(seed)
    names = _common(tables)
    parts = []
    for path in tables:
        values = feature_values(pq.read_table(path, columns=[*names, *CENTRE]), names, context=False)
        most = min(len(values), -(-MOST_NUCLEI // len(tables)))
        parts.append(values[np.sort(rng.permutation(len(values))[:most])])
    sample = np.concatenate(parts)
    if len(sample) < LEAST_NUCLEI:
        raise UsageError(f"{len(sample)} nuclei are too few for types; give more slides")
    mean, sd = sample.mean(0), sample.std(0) + 1e-9
    standard = (sample - mean) / sd
    agreement = {n: _agreement(standard, n, seed) for n in (CHOICES if k is None else (k,))}
    stable = [n for n, value in agreement.items() if value >= STABLE]
    k = k or (max(stable) if stable else max(agreement, key=agreement.__getitem__))
    groups = _k_means(standard, k, seed)
    # The first type is the most frequent one.
    order = np.argsort(-np.bincount(groups, minlength=k), kind="stable")
    weights, bias = _linear(standard, np.argsort(order)[groups], 1.0)
    alike = {str(n): round(value, 3) for n, value in agreement.items()}
    how = {"kind": "fit", "seed": seed, "nuclei": len(sample), "adjusted_rand_of_bootstraps": alike}
    told = _told(tables, how)
    types = tuple(f"type {number + 1}" for number in range(k))
    return TypesModel(types, COLOURS[:k], names, False, mean.tolist(), sd.tolist(), weights, bias, told)


def learn_types(tables: Sequence[Path], clicks: Path) -> TypesModel:
    """Learn types from nuclei that a user named: logistic regression on them and those around.

    Parameters
    ----------
    tables : sequence of Path
        Parquet files of slides.
    clicks : Path
        CSV with the columns `class`, `slide` (may be left out for one slide), and either `id` or `x_l0` and
        `y_l0`.

    Raises
    ------
    UsageError
        If the list cannot be understood, or names nuclei of fewer than two classes.
    """
    names = _common(tables)
    rows = _read_clicks(clicks)
    found: list[Values] = []
    kinds: list[str] = []
    lost = dict.fromkeys(range(len(rows)))
    total, squares, count = 0.0, 0.0, 0
    for path in tables:
        own = [n for n, row in enumerate(rows) if row.get("slide") in (path.stem, None, "")]
        columns = {*names, *CENTRE, "id", "centroid_x_l0", "centroid_y_l0"}
        table = pq.read_table(path, columns=sorted(columns))
        values = feature_values(table, names, context=True)
        total, squares, count = total + values.sum(0), squares + (values**2).sum(0), count + len(values)
        for n in own:
            place = _place(table, rows[n])
            if place is not None:
                found.append(values[place])
                kinds.append(rows[n]["class"])
                lost.pop(n, None)
    types, strangers = tuple(sorted(set(kinds))), [_named(rows[n]) for n in lost]
    if len(types) < 2:
        has = f"of one class only ({types[0]})" if types else "of no class"
        more = f"; not found there: {_some(strangers)}" if strangers else ""
        raise UsageError(f"{clicks}: names nuclei {has} in these slides, and two are needed{more}")
    if len(types) > len(COLOURS):
        raise UsageError(f"{clicks}: names {len(types)} classes; there may be {len(COLOURS)}")
    mean = total / count
    sd = np.sqrt(np.maximum(squares / count - mean**2, 0)) + 1e-9
    groups = np.array([types.index(kind) for kind in kinds])
    strength = 0.03 if len(kinds) < 50 * len(types) else 0.1
    weights, bias = _linear((np.stack(found) - mean) / sd, groups, strength)
    clicked = {kind: kinds.count(kind) for kind in types}
    told = _told(tables, {"kind": "learn", "clicks": clicked, "left_out": strangers})
    colours = COLOURS[: len(types)]
    return TypesModel(
        types, colours, names, True, np.asarray(mean).tolist(), sd.tolist(), weights, bias, told
    )


def _common(tables: Sequence[Path]) -> tuple[str, ...]:
    """Return the features that all tables have."""
    schemas = [feature_names(pq.read_schema(path)) for path in tables]
    return tuple(name for name in schemas[0] if all(name in other for other in schemas))


def _k_means(standard: Values, k: int, seed: int) -> NDArray[np.int64]:
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(k, n_init=3, random_state=seed).fit_predict(standard), np.int64)


def _agreement(standard: Values, k: int, seed: int) -> float:
    """Return how alike bootstraps part all nuclei: the mean adjusted Rand index of their pairs."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng(seed)
    parted = []
    for turn in range(BOOTSTRAPS):
        drawn = standard[rng.integers(0, len(standard), min(len(standard), 10_000))]
        parted.append(KMeans(k, n_init=1, random_state=seed + turn).fit(drawn).predict(standard))
    return float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(parted, 2)]))


def _linear(
    standard: Values, groups: NDArray[np.int64], strength: float
) -> tuple[list[list[float]], list[float]]:
    """Return weights and biases of a logistic regression, one row a class."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=strength, max_iter=1000, class_weight="balanced").fit(standard, groups)
    weights, bias = fitted.coef_, fitted.intercept_
    if len(weights) == 1:  # two classes are one number
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return weights.tolist(), bias.tolist()


def _read_clicks(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as a CSV list: {error}") from None
    has = set(rows[0]) if rows else set()
    if "class" not in has or not ({"id"} <= has or {"x_l0", "y_l0"} <= has):
        raise UsageError(f"{path}: needs the columns slide, class, and id or x_l0 and y_l0")
    return [row for row in rows if (row["class"] or "").strip()]


def _named(row: dict[str, str]) -> str:
    """Return a row of the list in words."""
    where = f"id {row['id']}" if row.get("id") else f"({row.get('x_l0')}, {row.get('y_l0')})"
    return f"{row['slide']} {where}" if row.get("slide") else where


def _some(names: Sequence[str]) -> str:
    """Return the first few of them, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _place(table: Any, row: dict[str, str]) -> int | None:
    """Return the row of the nucleus that is meant; None where there is none."""
    try:
        if row.get("id"):
            hits = np.flatnonzero(table["id"].to_numpy() == int(row["id"]))
            return int(hits[0]) if len(hits) else None
        x, y = float(row["x_l0"]), float(row["y_l0"])
    except (TypeError, ValueError) as error:
        raise UsageError(f"a named nucleus has no number or place: {row}") from error
    if not table.num_rows:
        return None
    x_l0, y_l0 = (table[f"centroid_{axis}_l0"].to_numpy() for axis in "xy")
    nearest = int(np.argmin(np.hypot(x_l0 - x, y_l0 - y)))
    um_per_px = table["centroid_x_um"][nearest].as_py() / max(x_l0[nearest], 1e-9)
    is_near = np.hypot(x_l0[nearest] - x, y_l0[nearest] - y) * um_per_px <= CLICK_UM
    return nearest if is_near else None


def _told(tables: Sequence[Path], more: dict[str, Any]) -> dict[str, Any]:
    return {"wsiseg": __version__, "slides": [path.stem for path in tables], **more}
