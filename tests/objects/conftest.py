"""Fixtures of the tests of nuclei."""

import numpy as np
import pyarrow as pa
import pytest
from objects.fields import blobs, reader

from wsiseg.config import ObjectsConfig
from wsiseg.objects.records import describe
from wsiseg.objects.segment import segment
from wsiseg.tiles import Box


@pytest.fixture(scope="module")
def table():
    """Return the nuclei of one field, numbered from 1."""
    confidence = blobs(400, 400, 60, 14, 7)
    frame = Box(0, 0, 400, 400)
    found = segment(reader(confidence), frame, frame, 0.25, ObjectsConfig(), 0.5)
    rows = describe(found, None, 0.25, 1.37, ObjectsConfig())
    return rows.add_column(0, "id", pa.array(np.arange(1, rows.num_rows + 1, dtype=np.uint32)))
