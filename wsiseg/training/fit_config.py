"""How `fit` runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from typing import Any

from wsiseg.config import TissueConfig, changed_tissue
from wsiseg.training.config import TrainingConfig
from wsiseg.training.presets import changed, default_preset
from wsiseg.training.presets import preset as preset_of


@dataclass(frozen=True)
class FitConfig:
    """How `fit` runs.

    Parameters
    ----------
    training : TrainingConfig
        How networks are trained: a preset, or settings of your own.
    tissue : TissueConfig
        How tissue is found on slides.
    select : str or None
        "REPEAT:CHANNEL" to overrule the choice of the model.
    prior : str or None
        Model file or run folder from which the network starts and which teaches it (preset default), or votes
        with the repeats (small); "none" goes without. None takes the model that ships with wsiseg and has the
        input, resolution and channels of the run.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    reader : str
        auto, openslide, tiffslide or image.
    workers : int or None
        Threads that read crops; no influence on the result. None takes up to 4.
    threads : int or None
        CPU threads that train; the same number gives the same model bytes. None takes 1, or the number that
        the run in the folder was started with.
    jobs : int or None
        Repeats trained side by side; no influence on the result. None takes as many as cores and memory have
        room for.
    max_minutes : float or None
        No new epoch is started after that time; the result then depends on the machine's speed.
    overwrite : bool
        Whether a run in the folder is removed first.
    """

    training: TrainingConfig = field(default_factory=default_preset)
    tissue: TissueConfig = field(default_factory=TissueConfig)
    select: str | None = None
    prior: str | None = None
    device: str = "auto"
    reader: str = "auto"
    workers: int | None = None
    threads: int | None = None
    jobs: int | None = None
    max_minutes: float | None = None
    overwrite: bool = False


def fit_config(
    config: FitConfig | None = None,
    *,
    preset: str | None = None,
    no_invert: bool = False,
    tissue_mask: str | os.PathLike[str] | None = None,
    no_tissue: bool = False,
    accept_odd: bool = False,
    overwrite: bool = False,
    **given: Any,
) -> FitConfig:
    """Return settings of `fit` from the names of the command line; what is left out stays as in `config`.

    Parameters
    ----------
    config : FitConfig, optional
        The defaults if left out.
    preset : str, optional
        Replaces the training of `config`.
    no_invert, tissue_mask, no_tissue, overwrite
        As in `wsiseg fit --help`.
    **given
        Fields of `FitConfig` and of `TrainingConfig`; None stands for what is left out.
    """
    base = config or FitConfig()
    values = {key: value for key, value in given.items() if value is not None}
    if no_invert:
        values["invert"] = False
    if overwrite:
        values["overwrite"] = True
    own = values.keys() & {field.name for field in fields(FitConfig)}
    training = {key: value for key, value in values.items() if key not in own}
    tissue = changed_tissue(base.tissue, tissue_mask, no_tissue, accept_odd=accept_odd)
    start = base.training if preset is None else preset_of(preset)
    return replace(
        base, training=changed(start, **training), tissue=tissue, **{key: values[key] for key in own}
    )
