"""Trains several repeats at a time, in a thread each or as one network on CUDA, with the same results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

import torch

from wsiseg.machine.cores import available_cores
from wsiseg.machine.memory import room_bytes
from wsiseg.training.checkpoint import load_state
from wsiseg.training.config import TrainingConfig
from wsiseg.training.learner import Repeat
from wsiseg.training.loop import train
from wsiseg.training.observer import FitObserver
from wsiseg.training.stacked import can_stack
from wsiseg.training.state import RepeatState

# Memory of a step per pixel of its batch, and memory left to everything else.
PIXEL_BYTES, SPARE_BYTES = 1_500, 1_000_000_000


def repeats_at_once(config: TrainingConfig, device: torch.device, threads: int) -> int:
    """Return how many repeats are trained at a time: as many as cores or GPU and memory have room for."""
    if device.type == "cpu":
        room, most = room_bytes(), available_cores() // threads
    elif device.type == "cuda" and can_stack(config):
        room, most = torch.cuda.mem_get_info(device)[0], config.repeats
    else:
        return 1
    fits = most if room is None else (room - SPARE_BYTES) // step_bytes(config)
    return max(1, min(most, fits, config.repeats))


def step_bytes(config: TrainingConfig) -> int:
    """Return the approximate memory of a step of one repeat."""
    return PIXEL_BYTES * config.batch_size * config.crop_px**2


def train_repeats(
    repeats: Sequence[Repeat],
    jobs: int,
    threads: int,
    observer: FitObserver,
    goes_on: Callable[[], bool] = lambda: True,
) -> Iterator[tuple[int, RepeatState]]:
    """Train repeats, `jobs` at a time, and yield the state of each as far as training came.

    Parameters
    ----------
    repeats : sequence of Repeat
        Of one configuration and device.
    jobs : int
        Repeats in training at a time: in a thread each, or as one network on CUDA.
    threads : int
        CPU threads of each.
    observer : FitObserver
        Called by all threads; `InTurn` makes that safe.
    goes_on : callable
        Called before each start but the first, and after every epoch; False ends training.

    Yields
    ------
    int, RepeatState
        Place in `repeats` and state, in the order of finishing; last, those that were not started.
    """
    # Layers draw from torch's one generator: not from several threads at once.
    states = [
        load_state(repeat.folder, repeat.config, repeat.number, repeat.device, repeat.start)
        for repeat in repeats
    ]
    as_one = repeats[0].device.type == "cuda" and can_stack(repeats[0].config)
    waiting = deque(in_step(states, jobs if as_one else 1))
    running: dict[Future[None], list[int]] = {}
    stop, started = Event(), False
    lanes = 1 if as_one else jobs
    pool = ThreadPoolExecutor(lanes, "wsiseg-repeat", torch.set_num_threads, (threads,))
    try:
        while waiting or running:
            while waiting and len(running) < lanes and (not started or goes_on()):
                places, started = waiting.popleft(), True
                group, group_states = [repeats[p] for p in places], [states[p] for p in places]
                future = pool.submit(train, group, group_states, observer, goes_on, stop.is_set)
                running[future] = places
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                yield from ((place, states[place]) for place in running.pop(future))
        yield from ((place, states[place]) for places in waiting for place in places)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def in_step(states: Sequence[RepeatState], most: int) -> list[list[int]]:
    """Return the places of states in groups of up to `most` with the same number of finished epochs."""
    groups: list[list[int]] = []
    for place in sorted(range(len(states)), key=lambda place: -len(states[place].history)):
        last = groups[-1] if groups else []
        if last and len(last) < most and len(states[last[0]].history) == len(states[place].history):
            last.append(place)
        else:
            groups.append([place])
    return groups
