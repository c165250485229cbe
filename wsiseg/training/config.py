"""The settings of training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from wsiseg.errors import UsageError
from wsiseg.network.architecture import WIDTH, WIDTHS

Sampler = Literal["entropy", "uniform", "probabilistic", "sentinel", "top"]
Similarity = Literal["mse", "ce", "cosine", "mi", "kl"]
Inter = Literal["log", "ratio"]
Schedule = Literal["constant", "onecycle"]
SAMPLERS, SIMILARITIES, INTER = get_args(Sampler), get_args(Similarity), get_args(Inter)


@dataclass(frozen=True)
class StainTarget:
    """The weak target, made from the haematoxylin stain, that the default preset adds to the losses.

    Parameters
    ----------
    weight : float
        Weight of the target's loss (cross-entropy + Dice) at the first epoch; 0 does without a target.
    channels : tuple of float
        Relative weights of the channels that have a target, from channel 0 on.
    fade_epochs : int
        Epochs over which the weight falls to nothing; 0 keeps it.
    sigma_um : float
        Smoothing of the haematoxylin density.
    window_um : float
        Sigma of the neighbourhood whose mean and spread set the local threshold.
    spread : float
        Local threshold = mean + spread x standard deviation of the neighbourhood.
    floor : float
        Share of the way from the window's mean to Otsu's threshold that a nucleus must reach.
    scales_um, holes_um2 : tuple of float
        Smoothings and filled areas of the component trees in which single nuclei are looked for.
    """

    weight: float = 0.0
    channels: tuple[float, ...] = (1.0, 1.0, 0.1, 0.1)
    fade_epochs: int = 0
    sigma_um: float = 0.5
    window_um: float = 15.0
    spread: float = 0.5
    floor: float = 0.8
    scales_um: tuple[float, ...] = (0.25, 0.5, 1.0)
    holes_um2: tuple[float, ...] = (9.4, 40.0)


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained; saved whole in the model file and in run.json.

    Parameters
    ----------
    preset : str
        Name of the preset it came from.
    mpp : float
        Micrometres per pixel at which the network is trained.
    input : {"rgb", "stains"}
        What the network sees: colours, or each slide's stains on a common scale.
    classes : int
        K, the number of confidence maps.
    width : int
        Channels of every layer between image and maps: 8 as in the paper, or 16, 24 or 32.
    sampler : str
        How patches are drawn: entropy (the method), uniform, probabilistic, sentinel, top (ablation).
    similarity : str
        mse, ce (the method), cosine of the feature network, mi, kl (ablation).
    inter : str
        Form of eq. 8: "log" (authors' code) or "ratio" (paper).
    anchors : int
        Positives that stand for r in eq. 7 and 8, drawn with replacement (authors' code); 0: all (paper).
    patch_px, stride_px, draws : int
        Side of a patch, step of the grid of candidates, patches drawn per image and class.
    crop_px, batch_size, epochs : int
        Side of a training crop, crops a step, passes over the images.
    epoch_crops : int
        Crops an epoch: the sources take turns.
    images_once : bool
        Whether a set of plain images gives one crop each an epoch, however many or white they are (paper).
    max_white : float
        A crop is redrawn while more than this share of it has all channels > 0.7.
    learning_rate, weight_decay : float
        Of Adam.
    schedule : str
        Learning rate: "constant", or "onecycle": up to `learning_rate` over the first 15 % of the steps, then
        down to nothing.
    contrastive_weight : float
        Weight of the contrastive losses.
    target : StainTarget
        Weak target of channel 0.
    jitter : float
        Stain augmentation: how much the densities of the stains are scaled and mixed at random, see
        `wsiseg.training.guided.augment`; 0 does without.
    shift : float
        How much they are shifted.
    flips : bool
        Whether crops are flipped and turned at random.
    average : float
        Decay per step of the moving average of the weights that is validated and kept; 0 keeps the weights
        themselves.
    validation_crops, validation_px : int
        Number (at most) and side of the fixed crops on which each epoch is scored.
    threshold : float
        Confidence from which a pixel is taken for nucleus.
    adaptive : bool
        Whether `predict` chooses a threshold for each slide.
    invert : bool
        Whether a channel may also show nuclei where it is low (never in the paper).
    takes_last : bool
        Without labels: whether a repeat is taken at its last epoch, channel 0, instead of the epoch and
        channel of the best score.
    repeats : int
        Networks trained from different initialisations; one is chosen.
    taught : bool
        Whether a repeat starts from the prior and its target is what the prior finds on the slides, instead
        of starting from chance with what the stain shows.
    generated : float
        Share of the crops that are taken from generated tissue, whose nuclei are known.
    glandular : float
        Share of the generated crops that show glands, muscle or loose stroma instead of nests.
    consensus_epochs : int
        Epochs of one more network of the same size, which learns what the repeats and the prior agree on; it
        becomes the model. 0 does without.
    consensus_crop_px : int
        `crop_px` of that network, where every slide and image has room for it; fewer crops a step and more
        patches from each make up for it. In crops narrower than twice the network's reach their borders touch
        all that it learns.
    gap_weight : float
        How much more the target's cross-entropy counts in and beside narrow gaps between nuclei.
    consensus_generated, consensus_gap_weight : float
        `generated` and `gap_weight` of the consensus's network.
    seed : int
        Seed of the run: repeat r, counted from 0, is what seed + r alone would give.
    """

    preset: str = "default"
    mpp: float = 0.25
    input: Literal["rgb", "stains"] = "rgb"
    classes: int = 4
    width: int = WIDTH
    sampler: Sampler = "entropy"
    similarity: Similarity = "mse"
    inter: Inter = "log"
    anchors: int = 10
    patch_px: int = 50
    stride_px: int = 20
    draws: int = 10
    crop_px: int = 300
    batch_size: int = 10
    epochs: int = 300
    epoch_crops: int = 30
    images_once: bool = False
    max_white: float = 0.3
    learning_rate: float = 2e-4
    weight_decay: float = 1e-4
    schedule: Schedule = "constant"
    contrastive_weight: float = 1.0
    target: StainTarget = StainTarget()
    jitter: float = 0.0
    shift: float = 0.0
    flips: bool = False
    average: float = 0.0
    validation_crops: int = 30
    validation_px: int = 300
    threshold: float = 0.5
    adaptive: bool = False
    invert: bool = True
    takes_last: bool = False
    repeats: int = 10
    taught: bool = False
    generated: float = 0.0
    glandular: float = 0.0
    consensus_epochs: int = 0
    consensus_crop_px: int = 0
    consensus_generated: float = 0.0
    gap_weight: float = 0.0
    consensus_gap_weight: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        checks = {
            "mpp": 0.01 <= self.mpp <= 20,
            "classes": 1 <= self.classes <= 64,
            "width": self.width in WIDTHS,
            "input": self.input in ("rgb", "stains"),
            "sampler": self.sampler in SAMPLERS,
            "similarity": self.similarity in SIMILARITIES,
            "inter": self.inter in INTER,
            "schedule": self.schedule in get_args(Schedule),
            "anchors": self.anchors >= 0,
            "patch_px": 2 <= self.patch_px <= self.crop_px,
            "stride_px": self.stride_px >= 1,
            "draws": self.draws >= 1,
            "crop_px": self.crop_px <= 4096,
            "batch_size": 1 <= self.batch_size <= 1024,
            "epochs": self.epochs >= 1,
            "epoch_crops": 1 <= self.epoch_crops <= 1_000_000,
            "max_white": 0 <= self.max_white <= 1,
            "learning_rate": 0 < self.learning_rate < 1,
            "weight_decay": 0 <= self.weight_decay < 1,
            "target.channels": self.target.weight == 0
            or 1 <= len(self.target.channels) <= min(4, self.classes),
            "contrastive_weight": self.contrastive_weight >= 0,
            "jitter": 0 <= self.jitter < 1,
            "shift": 0 <= self.shift < 1,
            "average": 0 <= self.average < 1,
            "validation_crops": self.validation_crops >= 1,
            "validation_px": 32 <= self.validation_px <= 4096,
            "threshold": 0 < self.threshold < 1,
            "taught": not self.taught or (self.target.weight > 0 and self.consensus_epochs == 0),
            "glandular": 0 <= self.glandular <= 1,
            "consensus_epochs": self.consensus_epochs == 0 or self.target.weight > 0,
            "generated": self.generated == 0 or (0 <= self.generated <= 1 and self.target.weight > 0),
            "consensus_crop_px": 0 <= self.consensus_crop_px <= 4096,
            "gap_weight": self.gap_weight >= 0,
            "consensus_gap_weight": self.consensus_gap_weight >= 0,
            "consensus_generated": 0 <= self.consensus_generated <= 1,
            "repeats": 1 <= self.repeats <= 1000,
            "seed": 0 <= self.seed < 2**63,
        }
        wrong = [f"{name} = {getattr(self, name)!r}" for name, ok in checks.items() if not ok]
        if wrong:
            raise UsageError("training settings out of range: " + ", ".join(wrong))
        if self.similarity == "cosine" and self.patch_px != 50:
            raise UsageError(
                "the cosine similarity works with patches of 50 px only; leave patch_px as it is"
            )
        if self.contrastive_weight == 0 and self.target.weight == 0:
            raise UsageError(
                "nothing to learn from: the contrastive losses and the stain target both weigh 0"
            )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dataclasses.asdict(self)

    def target_weight_at(self, epoch: int) -> float:
        """Return the weight of the stain target at an epoch (counted from 0)."""
        if self.target.fade_epochs == 0:
            return self.target.weight
        return self.target.weight * max(0.0, 1 - epoch / self.target.fade_epochs)


def from_json(values: dict[str, Any]) -> TrainingConfig:
    """Return the configuration that `to_json` described."""
    target: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values["target"].items()}
    return TrainingConfig(**{**values, "target": StainTarget(**target)})
