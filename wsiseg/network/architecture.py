"""The shape of the confidence network in plain numbers, for those who need no torch to know it."""

from __future__ import annotations

DILATIONS = (1, 2, 3, 5, 10, 20)
WIDTH = 8
# One 3x3 in the stem, two of each dilation in the blocks.
RADIUS_PX = 1 + 2 * sum(DILATIONS)


def weight_shapes(classes: int) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor of a network with K = `classes` maps."""
    shapes: dict[str, tuple[int, ...]] = _block("stem", 3)
    for block in range(len(DILATIONS)):
        for layer in range(2):
            shapes |= _block(f"blocks.{block}.body.{layer}", WIDTH)
    return shapes | {"head.weight": (classes, WIDTH, 1, 1), "head.bias": (classes,)}


def _block(name: str, channels_in: int) -> dict[str, tuple[int, ...]]:
    norm = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (WIDTH,))
    return {
        f"{name}.0.weight": (WIDTH, channels_in, 3, 3),
        **{f"{name}.1.{key}": shape for key, shape in norm.items()},
        f"{name}.1.num_batches_tracked": (),
    }
