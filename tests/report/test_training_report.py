"""Figures, contact sheet and report of a small run."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from wsiseg.report.contact_sheet import contact_sheet
from wsiseg.report.training_figures import Samples, figure1, figure4
from wsiseg.report.training_run import draw_run, fit, reselect
from wsiseg.training.config import TrainingConfig
from wsiseg.training.run import read_states
from wsiseg.training.run_folder import RunFolder
from wsiseg.training.selection import choose


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    generator = np.random.default_rng(0)
    for i in range(2):
        image = generator.integers(60, 240, (100, 110, 3)).astype(np.uint8)
        Image.fromarray(image).save(folder / f"field-{i}.png")
    config = TrainingConfig(
        classes=2, patch_px=24, stride_px=12, crop_px=80, batch_size=2, epochs=2, images_once=True,
        validation_crops=2, validation_px=64, repeats=2,
    )  # fmt: skip
    fit([str(folder)], folder / "run", config, slide_mpp=0.25, threads=1, workers=1)
    return RunFolder(folder / "run"), config


def test_everything_is_drawn(finished):
    run, _ = finished
    drawn = ["contact-sheet.png", *(f"repeat-0{i}/figure{k}.png" for i in (1, 2) for k in (1, 4))]
    for name in drawn:
        with Image.open(run.path / name) as image:
            assert min(image.size) > 200
    page = (run.path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "http" not in page.replace("http-equiv", "")


def test_figures_show_epochs_and_patches(finished):
    run, config = finished
    states, samples = read_states(run, config), Samples.read(run.samples)
    figure = figure1(states[1], config, samples, 1)
    assert [axis.get_title() for axis in figure.axes] == ["image", "epoch 1", "epoch 2"]
    colours = {patch.get_edgecolor() for axis in figure.axes[1:] for patch in axis.patches}
    assert colours <= {(1.0, 1.0, 1.0, 1.0), (1.0, 0.0, 0.0, 1.0)}
    assert all(axis.patches for axis in figure.axes[1:])
    assert len(figure4(states[1], 1).axes) == 2 * 2 + 1


def test_the_chosen_channel_alone_is_framed(finished):
    run, config = finished
    states = read_states(run, config)
    choice = choose(states)
    figure = contact_sheet(states, Samples.read(run.samples), choice)
    framed = [axis.get_title() for axis in figure.axes if axis.spines["top"].get_linewidth() > 2]
    assert len(framed) == 1
    assert framed[0].startswith(f"{choice.repeat}:{choice.channel} ")


def test_choosing_again_draws_again(finished):
    run, config = finished
    before = (run.path / "contact-sheet.png").read_bytes()
    choice = choose(read_states(run, config))
    reselect(run.path, f"{3 - choice.repeat}:{choice.channel}")
    assert (run.path / "contact-sheet.png").read_bytes() != before
    figure = run.repeat(1) / "figure1.png"
    drawn = figure.stat().st_mtime_ns
    draw_run(run, choice)
    assert figure.stat().st_mtime_ns == drawn


def test_names_in_the_report_are_escaped(finished):
    run, config = finished
    described = run.read()
    run.write({**described, "failures": [{"path": "<script>alert(1)</script>", "cause": "a & b"}]})
    draw_run(run, choose(read_states(run, config)))
    page = (run.path / "report.html").read_text()
    assert "<script>" not in page
    assert "a &amp; b" in page
