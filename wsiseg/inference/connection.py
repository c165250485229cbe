"""The connection to a Dask scheduler, whose workers come and go and which may itself be restarted."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any

from distributed import Client, Future
from distributed.client import ClosedClientError
from distributed.comm.addressing import parse_address, parse_host_port

from wsiseg.errors import ClusterError, UsageError

ANSWER_S = 20
PATIENCE_S = 120.0
LOOK_EVERY_S = 2.0
GPU = "GPU"
LOGGERS = ("distributed", "distributed.client", "distributed.core")
# Paused workers are short of memory and will resume; workers in any other state are leaving.
ALIVE = ("running", "paused")

Workers = dict[str, dict[str, Any]]


class SchedulerLostError(ClusterError):
    """The scheduler is gone, or was restarted and does not know our tasks."""


class Connection:
    """A client of the scheduler at an address; reconnects when a lost scheduler is back.

    Parameters
    ----------
    address : str
        The scheduler's.
    patience_s : float
        How long to wait for workers, or for the scheduler, when there is none.

    Raises
    ------
    UsageError
        If no scheduler answers at the address.
    """

    def __init__(self, address: str, patience_s: float = PATIENCE_S) -> None:
        self.address = address
        self._patience_s = patience_s
        self._waited_in_vain = False
        try:
            self._client = _client(address)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {address}: {error}; start one with `dask scheduler`"
            ) from error

    def close(self) -> None:
        """Leave the cluster."""
        with suppress(OSError):
            self._client.close(timeout=ANSWER_S if self._client.status == "running" else 1)

    def workers(self, with_gpu: bool = False) -> Workers:
        """Return what the scheduler knows about each living worker, by address; wait if there are none.

        Parameters
        ----------
        with_gpu : bool
            Whether only workers with a GPU count (`dask worker --resources GPU=1`).

        Raises
        ------
        ClusterError
            If there are none for long, or no scheduler. Later calls do not wait until workers are back.
        """
        deadline = time.monotonic() + (0 if self._waited_in_vain else self._patience_s)
        while True:
            try:
                found = self._listed(with_gpu)
                problem = self._no_workers(with_gpu)
            except SchedulerLostError as lost:
                found, problem = {}, lost
            self._waited_in_vain = not found and time.monotonic() > deadline
            if self._waited_in_vain:
                raise problem
            if found:
                return found
            time.sleep(min(LOOK_EVERY_S, self._patience_s / 4))

    def _listed(self, with_gpu: bool) -> Workers:
        if self._client.status != "running":
            self._connect_again()
        with self._lost_in_words():
            listed: Workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return {
            address: worker
            for address, worker in listed.items()
            if worker["status"] in ALIVE and (not with_gpu or has_gpu(worker))
        }

    def _connect_again(self) -> None:
        try:
            client = _client(self.address)
        except (OSError, ValueError) as error:
            raise self.lost() from error
        self.close()
        self._client = client

    def ask(self, function: Callable[..., Any], *arguments: Any, with_gpu: bool = False) -> dict[str, Any]:
        """Return what each worker answers, by address; a worker that is lost in between gives no answer.

        Raises
        ------
        ClusterError
            If some worker cannot run the function, or none answers for long.
        """
        deadline = time.monotonic() + self._patience_s
        while True:
            workers = list(self.workers(with_gpu))
            answers: dict[str, Any] = {}
            with suppress(SchedulerLostError), self._lost_in_words():
                answers = self._client.run(function, *arguments, workers=workers, on_error="return")
            errors = {who: answer for who, answer in answers.items() if isinstance(answer, Exception)}
            for who, error in errors.items():
                # A worker that cannot be reached is lost, whether or not the scheduler has noticed.
                unreachable = isinstance(error, OSError) and time.monotonic() < deadline
                if not unreachable and who in self.workers():
                    raise _unfit(f"worker {who}", error) from error
            if answers.keys() - errors.keys():
                return {who: answer for who, answer in answers.items() if who not in errors}
            time.sleep(LOOK_EVERY_S / 4)

    def ask_scheduler(self, function: Callable[[], Any]) -> Any:
        """Return what the scheduler answers.

        Raises
        ------
        ClusterError
            If it cannot run the function, or is gone.
        """
        try:
            return self._client.run_on_scheduler(function)
        except Exception as error:
            self._check_alive()
            raise _unfit(f"scheduler {self.address}", error) from error

    def submit(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Future[Any]:
        """Hand a task to the scheduler; see `distributed.Client.submit`."""
        with self._lost_in_words():
            return self._client.submit(function, *arguments, pure=False, **options)

    def gather(self, futures: list[Future[Any]]) -> list[Any]:
        """Return the results of finished tasks."""
        with self._lost_in_words():
            results: list[Any] = self._client.gather(futures)
            return results

    def failure_of(self, future: Future[Any]) -> Exception:
        """Return the exception of a failed task."""
        with self._lost_in_words():
            error: Exception = future.exception()
            return error

    def cancel(self, futures: list[Future[Any]]) -> None:
        """Have the scheduler forget tasks."""
        if self._client.status == "running":
            with suppress(OSError):
                self._client.cancel(futures)

    def lost(self) -> SchedulerLostError:
        """Return the error for a scheduler that is gone, or was restarted."""
        return SchedulerLostError(
            f"the Dask scheduler at {self.address} is gone; finished tiles are kept: "
            "start it and repeat the command to resume"
        )

    def _no_workers(self, with_gpu: bool) -> ClusterError:
        kind, option = ("workers with a GPU", " --resources GPU=1") if with_gpu else ("workers", "")
        return ClusterError(
            f"the Dask scheduler at {self.address} has had no {kind} for {self._patience_s:.0f} s; "
            f"start some with `dask worker {self.address}{option}`, and repeat the command to resume"
        )

    def _check_alive(self) -> None:
        if self._client.status != "running":
            raise self.lost()

    @contextmanager
    def _lost_in_words(self) -> Iterator[None]:
        """Turn the exceptions of a lost connection into `SchedulerLostError`."""
        try:
            yield
        except (OSError, CancelledError, ClosedClientError) as error:
            raise self.lost() from error


def has_gpu(worker: dict[str, Any]) -> bool:
    """Whether a worker was started with `--resources GPU=1`."""
    return bool(worker.get("resources", {}).get(GPU))


def _client(address: str) -> Client:
    # The errors that follow report what distributed would log about a lost scheduler.
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _knock(address)
    return Client(address, timeout=f"{ANSWER_S}s", set_as_default=False)


def _knock(scheduler: str) -> None:
    """Raise if nothing listens at an address; a Client would keep trying and print tracebacks."""
    kind, place = parse_address(scheduler)
    if kind in ("tcp", "tls"):
        host, port = parse_host_port(place)
        if port is None:
            raise ValueError("the address has no port (tcp://HOST:8786)")
        socket.create_connection((host, port), timeout=10).close()


def _unfit(who: str, error: Exception) -> ClusterError:
    # distributed wraps what it could not unpickle.
    if isinstance(error, ImportError | AttributeError) or "NotFoundError" in str(error):
        return ClusterError(
            f"the {who} does not have this version of wsiseg ({error}); install the same everywhere"
        )
    return ClusterError(f"the {who} cannot be used: {type(error).__name__}: {error}")
