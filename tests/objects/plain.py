"""The split of touching nuclei as one would write it down: slow, on the whole image, without windows."""

from __future__ import annotations

import heapq
import math

import numpy as np

AROUND4 = ((-1, 0), (1, 0), (0, -1), (0, 1))
AROUND8 = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]


def scramble(row, col):
    """Mix a place as splitmix64 does."""
    most = 2**64 - 1
    x = ((row << 32 | col) + 0x9E3779B97F4A7C15) & most
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & most
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & most
    return x ^ (x >> 31)


def places(mask):
    """Return the pixels of the mask."""
    return [tuple(place) for place in np.argwhere(mask).tolist()]


def depth(mask, deepest_px):
    """Return a dict: pixel of the mask -> smoothed depth."""
    background = np.argwhere(mask == 0)
    raw = np.zeros(mask.shape, np.int64)
    for r, c in places(mask):
        far = deepest_px**2
        if len(background):
            far = min(far, ((background - (r, c)) ** 2).sum(1).min())
        raw[r, c] = math.floor(4 * math.sqrt(far))
    wide = np.pad(raw, 2, mode="edge")
    weights = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])
    return {(r, c): int((wide[r : r + 5, c : c + 5] * weights).sum()) for r, c in places(mask)}


def peaks(depths, scales):
    """Return the peaks, the strongest first."""
    order = {place: (value, scramble(*place)) for place, value in depths.items()}
    neck = scales.neck if scales.split else 0
    found = []
    for place, own in depths.items():
        if own < max(1, round(scales.shallowest_px * 1024)):
            continue
        if any(order.get((place[0] + r, place[1] + c), (0,)) > order[place] for r, c in AROUND8):
            continue
        reach = int(scales.peak_box * own / 1024) if scales.split else scales.peak_box_px
        walk, seen = [place], {place}
        for r, c in walk:
            for dr, dc in AROUND4:
                near = (r + dr, c + dc)
                far = max(abs(near[0] - place[0]), abs(near[1] - place[1]))
                if near not in seen and far <= reach and depths.get(near, 0) >= max(1, neck * own):
                    seen.add(near)
                    walk.append(near)
        if max(order[near] for near in seen) == order[place]:
            found.append(place)
    return sorted(found, key=order.__getitem__, reverse=True)


def split(mask, scales):
    """Return the label image, labels in the order of the peaks, and the peaks."""
    depths = depth(mask, scales.deepest_px)
    found = peaks(depths, scales)
    deepest = 4 * scales.deepest_px
    labels = np.zeros(mask.shape, int)
    waiting = [(deepest - depths[place] // 256, rank, place) for rank, place in enumerate(found, 1)]
    heapq.heapify(waiting)
    while waiting:
        cost, rank, place = heapq.heappop(waiting)
        if labels[place]:
            continue
        labels[place] = rank
        for dr, dc in AROUND4:
            near = (place[0] + dr, place[1] + dc)
            if near in depths and not labels[near]:
                then = max(cost + 1, deepest - depths[near] // 256)
                if then <= deepest + scales.spread_px:
                    heapq.heappush(waiting, (then, rank, near))
    return labels, found
