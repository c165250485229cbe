"""The scores: worked by hand, and against a slow and obvious version."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wsiseg.evaluation import metrics

Labels = npt.NDArray[np.int32]

TRUTH = np.array(
    [
        [1, 1, 0, 0, 2, 2],
        [1, 1, 0, 0, 2, 2],
        [0, 0, 0, 0, 0, 0],
        [7, 7, 7, 0, 0, 0],
    ],
    np.int32,
)
# 5 hits three quarters of 1; 6 covers 2 and two pixels more; 9 lies on nothing; 7 is missed.
PREDICTED = np.array(
    [
        [5, 5, 0, 6, 6, 6],
        [5, 0, 0, 6, 6, 6],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 9, 9],
    ],
    np.int32,
)


def test_worked_by_hand() -> None:
    scores = metrics.score(TRUTH, PREDICTED)
    assert scores.dice == pytest.approx(2 * (3 + 4) / (11 + 11))
    # intersections 3 + 4; unions 4 + 6, the missed 3 and the invented 2
    assert scores.aji == pytest.approx(7 / 15)
    assert scores.sq == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert scores.dq == scores.f1 == pytest.approx(2 / 3)
    assert scores.pq == pytest.approx((3 / 4 + 4 / 6) / (2 + 0.5 + 0.5))
    assert (scores.count_true, scores.count_predicted, scores.count_error) == (3, 3, 0)


def test_aji_takes_a_predicted_nucleus_twice() -> None:
    truth = np.array([[1, 1, 2, 2, 2, 0]], np.int32)
    merged = np.array([[4, 4, 4, 4, 4, 4]], np.int32)
    assert metrics.score(truth, merged).aji == pytest.approx((2 + 3) / (6 + 6))


def test_iou_of_exactly_one_half_does_not_match() -> None:
    truth = np.array([[1, 1, 0]], np.int32)
    half = np.array([[1, 0, 0]], np.int32)
    assert metrics.score(truth, half).f1 == 0
    more = np.array([[1, 1, 1]], np.int32)
    assert metrics.score(truth, more).f1 == 1


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [([0, 0], [0, 0], 1.0), ([1, 1], [0, 0], 0.0), ([0, 0], [3, 3], 0.0), ([2, 2], [5, 5], 1.0)],
)
def test_empty_conventions(truth: list[int], predicted: list[int], expected: float) -> None:
    t, p = np.array([truth]), np.array([predicted])
    scores = metrics.score(t, p)
    assert {scores.dice, scores.aji, scores.pq, scores.sq, scores.dq, scores.f1} == {expected}
    assert metrics.dice(t, p) == expected


def test_count_error_is_relative_to_the_truth() -> None:
    truth, predicted = np.array([[1, 2, 3, 4]]), np.array([[1, 1, 1, 0]])
    assert metrics.score(truth, predicted).count_error == 0.75
    assert metrics.score(truth * 0, np.array([[1, 2, 0, 0]])).count_error == 2


def test_shapes_and_negative_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        metrics.score(np.zeros((2, 3), int), np.zeros((3, 2), int))
    with pytest.raises(ValueError, match="negative"):
        metrics.score(np.array([[-1, 0]]), np.array([[0, 0]]))


def test_huge_sparse_labels_and_booleans() -> None:
    truth = np.array([[2**31 - 1, 0, 9]], np.int64)
    assert metrics.score(truth, truth).pq == 1
    assert metrics.dice(np.array([[True, False]]), np.array([[True, True]])) == pytest.approx(2 / 3)


def _slow(truth: Labels, predicted: Labels) -> dict[str, float]:
    """Every score by its definition, set by set."""
    t = {k: set(np.flatnonzero(truth == k)) for k in np.unique(truth[truth > 0])}
    p = {k: set(np.flatnonzero(predicted == k)) for k in np.unique(predicted[predicted > 0])}
    if not t and not p:
        return {"dice": 1, "aji": 1, "pq": 1, "f1": 1}
    all_t, all_p = set().union(*t.values()), set().union(*p.values())
    inter = union = 0
    used = set()
    for pixels in t.values():
        iou, best = 0.0, None
        for k, other in p.items():
            if len(pixels & other) / len(pixels | other) > iou:
                iou, best = len(pixels & other) / len(pixels | other), k
        inter += len(pixels & p[best]) if best is not None else 0
        union += len(pixels | p[best]) if best is not None else len(pixels)
        used.add(best)
    union += sum(len(pixels) for k, pixels in p.items() if k not in used)
    ious = [len(a & b) / len(a | b) for a in t.values() for b in p.values()]
    hits = [iou for iou in ious if iou > 0.5]
    weight = len(hits) + (len(t) - len(hits)) / 2 + (len(p) - len(hits)) / 2
    return {
        "dice": 2 * len(all_t & all_p) / (len(all_t) + len(all_p)),
        "aji": inter / union,
        "pq": sum(hits) / weight,
        "f1": len(hits) / weight,
    }


label_images = st.tuples(st.integers(1, 5), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.int32, shape, elements=st.integers(0, 4)) for _ in range(2)])
)


@given(label_images)
@settings(max_examples=200, deadline=None)
def test_equals_the_slow_version(pair: tuple[Labels, Labels]) -> None:
    fast = metrics.score(*pair)
    for name, value in _slow(*pair).items():
        assert getattr(fast, name) == pytest.approx(value), name


@given(label_images)
@settings(max_examples=60, deadline=None)
def test_names_of_the_labels_do_not_matter(pair: tuple[Labels, Labels]) -> None:
    truth, predicted = pair
    renamed = np.array([0, 900, 3, 70, 2_000_000_000], np.int64)[predicted]
    assert metrics.score(truth, renamed).pq == pytest.approx(metrics.score(truth, predicted).pq)


def test_dense_and_sorted_tables_of_any_chunks_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 9, (2, 30, 30))
    dense = metrics.score(truth, predicted)
    monkeypatch.setattr(metrics, "_CHUNK_PX", 101)
    assert metrics.score(truth, predicted) == dense
    monkeypatch.setattr(metrics, "_DENSE_CELLS", 0)
    assert metrics.score(truth, predicted) == dense


def test_a_thousand_nuclei_of_one_shift() -> None:
    rows, cols = np.mgrid[:1000, :1000]
    truth = np.where((rows % 30 < 24) & (cols % 30 < 24), rows // 30 * 34 + cols // 30 + 1, 0)
    predicted = np.roll(truth, 3, axis=1)
    # Of each 24 columns 21 overlap; of the last 10 in a row, 7.
    iou = (33 * 21 / 27 + 7 / 13) / 34
    scores = metrics.score(truth, predicted)
    assert scores.pq == pytest.approx(iou)
