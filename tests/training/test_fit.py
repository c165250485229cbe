"""`fit` from folder to model: choice, resuming, refusals, the same bytes again."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from fitting import fit

from wsiseg.errors import SlideError, UsageError
from wsiseg.network.model import load_model
from wsiseg.training.config import TrainingConfig
from wsiseg.training.observer import FitObserver
from wsiseg.training.presets import preset
from wsiseg.training.reselect import reselect_run
from wsiseg.training.run_folder import RunFolder

pytestmark = pytest.mark.slow


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_from_first_to_last(images, config, tmp_path):
    result = fit(images, tmp_path / "run", config)
    assert result.finished
    rows = rows_of(tmp_path / "run" / "metrics.csv")
    assert len(rows) == 2 * 3 * 2
    best = max(rows, key=lambda row: float(row["score"]))
    choice = result.choice
    assert (choice.repeat, choice.channel, choice.epoch) == tuple(
        int(best[k]) for k in ("repeat", "channel", "epoch")
    )
    assert "<img" not in result._repr_html_()
    (tmp_path / "run" / "contact-sheet.png").write_bytes(b"sheet")
    assert f"score {choice.score:.3f}" in result._repr_html_()
    assert 'src="data:image/png;base64,c2hlZXQ="' in result._repr_html_()
    model = load_model(tmp_path / "run")
    assert (model.info.channel, model.info.inverted) == (choice.channel, choice.inverted)
    assert model.info.score == pytest.approx(float(best["score"]), abs=1e-5)
    assert (model.info.mpp, model.info.preset) == (0.25, "paper")
    assert load_model(tmp_path / "run" / "repeat-02").info.training["repeat"] == 2
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["state"] == "finished"
    assert [slide["name"] for slide in described["slides"]] == ["field-0", "field-1", "field-2"]


def test_same_seed_same_bytes_whatever_the_workers(images, config, tmp_path):
    one = replace(config, repeats=1)
    fit(images, tmp_path / "a", one, workers=1)
    fit(images, tmp_path / "b", one, workers=3)
    fit(images, tmp_path / "c", replace(one, seed=1))
    bytes_of = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in "abc"}
    assert bytes_of["a"] == bytes_of["b"]
    assert bytes_of["a"] != bytes_of["c"]


def test_a_repeat_is_what_its_seed_alone_gives(images, config, tmp_path):
    fit(images, tmp_path / "both", config)
    fit(images, tmp_path / "alone", replace(config, repeats=1, seed=1))
    second = load_model(tmp_path / "both" / "repeat-02")
    alone = load_model(tmp_path / "alone" / "repeat-01")
    assert second.info.seed == alone.info.seed == 1
    losses = [
        [row["loss"] for row in rows_of(tmp_path / path / "metrics.csv")]
        for path in ("both/repeat-02", "alone/repeat-01")
    ]
    assert losses[0] == losses[1]


def test_labels_choose_and_never_train(images, config, tmp_path):
    one = replace(config, repeats=1)
    with_labels = fit(images, tmp_path / "with", one, labels=images.parent / "masks")
    without = fit(images, tmp_path / "without", one)
    assert with_labels.choice.by == "labels"
    assert without.choice.by == "score"
    assert without.choice.dice is None
    labelled = rows_of(tmp_path / "with" / "metrics.csv")
    assert max(float(row["dice"]) for row in labelled) == pytest.approx(with_labels.choice.dice, abs=1e-5)
    free = rows_of(tmp_path / "without" / "metrics.csv")
    assert [row["loss"] for row in labelled] == [row["loss"] for row in free]
    chosen = json.loads((tmp_path / "with" / "run.json").read_text())["chosen"]
    assert 0 <= chosen["dice_whole_images"] <= 1


def test_labels_of_other_images_choose(images, config, tmp_path):
    """Trained on two pictures, chosen by the labels of the third."""
    others = tmp_path / "others"
    others.mkdir()
    (images / "field-2.png").rename(others / "field-2.png")
    one = replace(config, repeats=1)
    chosen = fit(images, tmp_path / "run", one, labels=images.parent / "masks", label_images=others)
    free = fit(images, tmp_path / "free", one)
    assert chosen.choice.by == "labels"
    record = RunFolder(tmp_path / "run").record()
    assert list(record.labels) == ["field-2"]
    assert [slide["name"] for slide in record.slides] == ["field-0", "field-1"]
    losses = [[epoch.loss for epoch in run.states[1].history] for run in (chosen, free)]
    assert losses[0] == losses[1]
    with pytest.raises(UsageError, match="other labels"):
        fit(images, tmp_path / "run", one, labels=images.parent / "masks", label_images=images)
    with pytest.raises(UsageError, match="without labels"):
        fit(images, tmp_path / "run", one, label_images=others)


def test_more_repeats_go_on_from_what_is_there(images, config, tmp_path):
    fit(images, tmp_path / "run", replace(config, repeats=1))
    before = (tmp_path / "run" / "repeat-01" / "checkpoint").stat().st_mtime_ns
    fit(images, tmp_path / "run", config)
    assert (tmp_path / "run" / "repeat-01" / "checkpoint").stat().st_mtime_ns == before
    fit(images, tmp_path / "whole", config)
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert models[0] == models[1]


def test_a_folder_with_another_run_is_refused(images, config, tmp_path):
    one = replace(config, repeats=1, epochs=1)
    fit(images, tmp_path / "run", one)
    with pytest.raises(UsageError, match="seed was 0, is now 5"):
        fit(images, tmp_path / "run", replace(one, seed=5))
    (images / "field-0.png").unlink()
    with pytest.raises(UsageError, match=r"other slides \(3 before, 2 now\)"):
        fit(images, tmp_path / "run", one)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    fit(images, tmp_path / "run", replace(one, seed=5), overwrite=True)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


class Told(FitObserver):
    def __init__(self):
        self.said = []

    def message(self, text):
        self.said.append(text)


def test_what_another_version_began_is_not_gone_on_with(images, config, tmp_path):
    one = replace(config, repeats=1, epochs=1)
    fit(images, tmp_path / "run", one)

    def begun_by(**versions):
        folder = RunFolder(tmp_path / "run")
        record = folder.read()
        folder.write(replace(record, versions={**record.versions, **versions}))

    begun_by(wsiseg="0.0.1")
    with pytest.raises(UsageError, match=r"started by wsiseg 0\.0\.1, this is .*--overwrite"):
        fit(images, tmp_path / "run", replace(one, repeats=2))
    # Nothing is left to train: what is there is told again.
    fit(images, tmp_path / "run", one)
    begun_by(torch="1.0")
    told = Told()
    fit(images, tmp_path / "run", replace(one, repeats=2), observer=told)
    assert any("started with torch 1.0, resumed with" in text for text in told.said)


def test_unusable_slides(images, config, tmp_path):
    with pytest.raises(UsageError, match="--slide-mpp"):
        fit(images, tmp_path / "run", config, slide_mpp=None)
    assert not (tmp_path / "run").exists()
    (images / "broken.svs").write_bytes(b"no slide")
    result = fit(images, tmp_path / "run", replace(config, repeats=1, epochs=1))
    assert [failure.path.rpartition("/")[2] for failure in result.failures] == ["broken.svs"]
    with pytest.raises(SlideError, match="broken"):
        fit(images / "broken.svs", tmp_path / "other", config)


def test_time_is_up(images, config, tmp_path):
    result = fit(images, tmp_path / "run", config, max_minutes=1e-6)
    assert not result.finished
    assert load_model(tmp_path / "run").info.training["epoch"] == 1


def test_the_consensus_becomes_the_model(images, led, tmp_path):
    result = fit(images, tmp_path / "run", led)
    choice = result.choice
    assert (choice.repeat, choice.channel, choice.epoch, choice.by) == (0, 0, 3, "consensus")
    info = load_model(tmp_path / "run").info
    assert (info.input, info.threshold, info.channel) == ("stains", 0.45, 0)
    assert {row["repeat"] for row in rows_of(tmp_path / "run" / "metrics.csv")} == {"0", "1", "2"}
    assert reselect_run(tmp_path / "run", "1:1")[0].choice.epoch == 6
    assert reselect_run(tmp_path / "run", "0:0")[0].choice.by == "user"


def test_an_interrupted_consensus_goes_on(images, led, tmp_path):
    led = replace(led, epochs=2)
    fit(images, tmp_path / "whole", led)
    with pytest.raises(KeyboardInterrupt):
        fit(images, tmp_path / "run", led, observer=Stop(2 * 2 + 1))
    assert load_model(tmp_path / "run").info.training["repeat"] > 0
    fit(images, tmp_path / "run", led)
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert models[0] == models[1]
    fit(images, tmp_path / "run", replace(led, repeats=1))
    again = load_model(tmp_path / "run").info
    assert again.training["repeats"] == 1


@pytest.fixture
def taught() -> TrainingConfig:
    """The preset `default` on small crops, for two small steps."""
    small = {"crop_px": 64, "patch_px": 24, "stride_px": 12, "batch_size": 2, "epoch_crops": 4}
    return preset("default", epochs=1, learning_rate=1e-5, generated=0.0, **small)


def test_a_fitted_model_is_compared_with_the_one_it_started_from(images, taught, tmp_path):
    heard = Heard()
    result = fit(images, tmp_path / "run", taught, observer=heard)
    assert result.comparison is not None
    assert result.comparison.other == "large"
    assert result.comparison.keeps_fitted
    assert "comparing with the model large" in heard.messages
    model = load_model(tmp_path / "run")
    assert (model.width, model.info.mpp, model.info.preset) == (16, 0.35, "default")
    assert model.sha256 == result.comparison.fitted_sha256
    assert load_model(tmp_path / "run" / "prior").sha256 == load_model("large").sha256
    assert "these slides" in result._repr_html_()
    # what is known is not computed twice
    heard = Heard()
    assert fit(images, tmp_path / "run", taught, observer=heard).comparison == result.comparison
    assert "comparing with the model large" not in heard.messages


def test_a_model_that_training_ruined_gives_way_to_the_prior(images, taught, tmp_path):
    ruined = replace(taught, learning_rate=0.9, schedule="constant", average=0.0, epochs=2)
    result = fit(images, tmp_path / "run", ruined)
    assert result.comparison is not None
    assert not result.comparison.keeps_fitted
    assert result.choice.by == "prior"
    assert "--select 1:0" in str(result.choice)
    large = load_model("large")
    assert load_model(tmp_path / "run").sha256 == large.sha256
    reselect_run(tmp_path / "run", "1:0")
    assert load_model(tmp_path / "run").sha256 != large.sha256
    # whoever selects has decided
    assert fit(images, tmp_path / "run", ruined).choice.by == "user"
    assert load_model(tmp_path / "run").sha256 != large.sha256


class Heard(FitObserver):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


class Stop(FitObserver):
    """Interrupts after a number of epochs, as Ctrl-C does."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def epoch_done(self, repeat, record, channel) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_interrupted_runs_are_usable_and_go_on(images, config, tmp_path):
    fit(images, tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        fit(images, tmp_path / "run", config, observer=Stop(5), jobs=1)
    load_model(tmp_path / "run")
    assert RunFolder(tmp_path / "run").read().state == "interrupted"
    assert len(rows_of(tmp_path / "run" / "metrics.csv")) == 5 * 2
    fit(images, tmp_path / "run", config)
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert models[0] == models[1]
