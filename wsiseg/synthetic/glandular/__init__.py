"""Fields of glandular tissue with known nuclei, for training: what the synthetic slide does not hold."""

from wsiseg.synthetic.glandular.field import draw_field

__all__ = ["draw_field"]
