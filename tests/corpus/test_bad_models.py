"""Files that are no model of wsiseg, by the command line: refused in a line, and never executed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

from wsiseg.cli.main import cli
from wsiseg.network.model import Weights, load_model, serialise


def with_weights(change: str) -> bytes:
    """Return a model file with its weights changed."""
    model = load_model()
    weights: Weights = dict(model.weights)
    name = "head.bias"
    if change == "nan":
        weights[name] = weights[name] + np.float32("nan")
    elif change == "half":
        weights[name] = weights[name].astype(np.float16)
    elif change == "missing":
        del weights[name]
    elif change == "more":
        weights["another.weight"] = np.zeros(3, np.float32)
    else:
        weights[name] = np.zeros(9, np.float32)
    return serialise(weights, model.info)


def with_header(header: bytes, length: int | None = None) -> bytes:
    """Return a file with a header of any kind."""
    return (len(header) if length is None else length).to_bytes(8, "little") + header


def with_dtype(dtype: str) -> bytes:
    """Return a model file whose first tensor claims another type."""
    model = load_model()
    data = serialise(model.weights, model.info)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["head.bias"]["dtype"] = dtype
    return with_header(json.dumps(header).encode()) + data[8 + length :]


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


WHOLE = load_model()
BYTES = serialise(WHOLE.weights, WHOLE.info)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is too short"),
        (BYTES[:7], "the file is too short"),
        (BYTES[:1000], "truncated"),
        (BYTES[:-1], "not a model file"),
        (BYTES + b"x", "not a model file"),
        (with_header(b"{}", 2**63 - 1), "truncated or of another kind"),
        (with_header(b"[" * 100_000), "not a model file"),
        (with_header(b'{"__metadata__":{"wsiseg":"' + b"[" * 100_000 + b'"}}'), "not a model file"),
        (with_header(b'{"__metadata__":{"wsiseg":"' + b"1" * 5000 + b'"}}'), "not a model file"),
        (with_header(b"\xff" * 50), "not a model file"),
        (with_weights("nan"), "not finite in head.bias; train again"),
        (with_weights("half"), "another type in head.bias; float32 expected"),
        (with_weights("missing"), "another architecture"),
        (with_weights("more"), "another architecture"),
        (with_weights("shape"), "another architecture"),
        (with_dtype("F64"), "not a model file"),
        (with_dtype("BF16"), "not a model file"),
        (with_dtype("F8_E4M3"), "not a model file"),
        (safetensors.numpy.save({"a": np.zeros(3)}), "not a model file"),
        (b"PK\x03\x04" + bytes(500), "not a model file"),
    ],
)  # fmt: skip
def test_what_is_no_model_is_refused_in_a_line(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(data)
    ended = CliRunner().invoke(cli, ["predict", str(path), "-m", str(path), "-o", str(tmp_path / "out")])
    assert ended.exit_code == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"Error: {path}: ")
    assert says in line
    assert len(line) < 600
    assert not (tmp_path / "out").exists()


def test_a_pickle_with_the_right_suffix_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Touch(tmp_path / "hacked")))
    ended = CliRunner().invoke(cli, ["predict", str(path), "-m", str(tmp_path), "-o", str(tmp_path / "out")])
    assert ended.exit_code == 1
    assert "not a model file of wsiseg (safetensors expected)" in ended.stderr
    assert not (tmp_path / "hacked").exists()
