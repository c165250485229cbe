"""Figures, contact sheet and report of a small run."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest
from html_pages import Page
from PIL import Image
from small_fit import CONFIG, small_fit

from wsiseg.api import reselect
from wsiseg.errors import UsageError
from wsiseg.report.contact_sheet import cells, contact_sheet
from wsiseg.report.training_figures import Samples, figure1, figure4
from wsiseg.report.training_report import write_report
from wsiseg.report.training_run import draw_run, redraw
from wsiseg.training.reselect import read_states
from wsiseg.training.run_folder import RunFolder
from wsiseg.training.selection import choice_of, choose

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    small_fit(folder, folder / "run")
    return RunFolder(folder / "run"), CONFIG


def test_everything_is_drawn(finished):
    run, _ = finished
    drawn = ["contact-sheet.png", *(f"repeat-0{i}/figure{k}.png" for i in (1, 2) for k in (1, 4))]
    for name in drawn:
        with Image.open(run.path / name) as image:
            assert min(image.size) > 200


def test_the_report_is_one_file_that_shows_everything(finished):
    run, config = finished
    page = Page(run.path / "report.html")
    assert (run.path / "report.html").stat().st_size < 1_000_000
    sources = [found[key] for _, found in page.tags for key in ("src", "href") if found.get(key)]
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert all("alt" in image for image in page.all("img"))
    # 2 repeats x 2 channels, each with the 2 samples, next to which they are shown.
    commands = [button["data-copy"] for button in page.all("button", **{"class": "choose"})]
    where = shlex.quote(str(run.path))
    assert commands == [f"wsiseg fit --select {r}:{c} -o {where}" for r in (1, 2) for c in (0, 1)]
    assert sum("sample" in (image["alt"] or "") for image in page.all("img")) == 4 * 2
    chosen = choose(read_states(run, config))
    (cell,) = page.all("td", **{"aria-current": "true"})
    assert cell["data-picture"].startswith(f"Repeat {chosen.repeat}, channel {chosen.channel}:")
    assert page.text.count("epoch 1") >= 1
    assert len(page.all("rect", **{"class": "positive"}) + page.all("rect", **{"class": "negative"})) >= 4
    for title in ("Loss", "Skipped steps", "Score of the channels", "Channel 1", "field-0", "torch"):
        assert title in page.text
    values = [json.loads(text) for text in page.data]
    assert [line["name"] for line in values[0]["lines"]] == ["Repeat 1", "Repeat 2"]
    history = read_states(run, config)[1].history
    assert float(values[0]["lines"][0]["values"][0]) == pytest.approx(history[0].loss, rel=1e-3)


def test_many_repeats_stay_small(finished):
    run, config = finished
    state = read_states(run, config)[1]
    states = dict.fromkeys(range(1, 201), state)
    noise = np.random.default_rng(0)
    pixels = noise.integers(0, 255, (3, 300, 300, 3)).astype(np.uint8)
    samples = Samples(pixels, noise.random((3, 3, 300, 300), np.float32))
    chosen = choice_of(150, state, 1)
    rows = list(cells(states, samples, chosen))
    assert len(rows) == 24
    assert [cell.choice.repeat for row in rows for cell in row if cell.chosen] == [150]
    page = run.path / "report.html"
    kept = page.read_bytes()
    write_report(run, replace(run.record(), choice=chosen), states, samples, rows)
    size = page.stat().st_size
    assert "176 more repeats" in Page(page).text
    page.write_bytes(kept)
    assert size < 4_000_000


def test_a_run_is_drawn_again_as_it_was(finished):
    run, _ = finished
    before = (run.path / "report.html").read_bytes()
    (run.path / "report.html").unlink()
    assert redraw(run.path) == run.path / "report.html"
    assert (run.path / "report.html").read_bytes() == before


def test_a_run_without_a_model_is_said(finished, tmp_path):
    run, _ = finished
    RunFolder(tmp_path).write(replace(run.record(), choice=None))
    with pytest.raises(UsageError, match="no model was chosen yet"):
        redraw(tmp_path)


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
    samples = Samples.read(run.samples)
    figure = contact_sheet(list(cells(states, samples, choice)), samples)
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
    draw_run(run, run.record(), read_states(run, config))
    assert figure.stat().st_mtime_ns == drawn


def test_names_in_the_report_are_escaped(finished):
    run, config = finished
    failures = [{"path": "<script>alert(1)</script>", "cause": "a & b"}]
    draw_run(run, replace(run.record(), failures=failures), read_states(run, config))
    page = Page(run.path / "report.html")
    assert "<script>alert(1)</script>: a & b" in page.text
    assert "alert(1)" not in "".join(page.data)
