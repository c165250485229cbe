"""The whole network on one CPU core: each layer in one pass, over rows that stay in the cache.

A 3x3 convolution makes four rows at a time by Winograd's F(4, 3) along the rows' axis (Lavin & Gray,
2016): half of the multiplications. Bias, ELU and residual sum are added before the sums leave the cache.
Vectors run along the columns of one channel, so that no lane is padded, and only what the wanted part of
a window depends on is computed.
"""

from __future__ import annotations

import queue

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import binding

from wsiseg.network.fold import Array, Convolution, FoldedNetwork
from wsiseg.network.fused_kernel import look_up, run_head, run_layers
from wsiseg.network.fused_plan import SEEN, ZERO_ROW, plan
from wsiseg.network.lanes import LANES, TILE_OUTPUTS

# F(4, 3) over the points 0, 1, -1, 2, -2 and infinity.
_KERNEL_TRANSFORM = np.array(
    [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
     [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]
)  # fmt: skip


def kernel_name() -> str:
    """Return the name of the kernel on this CPU; equal names mean results with equal bits."""
    try:
        rounds_once = binding.get_host_cpu_features().get("fma", True)
    except RuntimeError:
        rounds_once = True
    return f"fused kernel, numba {numba.__version__}{'' if rounds_once else ', no FMA'}"


class FusedNetwork:
    """A folded network ready to run; several threads may run it at once, each in its own memory.

    Parameters
    ----------
    network : FoldedNetwork
        A stem, residual pairs and a head of one map; its width is a multiple of TILE_OUTPUTS.

    Raises
    ------
    ValueError
        If the network has another shape.
    """

    def __init__(self, network: FoldedNetwork) -> None:
        *layers, head = network
        dilations = tuple(layer.dilation for layer in layers if layer.residual)
        if [layer.residual for layer in layers] != [False] + [False, True] * len(dilations):
            raise ValueError("the fused kernel computes a stem and residual pairs of convolutions")
        if any(len(layer.bias) % TILE_OUTPUTS for layer in layers):
            raise ValueError(f"the fused kernel computes multiples of {TILE_OUTPUTS} channels")
        weights = [_transformed(layer) for layer in layers]
        self._weights = np.concatenate(weights)
        self._first_weights = np.cumsum([0, *(len(each) for each in weights[:-1])])
        self._biases = np.stack([layer.bias for layer in layers])
        self._head = np.append(head.weight.ravel(), head.bias)
        self._dilations = dilations
        self._idle: queue.SimpleQueue[Array] = queue.SimpleQueue()

    def run(
        self, rgb: npt.NDArray[np.uint8], table: Array, inner: tuple[slice, slice] | None = None
    ) -> Array:
        """Return the confidence of part of a window.

        Parameters
        ----------
        rgb : ndarray of uint8, (H, W, 3)
            What lies outside is zero to every layer, as with torch's padding.
        table : ndarray of float32, (3, 256, 3)
            What the network sees of each value of red, green and blue (`wsiseg.network.appearance`).
        inner : pair of slices, optional
            Rows and columns that are wanted, with their bounds; all if left out.

        Returns
        -------
        ndarray of float32, (h, w), in [0, 1]
        """
        # The loops are compiled for arrays of one kind.
        rgb, table = np.require(rgb, requirements=["C", "W"]), np.require(table, requirements=["C", "W"])
        height, width = rgb.shape[:2]
        rows, cols = inner or (slice(0, height), slice(0, width))
        wanted = rows.start, rows.stop, cols.start, cols.stop
        order = plan(height, width, wanted, self._dilations)
        memory = self._memory(order.rows * self._biases.shape[1] * order.cols)
        lines = memory.reshape(order.rows, -1, order.cols)
        lines[ZERO_ROW] = 0
        lines[:, :, : order.left] = 0
        lines[:, :, order.left + width :] = 0
        look_up(rgb, table, lines, order.left)
        run_layers(
            order.steps, order.layers, self._first_weights, self._weights, self._biases, lines.reshape(-1),
            order.cols, order.left + width,
        )  # fmt: skip
        # The last vector of a row ends in the next row, which is written later.
        shape = rows.stop - rows.start, cols.stop - cols.start
        out = np.empty(shape[0] * shape[1] + LANES, np.float32)
        run_head(lines, order.left, wanted, self._head, out)
        self._idle.put(memory)
        return out[: shape[0] * shape[1]].reshape(shape)

    def _memory(self, floats: int) -> Array:
        """Return memory that another window has released if its size fits; new memory otherwise."""
        try:
            memory = self._idle.get_nowait()
        except queue.Empty:
            memory = np.empty(0, np.float32)
        return memory if len(memory) == floats else np.empty(floats, np.float32)


def _transformed(layer: Convolution[Array]) -> Array:
    """Return the weights in the order in which they are read: (SEEN, outputs / T, inputs, 3, T), flat."""
    weight = np.einsum("sk,oikx->soix", _KERNEL_TRANSFORM, layer.weight.astype(np.float64))
    outputs, inputs = layer.weight.shape[:2]
    tiles = weight.reshape(SEEN, outputs // TILE_OUTPUTS, TILE_OUTPUTS, inputs, 3)
    return np.ascontiguousarray(tiles.transpose(0, 1, 3, 4, 2), np.float32).ravel()
