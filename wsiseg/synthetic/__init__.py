"""Synthetic slides: H&E-like tissue with known nuclei, of any size, for demos, tests and training."""

from wsiseg.synthetic.scene import NucleiTable, SyntheticSlide
from wsiseg.synthetic.writer import write_synthetic, write_synthetic_image

__all__ = ["NucleiTable", "SyntheticSlide", "write_synthetic", "write_synthetic_image"]
