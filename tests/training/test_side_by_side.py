"""Repeats side by side: the same bytes as one after another, and an orderly end."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
import torch
from fitting import fit

from wsiseg.training import side_by_side
from wsiseg.training.learner import Repeat
from wsiseg.training.observer import FitObserver
from wsiseg.training.reselect import read_states
from wsiseg.training.run_folder import RunFolder
from wsiseg.training.side_by_side import SPARE_BYTES, repeats_at_once, step_bytes, train_repeats
from wsiseg.training.state import new_state

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


class Seen(FitObserver):
    """Keeps which repeats were in training at once, and whether two threads ever spoke at once."""

    def __init__(self) -> None:
        self.together, self.steps, self.spoke_at_once = set(), 0, False
        self._begun: set[int] = set()
        self._speaking = threading.Lock()

    def repeat_started(self, repeat, done, epochs):
        self._begun.add(repeat)

    def step(self, repeat, epoch, step, steps, loss, skips):
        if not self._speaking.acquire(blocking=False):
            self.spoke_at_once = True
            return
        self.steps += 1
        self.together.add(frozenset(self._begun))
        time.sleep(0.002)
        self._speaking.release()

    def repeat_done(self, repeat, folder):
        self._begun.discard(repeat)


def trained(images, output, config, jobs, observer=None):
    fit(images, output, config, jobs=jobs, observer=observer)
    states = read_states(RunFolder(output), config)
    weights = {number: state.network.state_dict() for number, state in states.items()}
    return (output / "model.safetensors").read_bytes(), weights


def test_any_number_at_once_gives_the_same_bytes(images, config, tmp_path):
    config = replace(config, repeats=3)
    seen = Seen()
    alone, first = trained(images, tmp_path / "alone", config, 1)
    together, second = trained(images, tmp_path / "together", config, 3, seen)
    assert alone == together
    assert first.keys() == second.keys() == {1, 2, 3}
    for number, weights in first.items():
        assert all(torch.equal(value, second[number][name]) for name, value in weights.items())
    assert frozenset({0, 1, 2}) in seen.together
    assert not seen.spoke_at_once


def test_no_more_than_asked_for_at_once(images, config, tmp_path):
    seen = Seen()
    trained(images, tmp_path / "run", replace(config, repeats=4), 2, seen)
    assert max(map(len, seen.together)) == 2


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_the_end_of_one_ends_all_and_what_is_done_is_kept(images, config, tmp_path, failure):
    config = replace(config, repeats=2, epochs=50)

    class Fails(Seen):
        def epoch_done(self, repeat, record, channel):
            if repeat == 0 and record.epoch == 3:
                raise failure("here")

    seen = Fails()
    with pytest.raises(failure, match="here"):
        trained(images, tmp_path / "run", config, 2, seen)
    steps = seen.steps
    time.sleep(0.5)
    assert seen.steps == steps
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("wsiseg-repeat")]
    states = read_states(RunFolder(tmp_path / "run"), config)
    assert len(states[1].history) == 3
    assert 1 <= len(states[2].history) < 50


def test_time_is_up_for_all(images, config, tmp_path):
    config = replace(config, repeats=4, epochs=200)
    result = fit(images, tmp_path / "run", config, jobs=2, max_minutes=1e-6)
    assert not result.finished
    states = read_states(RunFolder(tmp_path / "run"), config)
    assert {number: len(state.history) for number, state in states.items()} == {1: 1}


@pytest.mark.parametrize(
    ("cores", "room_steps", "threads", "expected"),
    [(8, 100, 1, 8), (8, 100, 2, 4), (8, 3, 1, 3), (8, 0, 1, 1), (64, 100, 1, 10), (1, 100, 2, 1)],
)
def test_as_many_as_cores_and_memory_have_room_for(config, monkeypatch, cores, room_steps, threads, expected):
    config = replace(config, repeats=10)
    monkeypatch.setattr(side_by_side, "available_cores", lambda: cores)
    monkeypatch.setattr(side_by_side, "room_bytes", lambda: SPARE_BYTES + room_steps * step_bytes(config))
    assert repeats_at_once(config, CPU, threads) == expected
    assert repeats_at_once(config, torch.device("mps"), threads) == 1


def test_memory_that_is_not_known_limits_nothing(config, monkeypatch):
    monkeypatch.setattr(side_by_side, "available_cores", lambda: 4)
    monkeypatch.setattr(side_by_side, "room_bytes", lambda: None)
    assert repeats_at_once(replace(config, repeats=10), CPU, 1) == 4


def test_what_is_not_one_network_is_trained_alone_on_a_gpu(config):
    """No GPU is needed to see that: its memory is not asked for."""
    cosine = replace(config, repeats=10, similarity="cosine", patch_px=50)
    assert repeats_at_once(cosine, torch.device("cuda"), 1) == 1


@pytest.mark.parametrize(
    ("similarity", "groups"), [("mse", [[2], [0, 1], [3]]), ("cosine", [[2], [0], [1], [3]])]
)
def test_a_gpu_trains_those_in_step_as_one(config, tmp_path, monkeypatch, similarity, groups):
    """Which repeats are one network; no GPU is needed to see that."""
    config = replace(config, similarity=similarity, patch_px=50, repeats=4)
    asked = []
    epochs_done = {0: 1, 1: 1, 2: 3, 3: 1}

    def loaded(folder, config, number, device, start):
        state = new_state(config, number, CPU)
        state.history = [None] * epochs_done[number]
        return state

    def instead(repeats, states, *_):
        asked.append([repeat.number for repeat in repeats])

    monkeypatch.setattr(side_by_side, "load_state", loaded)
    monkeypatch.setattr(side_by_side, "train", instead)
    repeats = [Repeat(n, config, None, None, torch.device("cuda"), tmp_path) for n in range(4)]
    jobs = 2 if similarity == "mse" else 1
    ended = [place for place, _ in train_repeats(repeats, jobs, 1, FitObserver())]
    assert asked == groups
    assert ended == [number for group in groups for number in group]
