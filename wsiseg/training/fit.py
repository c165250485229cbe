"""`fit`: train the repeats of a run, choose among them, and leave a folder that `predict` can use."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from wsiseg.errors import StoreError, UsageError
from wsiseg.machine.allocator import give_back
from wsiseg.machine.replacing import write_output
from wsiseg.network.device import resolve_device
from wsiseg.network.model import Model, serialise
from wsiseg.slides.sources import SlideSource
from wsiseg.training.comparison import HEAD_START, Comparison, compare
from wsiseg.training.config import TrainingConfig
from wsiseg.training.fit_config import FitConfig
from wsiseg.training.fit_result import FitResult
from wsiseg.training.guided.consensus import consensus_maker, stain_maker
from wsiseg.training.guided.fields import Fields, Maker, standing_for
from wsiseg.training.guided.generated import GeneratedFields
from wsiseg.training.guided.prior import Prior, find_prior
from wsiseg.training.guided.teacher import teacher_maker
from wsiseg.training.learner import Repeat
from wsiseg.training.metrics import metrics_rows, write_metrics
from wsiseg.training.observer import FitObserver, InTurn
from wsiseg.training.presets import consensus_config
from wsiseg.training.reproducible import reproducible
from wsiseg.training.reselect import read_states
from wsiseg.training.run_folder import RunFolder
from wsiseg.training.run_record import RunRecord, check_same, check_versions, identity
from wsiseg.training.selection import choice_of, choose, selected, versions, write_model
from wsiseg.training.side_by_side import repeats_at_once, train_repeats
from wsiseg.training.sources import OpenViews, TrainingSource, usable_sources
from wsiseg.training.state import RepeatState
from wsiseg.training.stream import CropStream
from wsiseg.training.validation import Validation, labelled_dice, make_validation

SAMPLES = 6
# Convolutions of eight channels gain nothing from more threads, and one gives the same bytes everywhere.
THREADS = 1
MOST_WORKERS = 4


def fit_slides(
    slides: Sequence[SlideSource],
    output: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None,
    config: FitConfig,
    observer: FitObserver,
    label_images: Sequence[SlideSource] | None = None,
) -> FitResult:
    """Train networks on slides or images without labels and choose one; parameters as in `wsiseg.fit`."""
    deadline = None if config.max_minutes is None else time.monotonic() + 60 * config.max_minutes
    training, folder = config.training, RunFolder(Path(output))
    device, prior = torch.device(resolve_device(config.device)), find_prior(training, config.prior)
    sources, failures = usable_sources(slides, training, config.reader, config.tissue, observer)
    labelled = sources
    if label_images is not None:
        if labels is None:
            raise UsageError("label images without labels; give the folder of labels too")
        labelled, _ = usable_sources(label_images, training, config.reader, config.tissue, observer)
    matched = None if labels is None else _match(labelled, labels)
    others = None if label_images is None else labelled
    now = identity(training, sources, matched, device.type, prior, others)
    inputs: list[str | os.PathLike[str]] = [source.path for source in (*sources, *(others or ()))]
    inputs += (matched or {}).values()
    if config.prior is not None:
        inputs.append(config.prior)
    folder.refuse_foreign(training.repeats, inputs)
    with folder.alone():
        before = _resumed(folder, training, now, config.overwrite, observer)
        record = RunRecord(
            state="running",
            config=training,
            identity=now,
            slides=[_described(source) for source in sources],
            failures=[{"path": error.path, "cause": error.cause} for error in failures],
            labels=None if matched is None else {name: str(path) for name, path in matched.items()},
            threads=config.threads or (before.threads if before else THREADS),
            device=str(device),
            versions={**versions(), "python": platform.python_version()},
            select=config.select or (before.select if before else None),
            comparison=before.comparison if before else None,
        )
        folder.write(record)
        with reproducible(record.threads), closing(OpenViews(training.mpp)) as views:
            run = _FitRun(
                folder, config, record, observer, sources, labelled, matched, views, prior, device, deadline
            )
            try:
                states, finished = run.train()
                done = run.conclude(states, "finished" if finished else "stopped")
            except BaseException as stop:
                # Ctrl-C or a signal, not an error.
                if not isinstance(stop, Exception):
                    run.interrupted()
                raise
        assert done.choice is not None
        return FitResult(folder.path, done.choice, tuple(failures), finished, done.comparison, states)


def _resumed(
    folder: RunFolder, config: TrainingConfig, now: Mapping[str, Any], overwrite: bool, observer: FitObserver
) -> RunRecord | None:
    """Return the record of the run to resume; None for a new run, for which old files are deleted."""
    if overwrite:
        folder.clear()
        return None
    before = folder.read()
    if before is None:
        if folder.states():
            raise StoreError(
                f"{folder.path}: holds repeats of a run whose run.json is gone; use --overwrite to start "
                "afresh, or another folder"
            )
        return None
    check_same(folder.path, before.identity, now)
    has_other_repeats = before.config.repeats != config.repeats
    if before.state != "finished" or has_other_repeats:
        check_versions(folder.path, before.versions, versions(), observer)
    if has_other_repeats:
        # The consensus now comes from other repeats.
        folder.clear_repeat(folder.repeat(0))
    return before


@dataclass(frozen=True)
class _FitRun:
    """One run: its settings, inputs and folder."""

    folder: RunFolder
    config: FitConfig
    record: RunRecord
    observer: FitObserver
    sources: Sequence[TrainingSource]
    validated: Sequence[TrainingSource]
    labels: Mapping[str, Path] | None
    views: OpenViews
    prior: Prior | None
    device: torch.device
    deadline: float | None

    def train(self) -> tuple[dict[int, RepeatState], bool]:
        """Train the repeats, then their consensus; return the states and whether time sufficed."""
        config = self.config.training
        validation = make_validation(self.validated, config, self.views, self.labels)
        give_back()
        self._announce(validation)
        self._write_samples(validation)
        stream = self._stream(config, self._maker(config))
        start = self.prior.weights if config.taught and self.prior is not None else None
        numbers = range(1, config.repeats + 1)
        jobs = self.config.jobs or repeats_at_once(config, self.device, self.record.threads)
        states = self._trained(
            {
                n: Repeat(n - 1, config, stream, validation, self.device, self.folder.repeat(n), start)
                for n in numbers
            },
            jobs,
        )
        done = [n for n, state in states.items() if len(state.history) >= config.epochs]
        if config.consensus_epochs == 0 or len(done) < config.repeats:
            return states, len(done) == config.repeats
        largest = min(min(source.width, source.height) for source in self.sources)
        config = consensus_config(config, largest)
        best = choose(states)
        trained = [state.kept(state.best_channel) for state in states.values()]
        start = states[best.repeat].kept(best.channel) if self.prior is None else self.prior.weights
        stream = self._stream(config, consensus_maker(config, trained, self.prior))
        repeat = Repeat(len(numbers), config, stream, validation, self.device, self.folder.repeat(0), start)
        consensus = self._trained({0: repeat}, 1)
        return consensus | states, bool(consensus) and len(consensus[0].history) >= config.epochs

    def _maker(self, config: TrainingConfig) -> Maker | None:
        """Return what makes the target of the repeats."""
        if config.taught and self.prior is not None:
            return teacher_maker(config, self.prior)
        return stain_maker(config)

    def _stream(self, config: TrainingConfig, maker: Maker | None) -> CropStream:
        workers = self.config.workers or min(MOST_WORKERS, self.record.threads + 1)
        if maker is None:
            return CropStream(self.sources, config, self.views, workers)
        chosen = standing_for(self.sources, config.seed)
        fields = Fields(chosen, config, self.views, maker)
        generated = GeneratedFields(config) if config.generated > 0 else None
        return CropStream(chosen, config, self.views, workers, fields, generated)

    def _trained(self, repeats: Mapping[int, Repeat], jobs: int) -> dict[int, RepeatState]:
        """Train repeats; return, by number, the states of those with at least one finished epoch."""
        numbers, observer = list(repeats), InTurn(self.observer)
        for repeat in repeats.values():
            repeat.folder.mkdir(exist_ok=True)
        states = {}
        for place, state in train_repeats(
            list(repeats.values()), jobs, self.record.threads, observer, self._has_time
        ):
            if state.history:
                states[numbers[place]] = state
                self._write_repeat(numbers[place], state)
                observer.repeat_done(repeats[numbers[place]].number, repeats[numbers[place]].folder)
        return dict(sorted(states.items()))

    def _has_time(self) -> bool:
        return self.deadline is None or time.monotonic() < self.deadline

    def conclude(self, states: Mapping[int, RepeatState], outcome: str) -> RunRecord:
        """Write everything derived from the states: models, metrics, run.json; return what that says."""
        if not states:
            raise UsageError(f"{self.folder.path}: no epoch was finished; give a larger --max-minutes")
        config = self.config.training
        rows = [row for number, state in states.items() for row in metrics_rows(number, state.history)]
        write_metrics(self.folder.path, rows)
        for number, state in states.items():
            self._write_repeat(number, state)
        select = self.record.select
        choice = selected(states, select) if select else choose(states, config.consensus_epochs)
        model = write_model(self.folder.path, states[choice.repeat], choice, config)
        comparison = self._compared(model) if outcome == "finished" else None
        dice = None
        if self.labels is not None and outcome != "interrupted":
            dice = labelled_dice(
                states[choice.repeat].kept(choice.channel),
                choice.channel,
                choice.inverted,
                config.threshold,
                self.validated,
                self.labels,
                self.views,
            )
        if comparison is not None and choice.by in ("score", "consensus") and not comparison.keeps_fitted:
            write_output(self.folder.model, self.folder.prior.read_bytes())
            choice = replace(choice, by="prior")
        record = replace(
            self.record, state=outcome, choice=choice, dice_whole_images=dice, comparison=comparison
        )
        self.folder.write(record)
        return record

    def _compared(self, model: Model) -> Comparison | None:
        """Compare the chosen model with the prior, unless that is known; keep the prior beside it."""
        if self.prior is None:
            return None
        before, other = self.record.comparison, self.prior.model
        if before is not None and (before.fitted_sha256, before.other_sha256) == (model.sha256, other.sha256):
            return before
        self.observer.message(f"comparing with the model {self.prior.name}")
        self.folder.prior.parent.mkdir(exist_ok=True)
        write_output(self.folder.prior, serialise(other.weights, other.info))
        config = self.config.training
        head_start = HEAD_START if config.taught else 0.0
        return compare(model, other, self.prior.name, self.sources, config.mpp, config.seed, head_start)

    def interrupted(self) -> None:
        """Leave a usable folder behind: the best model so far, if there is one."""
        # From the checkpoints: an epoch that is in no checkpoint is repeated when the run is resumed.
        states = read_states(self.folder, self.config.training)
        if states:
            self.conclude(states, "interrupted")
        else:
            self.folder.write(replace(self.record, state="interrupted"))

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
        write_output(self.folder.samples, safetensors.torch.save(tensors, {"wsiseg": "samples"}))

    def _write_repeat(self, number: int, state: RepeatState) -> None:
        path = self.folder.repeat(number)
        write_metrics(path, metrics_rows(number, state.history))
        write_model(path, state, choice_of(number, state, state.best_channel), self.config.training)


def _match(sources: Sequence[TrainingSource], labels: str | os.PathLike[str]) -> dict[str, Path]:
    from wsiseg.evaluation.labels import match_labels

    return match_labels([SlideSource(s.path, s.name, s.slide_mpp, forced=True) for s in sources], labels)


def _described(source: TrainingSource) -> dict[str, Any]:
    kept = ("name", "path", "reader", "slide_mpp", "width", "height", "is_image", "fingerprint")
    return {key: getattr(source, key) for key in kept}
