"""What a field is painted on: two stains, the labels, and how its nuclei look."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
# Nuclei of fewer pixels are not laid.
LEAST_PX = 12


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, ...], sigma_px: float, aspect: float = 1.0
) -> Floats:
    """Return smooth noise of mean 0 and sd 1, float32 of a shape; `aspect` times as wide as it is high."""
    step = max(1, int(min(sigma_px, sigma_px * aspect) // 3))
    small = rng.standard_normal((shape[0] // step + 2, shape[1] // step + 2)).astype(np.float32)
    wide, high = max(sigma_px * aspect / step, 0.3), max(sigma_px / step, 0.3)
    small = cv2.GaussianBlur(small, (0, 0), wide, sigmaY=high, borderType=cv2.BORDER_REFLECT).astype(
        np.float32
    )
    how = cv2.INTER_CUBIC if step > 1 else cv2.INTER_LINEAR
    out = cv2.resize(small, (shape[1], shape[0]), interpolation=how).astype(np.float32)
    scaled: Floats = (out - out.mean()) / (out.std() + 1e-6)
    return scaled


def ramp(value: Floats, low: float, high: float) -> Floats:
    """Return a smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    smooth: Floats = t * t * (3 - 2 * t)
    return smooth


def directions(height: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return how steeply a map rises along columns and along rows, up to a common factor."""
    values = height.astype(np.float32)
    along_x, along_y = (cv2.Sobel(values, cv2.CV_32F, x, 1 - x, ksize=5) for x in (1, 0))
    return np.asarray(along_x, np.float32), np.asarray(along_y, np.float32)


class Canvas:
    """The stains and labels of one field, while it is painted.

    Parameters
    ----------
    side_px : int
    mpp : float
        Micrometres per pixel.
    rng : numpy.random.Generator
        Draws at once how nuclei of the whole field look.

    Attributes
    ----------
    haematoxylin, eosin : float32 (side, side)
        Concentrations.
    labels : int32 (side, side)
        0 background, k the k-th nucleus that was laid.
    grain, mottle : float32 (side, side)
        Textures of mean 0.
    size, unit, vesicular, spread, pale : float
        Of the field's nuclei: their size, haematoxylin, how hollow they are, how much stain varies, and the
        haematoxylin of epithelium beside that of lymphocytes.
    fibre : float (side, side)
        Angle of the fibres, set by what paints them.
    """

    def __init__(self, side_px: int, mpp: float, rng: np.random.Generator) -> None:
        self.side_px, self.mpp, self.rng = side_px, mpp, rng
        shape = (side_px, side_px)
        self.haematoxylin, self.eosin = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.labels, self.count = np.zeros(shape, np.int32), 0
        self._taken = np.zeros(shape, bool)
        self.fibre: npt.NDArray[np.floating] = np.zeros(shape, np.float32)
        self.size, self.unit = float(np.exp(rng.normal(0, 0.16))), rng.uniform(0.5, 0.95)
        hollow = [rng.uniform(0, 0.3), rng.uniform(0.3, 0.7), rng.uniform(0.7, 1)]
        self.vesicular = float(rng.choice(hollow))
        fine, coarse = self.noise(0.35), self.noise(0.9)
        self.grain, self.mottle = fine * 0.6 + coarse * 0.8, self.noise(3)
        self._clump, self._soft_um = rng.uniform(0.06, 0.24), rng.uniform(0.25, 0.85)
        self.spread = rng.uniform(0.12, 0.4)
        self.pale = float(rng.choice([1, rng.uniform(0.45, 0.9), rng.uniform(0.45, 0.9)]))

    def px(self, um: float) -> float:
        """Return a length in pixels."""
        return um / self.mpp

    def noise(self, sigma_um: float) -> Floats:
        """Return `smooth_noise` of the size of the field."""
        return smooth_noise(self.rng, self.labels.shape, self.px(sigma_um))

    def drawn_stain(self) -> float:
        """Draw the haematoxylin of one nucleus."""
        return float(self.unit * np.exp(self.rng.normal(0, self.spread)))

    def at(self, values: npt.NDArray[np.floating], x_px: float, y_px: float) -> float:
        """Return a map's value at a place."""
        last = self.side_px - 1
        return float(values[min(int(y_px), last), min(int(x_px), last)])

    def lay(
        self,
        x_px: float,
        y_px: float,
        semi_axes_um: tuple[float, float],
        angle: float,
        stain: float,
        vesicular: float,
        *,
        bend: float = 0.0,
        irregular: float = 0.06,
        overlap: float = 0.2,
        nucleoli: bool = True,
        rim_um: float = 0.5,
    ) -> None:
        """Lay one nucleus, unless more than a share `overlap` of it lies on others.

        Parameters
        ----------
        x_px, y_px : float
            Its centre.
        semi_axes_um : pair of float
            The longer and the shorter.
        angle : float
            Of the longer one, in radians.
        stain, vesicular : float
            Its haematoxylin, and how much paler its inside is than its rim, 0 to 1.
        bend, irregular : float
            How much its axis is bent, and its outline waved.
        overlap : float
        nucleoli : bool
            Whether it may have any.
        rim_um : float
            Width of its rim.
        """
        rng, mpp, (a, b) = self.rng, self.mpp, semi_axes_um
        reach = int((a * 1.25 + 1.5) / mpp) + 2
        left, top = int(x_px) - reach, int(y_px) - reach
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + 2 * reach + 1, self.side_px), min(top + 2 * reach + 1, self.side_px)
        if x1 - x0 < 4 or y1 - y0 < 4:
            return
        dx_um = (np.arange(x0, x1, dtype=np.float32) + 0.5 - x_px)[None] * mpp
        dy_um = (np.arange(y0, y1, dtype=np.float32) + 0.5 - y_px)[:, None] * mpp
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        along, across = dx_um * cos + dy_um * sin, dy_um * cos - dx_um * sin
        across = across + np.float32(bend) * (along * along / a - a / 3)
        rho = _waved(along / np.float32(a), across / np.float32(b), irregular, rng)
        inside, window = rho <= 1, (slice(y0, y1), slice(x0, x1))
        area, shared = int(inside.sum()), int((self._taken[window] & inside).sum())
        if area < LEAST_PX or shared > overlap * area:
            return
        in_front = rng.random() < 0.5 or shared == 0
        depth_um = (1 - rho) * np.float32(0.5 * (a + b))
        soft_um = float(self._soft_um * np.exp(rng.normal(0, 0.4)))
        cover = ramp(depth_um, -soft_um, soft_um)
        body = self._body(depth_um, vesicular, rim_um)
        if nucleoli and rng.random() < 0.25 + 0.5 * vesicular:
            for _ in range(rng.integers(1, 3)):
                body = body + _nucleolus(along, across, b, rng)
        labels, stained, eosin = self.labels[window], self.haematoxylin[window], self.eosin[window]
        if not in_front:
            cover = cover * np.where(labels > 0, np.float32(0.3), np.float32(1))
        stained += cover * (stain * np.maximum(body, 0.12) - (0.75 + 0.15 * vesicular) * stained)
        eosin += cover * (0.06 - (0.45 + 0.3 * vesicular) * eosin)
        self.count += 1
        labels[inside if in_front else inside & (labels == 0)] = self.count
        self._taken[window] |= inside

    def _body(self, depth_um: Floats, vesicular: float, rim_um: float) -> Floats:
        """Return the relative haematoxylin of a nucleus: rim and chromatin, a texture from anywhere."""
        rows, cols = depth_um.shape
        y, x = (self.rng.integers(0, self.side_px - length + 1) for length in (rows, cols))
        grain, mottle = (plane[y : y + rows, x : x + cols] for plane in (self.grain, self.mottle))
        edge = 1 - ramp(depth_um, rim_um * 0.5, rim_um * 1.9)
        shade = 1 - vesicular * 0.68 + vesicular * 0.62 * edge
        body: Floats = shade + self._clump * (1 + vesicular) * grain + 0.08 * mottle
        return body


def _waved(along: Floats, across: Floats, irregular: float, rng: np.random.Generator) -> Floats:
    """Return the place on the radius of a waved ellipse, 1 on its outline."""
    turn, phase = np.arctan2(across, along), rng.uniform(0, 6.28, 3).astype(np.float32)
    wave = (irregular * rng.normal(0, [1, 0.8, 0.5])).astype(np.float32)
    radius = 1 + sum(wave[k] * np.cos((k + 2) * turn + phase[k]) for k in range(3))
    rho: Floats = np.sqrt(along * along + across * across) / radius
    return rho


def _nucleolus(along_um: Floats, across_um: Floats, minor_um: float, rng: np.random.Generator) -> Floats:
    """Return what a nucleolus adds, somewhere in the middle half."""
    away, turn = rng.uniform(0, 0.5) * minor_um, rng.uniform(0, 6.28)
    radius_um = rng.uniform(0.45, 1.0) * min(1, minor_um / 3)
    squared = (along_um - away * np.cos(turn)) ** 2 + (across_um - away * np.sin(turn)) ** 2
    return 0.75 * (1 - ramp(squared / (radius_um * radius_um), 0.3, 1.6))
