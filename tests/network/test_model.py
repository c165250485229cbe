"""The model file: what is written comes back, and what is not a model of ours is refused in words."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from wsiseg.errors import ModelError
from wsiseg.network.architecture import weight_shapes
from wsiseg.network.fcnn import FCNN
from wsiseg.network.model import ModelInfo, load_model, save_model, serialise, weights_of

INFO = ModelInfo(channel=3, inverted=True, threshold=0.4, mpp=0.5, input="stains", training={"epochs": 3})


def test_round_trip(tmp_path: Path) -> None:
    network = FCNN().eval()
    saved = save_model(tmp_path / "model.safetensors", network, INFO)
    for path in (tmp_path / "model.safetensors", tmp_path):
        loaded = load_model(path)
        assert (loaded.info, loaded.sha256) == (INFO, saved.sha256)
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, loaded.network.state_dict()[name])


def test_the_same_weights_give_the_same_bytes() -> None:
    network = FCNN()
    assert serialise(weights_of(network), INFO) == serialise(weights_of(network), replace(INFO))


def test_the_shapes_in_plain_numbers_are_those_of_the_network() -> None:
    for classes, width in ((1, 8), (4, 8), (4, 16)):
        state = FCNN(classes, width).state_dict()
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        assert weight_shapes(classes, width) == shapes


def test_a_wider_network_comes_back(tmp_path: Path) -> None:
    network = FCNN(4, 16).eval()
    save_model(tmp_path / "model.safetensors", network, INFO)
    loaded = load_model(tmp_path)
    assert loaded.width == loaded.network.width == 16
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, loaded.network.state_dict()[name])


@pytest.mark.parametrize(("name", "width"), [("default", 8), ("large", 16)])
def test_models_ship_by_name(name: str, width: int) -> None:
    assert load_model(name).width == width


def test_the_first_of_them_is_the_default() -> None:
    assert load_model().sha256 == load_model("default").sha256


def test_a_file_of_that_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "large").mkdir()
    saved = save_model(tmp_path / "large" / "model.safetensors", FCNN(), INFO)
    assert load_model("large").sha256 == saved.sha256


def tampered(**changes: object) -> bytes:
    """A model file whose metadata says something else."""
    described = {"format": 1, **changes}
    return safetensors.torch.save(FCNN().state_dict(), metadata={"wsiseg": json.dumps(described)})


def with_nan() -> bytes:
    network = FCNN()
    network.head.bias.data[0] = float("nan")
    return serialise(weights_of(network), INFO)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "too short"),
        (b"\x80\x04" + pickle.dumps([1, 2, 3]), "truncated or of another kind"),
        (serialise(weights_of(FCNN()), INFO)[:5000], "not a model file"),
        (safetensors.torch.save({"a": torch.zeros(1)}), "not a model file"),
        (tampered(format=9), "model format 9"),
        (tampered(classes=3), "another architecture"),
        (serialise(weights_of(FCNN(4, 4)), INFO), "another architecture"),
        (tampered(channel=7), "out of range"),
        (tampered(threshold=float("nan")), "threshold"),
        (tampered(mpp="0.25"), "mpp"),
        (tampered(input="thoughts"), "input"),
        (with_nan(), "not finite in head.bias"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=says) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_an_unfinished_run_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file"):
        load_model(tmp_path / "absent.safetensors")
    with pytest.raises(ModelError, match="no finished run in this folder"):
        load_model(tmp_path)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ModelError, match="too large"):
        load_model(path)
