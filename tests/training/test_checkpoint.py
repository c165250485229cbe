"""The checkpoint of a repeat."""

from __future__ import annotations

import pytest
from repeats import CPU, repeats_of, trained

from wsiseg.errors import StoreError
from wsiseg.training.checkpoint import load_state


def test_a_broken_checkpoint_is_refused_in_words(images, config, tmp_path):
    (repeat,) = repeats_of(images, config, tmp_path)
    trained([repeat], goes_on=lambda: False)
    file = repeat.folder / "checkpoint"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StoreError, match="checkpoint"):
        load_state(repeat.folder, repeat.config, 0, CPU)
