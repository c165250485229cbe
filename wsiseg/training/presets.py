"""The presets, and the settings of the consensus that follow from them."""

from __future__ import annotations

import dataclasses
from typing import Any

from wsiseg.errors import UsageError
from wsiseg.training.config import StainTarget, TrainingConfig


def paper_preset() -> TrainingConfig:
    """Return the settings that produced the tables of Boserup & Selvan (2023).

    Where text and code of the authors differ, this is their code: eq. 8 with a logarithm (the text has the
    plain ratio), r over 10 positives drawn with replacement and sums divided by 10^2 and the images of the
    batch (text: over all positives, divided by |P_k|^2), colours mapped to [0.05, 1], candidates on a grid of
    20 px, Adam with learning rate 2e-4 and weight decay 1e-4, white crops redrawn. Unlike there, a
    channel may also show nuclei where it is low, and each epoch is scored on one fixed crop of each image.
    """
    return TrainingConfig(preset="paper", images_once=True)


def default_preset() -> TrainingConfig:
    """Return the settings that `wsiseg fit` uses: the large model that ships, fitted to the slides.

    It finds nuclei on the slides, each way up; what it is unsure of is decided by its own mean. Their rounded
    outlines are its target, beside generated tissue, whose nuclei are known; the method's losses run along.
    Colours, and how crowded, pale or hollow nuclei are, become those of the slides.
    """
    return TrainingConfig(
        preset="default",
        mpp=0.35,
        input="stains",
        width=16,
        crop_px=192,
        batch_size=4,
        epoch_crops=40,
        epochs=25,
        learning_rate=2e-3,
        weight_decay=1e-5,
        schedule="onecycle",
        contrastive_weight=0.02,
        target=StainTarget(weight=1.0, channels=(1.0, 0.4, 0.2, 0.2)),
        max_white=1.0,
        jitter=0.2,
        shift=0.25,
        flips=True,
        average=0.99,
        validation_crops=24,
        validation_px=192,
        threshold=0.5,
        adaptive=True,
        takes_last=True,
        repeats=1,
        taught=True,
        generated=0.3,
        glandular=0.7,
        gap_weight=4.0,
    )


def small_preset() -> TrainingConfig:
    """Return the settings of a network of 7,372 parameters: the method, led to nuclei by haematoxylin.

    The network sees each slide's stains on a common scale at 0.5 um per pixel. Next to the contrastive losses
    channel 0 is led to nuclei, channel 1 to their insides, 2 to other tissue and 3 to glass by a weak target
    made from the stain. What two repeats and the model that ships agree on is then taught to a third network,
    the model, which also sees generated tissue, whose nuclei are known; narrow gaps between
    nuclei count more there.
    """
    return TrainingConfig(
        preset="small",
        mpp=0.5,
        input="stains",
        crop_px=160,
        batch_size=6,
        epochs=60,
        learning_rate=5e-3,
        schedule="onecycle",
        contrastive_weight=0.02,
        target=StainTarget(weight=1.0),
        jitter=0.25,
        shift=0.3,
        flips=True,
        average=0.98,
        validation_crops=24,
        validation_px=192,
        threshold=0.5,
        adaptive=True,
        takes_last=True,
        repeats=2,
        consensus_epochs=140,
        consensus_crop_px=288,
        consensus_generated=0.4,
        consensus_gap_weight=4.0,
    )


def consensus_config(config: TrainingConfig, largest_px: int = 4096) -> TrainingConfig:
    """Return the settings of the consensus's own training: a gentler rate, larger crops, and its own epochs.

    Parameters
    ----------
    config : TrainingConfig
        Of the run.
    largest_px : int
        Side of the largest crop that every slide and image has room for.
    """
    side = max(config.crop_px, min(config.consensus_crop_px, largest_px))
    batch = max(1, round(config.batch_size * (config.crop_px / side) ** 2))
    return dataclasses.replace(
        config,
        crop_px=side,
        batch_size=batch,
        epoch_crops=batch * -(-config.epoch_crops // config.batch_size),
        draws=round(config.draws * config.batch_size / batch),
        epochs=config.consensus_epochs,
        learning_rate=0.8 * config.learning_rate,
        generated=config.consensus_generated,
        gap_weight=config.consensus_gap_weight,
        consensus_epochs=0,
    )


PRESETS = {"default": default_preset, "small": small_preset, "paper": paper_preset}


def preset(name: str, **changes: Any) -> TrainingConfig:
    """Return a preset with some settings changed; changes that are None are left out.

    Other epochs change those of the consensus in proportion, unless these are given too.

    Raises
    ------
    UsageError
        If there is no such preset or setting, or a value is out of range.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return changed(PRESETS[name](), **changes)


def changed(config: TrainingConfig, **changes: Any) -> TrainingConfig:
    """Return settings with some of them changed, see `preset`."""
    given = {key: value for key, value in changes.items() if value is not None}
    unknown = set(given) - {f.name for f in dataclasses.fields(TrainingConfig)}
    if unknown:
        raise UsageError(f"there is no training setting {', '.join(sorted(unknown))}")
    if "epochs" in given and config.consensus_epochs > 0:
        share = given["epochs"] / config.epochs
        given.setdefault("consensus_epochs", max(1, round(share * config.consensus_epochs)))
    return dataclasses.replace(config, **given)
