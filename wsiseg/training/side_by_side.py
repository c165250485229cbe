"""Repeats trained side by side, a thread each: each is what it is alone, and all cores have work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

import torch

from wsiseg.machine.cores import available_cores
from wsiseg.machine.memory import room_bytes
from wsiseg.training.config import TrainingConfig
from wsiseg.training.observer import Observer
from wsiseg.training.stacked import can_stack
from wsiseg.training.state import RepeatState
from wsiseg.training.trainer import Repeat, begin, train_repeat

# What a step keeps for each pixel of its batch, and what is left to everything else.
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
    """Return about what a step of one repeat takes."""
    return PIXEL_BYTES * config.batch_size * config.crop_px**2


def train_side_by_side(
    repeats: Sequence[Repeat],
    jobs: int,
    threads: int,
    observer: Observer,
    goes_on: Callable[[], bool] = lambda: True,
) -> Iterator[tuple[int, RepeatState]]:
    """Train repeats, `jobs` at a time, and yield the state of each as far as training came.

    Parameters
    ----------
    repeats : sequence of Repeat
    jobs : int
        Repeats in training at a time.
    threads : int
        CPU threads of each.
    observer : Observer
        Is told of everything, by all threads: see `InTurn`.
    goes_on : callable
        Asked before a repeat but the first begins and after every epoch; no more is begun once it is False.

    Yields
    ------
    int, RepeatState
        Place in `repeats` and state, in the order in which they end.
    """
    stop = Event()
    waiting = deque(enumerate(repeats))
    running: dict[Future[RepeatState], int] = {}
    pool = ThreadPoolExecutor(jobs, "wsiseg-repeat", torch.set_num_threads, (threads,))
    try:
        while waiting or running:
            while waiting and len(running) < jobs and (len(waiting) == len(repeats) or goes_on()):
                place, repeat = waiting.popleft()
                future = pool.submit(
                    train_repeat,
                    repeat,
                    observer,
                    lambda state: goes_on(),
                    lambda: not stop.is_set(),
                    begin(repeat),
                )
                running[future] = place
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
