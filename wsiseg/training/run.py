"""`fit`: train the repeats of a run, choose among them, and leave a folder that `predict` can use."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from wsiseg.config import TissueConfig
from wsiseg.errors import SlideError, StoreError, UsageError
from wsiseg.machine.allocator import give_back
from wsiseg.machine.whole import write_whole
from wsiseg.network.device import resolve_device
from wsiseg.slides.sources import SlideSource, expand
from wsiseg.training.config import TrainingConfig, consensus_config, default_preset
from wsiseg.training.crops import CropStream
from wsiseg.training.guided.consensus import Maker, consensus_maker, stain_maker
from wsiseg.training.guided.fields import Fields, standing_for
from wsiseg.training.guided.generated import GeneratedFields
from wsiseg.training.guided.prior import Prior, find_prior
from wsiseg.training.observer import InTurn, Observer
from wsiseg.training.reproducible import reproducible
from wsiseg.training.run_folder import (
    RunFolder,
    check_same,
    check_versions,
    identity,
    metrics_rows,
    write_metrics,
)
from wsiseg.training.selection import Choice, choice_of, choose, selected, versions, write_model
from wsiseg.training.side_by_side import repeats_at_once, train_side_by_side
from wsiseg.training.sources import OpenViews, TrainingSource, check_sources
from wsiseg.training.stacked import can_stack, train_stacked
from wsiseg.training.state import RepeatState, load_state
from wsiseg.training.trainer import Repeat
from wsiseg.training.validation import Validation, labelled_dice, make_validation

SAMPLES = 6
# Convolutions of eight channels gain nothing from more, and one gives the same bytes on every machine.
THREADS = 1


@dataclass(frozen=True)
class FitResult:
    """What a run came to.

    Parameters
    ----------
    output : Path
        The run folder; `wsiseg predict -m` takes it.
    choice : Choice
        Repeat, channel and epoch of the model.
    failures : tuple of SlideError
        Slides that were left out, with the cause.
    finished : bool
        False if `max_minutes` ended the run before its last epoch.
    """

    output: Path
    choice: Choice
    failures: tuple[SlideError, ...]
    finished: bool


def fit(
    slides: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    config: TrainingConfig | None = None,
    labels: str | os.PathLike[str] | None = None,
    *,
    reader: str = "auto",
    slide_mpp: float | None = None,
    force_slide_mpp: bool = False,
    tissue: TissueConfig | None = None,
    device: str = "auto",
    workers: int | None = None,
    threads: int | None = None,
    jobs: int | None = None,
    max_minutes: float | None = None,
    select: str | None = None,
    prior: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> FitResult:
    """Train networks on slides or images without labels and choose one.

    Parameters
    ----------
    slides : sequence of path-like
        Files, folders, globs, CSV lists or URLs.
    output : path-like
        The run folder. A run of the same settings and slides in it is continued.
    config : TrainingConfig, optional
        The default preset if left out.
    labels : path-like, optional
        Folder of labels, matched by name. With them epoch, channel, polarity and repeat are chosen by Dice,
        as in the paper; they never train. Without them, by agreement with the haematoxylin stain.
    reader : str
        auto, openslide, tiffslide or image.
    slide_mpp : float, optional
        Micrometres per level-0 pixel of slides that do not say.
    force_slide_mpp : bool
        Whether the resolution given by the user stands even where a slide says something else.
    tissue : TissueConfig, optional
        How tissue is found on slides.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    workers : int, optional
        Threads that read crops; no influence on the result.
    threads : int, optional
        CPU threads that train; by default 1, and those of its start for a run that goes on. The same number
        gives the same model bytes.
    jobs : int, optional
        Repeats trained side by side; no influence on the result. Left out: as many as cores and memory have
        room for.
    max_minutes : float, optional
        No epoch is begun after that time; what is left then depends on the machine's speed.
    select : str, optional
        "REPEAT:CHANNEL" to overrule the choice.
    prior : path-like, optional
        Model that votes with the repeats and from which the consensus starts; "none" does without. Left out:
        the model that ships with wsiseg, where its input, resolution and channels are those of the run.
    overwrite : bool
        Whether to start anew in a folder that holds a run.
    observer : Observer, optional
        Is told of the progress.

    Returns
    -------
    FitResult

    Raises
    ------
    UsageError
        If the request is wrong, the folder holds a run of something else, or a slide's resolution is unknown.
    SlideError
        If no slide can be used.
    ModelError
        If the prior cannot be read or used.
    StoreError
        If another run works in the folder, or it cannot be written.
    KeyboardInterrupt
        After what is done has been put into a usable run folder.
    """
    started = time.monotonic()
    config, observer, folder = config or default_preset(), observer or Observer(), RunFolder(Path(output))
    where, voter = torch.device(resolve_device(device)), find_prior(config, prior)
    sources, failures = _open_all(
        expand([os.fspath(s) for s in slides], slide_mpp, force_slide_mpp), config, reader, tissue, observer
    )
    matched = None if labels is None else _match(sources, labels)
    now = identity(config, sources, matched, where.type, voter)
    with folder.alone():
        before = _before(folder, config, now, overwrite, observer)
        threads = threads or (before or {}).get("threads") or THREADS
        described = {
            "command": "fit",
            "state": "running",
            "config": config.to_json(),
            "identity": now,
            "slides": [_described(source) for source in sources],
            "failures": [{"path": error.path, "cause": error.cause} for error in failures],
            "labels": None if matched is None else {name: str(path) for name, path in matched.items()},
            "threads": threads,
            "device": str(where),
            "versions": {**versions(), "python": platform.python_version()},
            "select": select or (before or {}).get("select"),
        }
        folder.write(described)
        views = OpenViews(config.mpp)
        run = _Run(folder, config, described, observer, matched, sources, views, voter, threads, jobs)
        with reproducible(threads):
            try:
                deadline = None if max_minutes is None else started + 60 * max_minutes
                finished = run.train(where, workers or min(4, threads + 1), deadline)
                choice = run.conclude("finished" if finished else "stopped")
            except BaseException as stop:
                # Ctrl-C, or what a signal handler raises: not an error.
                if not isinstance(stop, Exception):
                    run.interrupted()
                raise
            finally:
                views.close()
        return FitResult(folder.path, choice, tuple(failures), finished)


def _before(
    folder: RunFolder, config: TrainingConfig, now: Mapping[str, Any], overwrite: bool, observer: Observer
) -> dict[str, Any] | None:
    """Return the description of the run that goes on; None for a new one, for which room is made."""
    if overwrite:
        folder.clear()
        return None
    described = folder.read()
    if described is None:
        if folder.states():
            raise StoreError(
                f"{folder.path}: holds repeats of a run whose run.json is gone; use --overwrite to start "
                "anew, or another folder"
            )
        return None
    check_same(folder, described["identity"], now)
    has_other_repeats = described["config"]["repeats"] != config.repeats
    if described["state"] != "finished" or has_other_repeats:
        check_versions(folder, described["versions"], versions(), observer)
    if has_other_repeats:
        # The consensus is of other repeats now.
        shutil.rmtree(folder.repeat(0), ignore_errors=True)
    return described


def reselect(output: str | os.PathLike[str], select: str) -> Choice:
    """Put another channel or repeat of a finished run into its model file.

    Parameters
    ----------
    output : path-like
        The run folder.
    select : str
        "REPEAT:CHANNEL".

    Raises
    ------
    UsageError
        If there is no run, or no such repeat or channel in it.
    """
    folder = RunFolder(Path(output))
    config = folder.config()
    described = folder.read()
    assert described is not None
    states = read_states(folder, config)
    if not states:
        raise UsageError(f"{folder.path}: no epoch of this run is finished; run `wsiseg fit` first")
    choice = selected(states, select)
    write_model(folder.path, states[choice.repeat], choice, config)
    folder.write({**described, "select": select, "chosen": choice.to_json()})
    return choice


def read_states(folder: RunFolder, config: TrainingConfig) -> dict[int, RepeatState]:
    """Return the state of every repeat of which at least one epoch is done, by its number from 1."""
    states = {}
    numbers = range(0 if config.consensus_epochs > 0 else 1, config.repeats + 1)
    for number in numbers:
        settings = config if number > 0 else consensus_config(config)
        state = load_state(folder.repeat(number), settings, max(0, number - 1), torch.device("cpu"))
        if state.history:
            states[number] = state
    return states


@dataclass
class _Run:
    """A run that goes on."""

    folder: RunFolder
    config: TrainingConfig
    described: dict[str, Any]
    observer: Observer
    labels: Mapping[str, Path] | None
    sources: Sequence[TrainingSource]
    views: OpenViews
    prior: Prior | None
    threads: int
    jobs: int | None

    def train(self, device: torch.device, workers: int, deadline: float | None) -> bool:
        """Train all repeats; return False if the deadline ended it."""
        validation = make_validation(self.sources, self.config, self.views, self.labels)
        give_back()
        self._announce(validation)
        self._write_samples(validation)
        stream = self._stream(self.config, workers, stain_maker(self.config))
        repeats = [
            Repeat(number - 1, self.config, stream, validation, device, self.folder.repeat(number))
            for number in range(1, self.config.repeats + 1)
        ]
        jobs = self.jobs or repeats_at_once(self.config, device, self.threads)
        if not self._train(range(1, self.config.repeats + 1), repeats, jobs, deadline):
            return False
        if self.config.consensus_epochs == 0:
            return True
        largest = min(min(source.width, source.height) for source in self.sources)
        config = consensus_config(self.config, largest)
        states = {n: state for n, state in read_states(self.folder, self.config).items() if n > 0}
        best = choose(states)
        trained = [state.kept(state.best_channel) for state in states.values()]
        start = states[best.repeat].kept(best.channel) if self.prior is None else self.prior.weights
        stream = self._stream(config, workers, consensus_maker(config, trained, self.prior))
        repeat = Repeat(self.config.repeats, config, stream, validation, device, self.folder.repeat(0), start)
        return self._train([0], [repeat], 1, deadline)

    def _stream(self, config: TrainingConfig, workers: int, maker: Maker | None) -> CropStream:
        if maker is None:
            return CropStream(self.sources, config, self.views, workers)
        chosen = standing_for(self.sources, config.seed)
        fields = Fields(chosen, config, self.views, maker)
        generated = GeneratedFields(config) if config.generated > 0 else None
        return CropStream(chosen, config, self.views, workers, fields, generated)

    def _train(
        self, numbers: Sequence[int], repeats: Sequence[Repeat], jobs: int, deadline: float | None
    ) -> bool:
        """Train repeats, each known by a number; return False if the deadline ended it."""
        for repeat in repeats:
            repeat.folder.mkdir(exist_ok=True)
        finished, told = 0, InTurn(self.observer)
        goes_on = partial(_goes_on, deadline)
        if jobs > 1 and repeats[0].device.type == "cuda" and can_stack(repeats[0].config):
            states = train_stacked(repeats, jobs, told, goes_on)
        else:
            states = train_side_by_side(repeats, jobs, self.threads, told, goes_on)
        for place, state in states:
            if state.history:
                self._write_repeat(numbers[place], state)
                told.repeat_done(repeats[place].number, repeats[place].folder)
            finished += len(state.history) >= repeats[place].config.epochs
        return finished == len(repeats)

    def conclude(self, outcome: str) -> Choice:
        """Write everything that follows from the states: models, metrics, run.json."""
        states = read_states(self.folder, self.config)
        if not states:
            raise UsageError(f"{self.folder.path}: not one epoch was finished; give it more time")
        rows = [row for number, state in states.items() for row in metrics_rows(number, state.history)]
        write_metrics(self.folder.path, rows)
        for number, state in states.items():
            self._write_repeat(number, state)
        select = self.described["select"]
        epochs = self.config.consensus_epochs
        choice = selected(states, select) if select else choose(states, epochs)
        write_model(self.folder.path, states[choice.repeat], choice, self.config)
        chosen = choice.to_json()
        if self.labels is not None and outcome != "interrupted":
            chosen["dice_whole_images"] = labelled_dice(
                states[choice.repeat].kept(choice.channel),
                choice.channel,
                choice.inverted,
                self.config.threshold,
                self.sources,
                self.labels,
                self.views,
            )
        self.folder.write({**self.described, "state": outcome, "chosen": chosen})
        return choice

    def interrupted(self) -> None:
        """Leave a usable folder behind: the best model so far, if there is one."""
        if read_states(self.folder, self.config):
            self.conclude("interrupted")
        else:
            self.folder.write({**self.described, "state": "interrupted"})

    def _announce(self, validation: Validation) -> None:
        count, side = validation.pixels.shape[:2]
        how = "Dice with the labels" if self.labels is not None else "agreement with the haematoxylin stain"
        self.observer.message(
            f"{len(self.sources)} slides or images; every epoch is scored on {count} fixed crops of "
            f"{side} px by {how}"
        )

    def _write_samples(self, validation: Validation) -> None:
        samples = {"pixels": validation.pixels[:SAMPLES], "images": validation.images[:SAMPLES]}
        tensors = {name: torch.from_numpy(array).contiguous() for name, array in samples.items()}
        write_whole(self.folder.samples, safetensors.torch.save(tensors))

    def _write_repeat(self, number: int, state: RepeatState) -> None:
        path = self.folder.repeat(number)
        write_metrics(path, metrics_rows(number, state.history))
        write_model(path, state, choice_of(number, state, state.best_channel), self.config)


def _goes_on(deadline: float | None) -> bool:
    give_back()
    return deadline is None or time.monotonic() < deadline


def _open_all(
    slides: Sequence[SlideSource],
    config: TrainingConfig,
    reader: str,
    tissue: TissueConfig | None,
    observer: Observer,
) -> tuple[list[TrainingSource], list[SlideError]]:
    sources, failures = check_sources(slides, config, reader=reader, tissue=tissue)
    unknown = [error for error in failures if "--slide-mpp" in error.cause]
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise UsageError(f"{unknown[0]}{more}")
    for error in failures:
        observer.message(f"left out: {error}")
    for source in sources:
        for warning in source.warnings:
            observer.message(f"{source.name}: {warning}")
    if not sources:
        if len(failures) == 1:
            raise failures[0]
        causes = "; ".join(str(error) for error in failures[:3])
        raise SlideError(failures[0].path, f"none of the {len(failures)} slides can be used: {causes}")
    return sources, failures


def _match(sources: Sequence[TrainingSource], labels: str | os.PathLike[str]) -> dict[str, Path]:
    from wsiseg.evaluation.labels import match_labels

    return match_labels([SlideSource(s.path, s.name, s.slide_mpp, forced=True) for s in sources], labels)


def _described(source: TrainingSource) -> dict[str, Any]:
    kept = ("name", "path", "reader", "slide_mpp", "width", "height", "is_image", "fingerprint")
    return {key: getattr(source, key) for key in kept}
