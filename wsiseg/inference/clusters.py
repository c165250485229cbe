"""Where the tasks of a run are computed: threads of this process, or the workers of a scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from wsiseg.inference.graph import Cluster, LocalCluster
from wsiseg.machine.allocator import share_arenas


@contextmanager
def open_cluster(scheduler: str | None, workers: int) -> Iterator[Cluster]:
    """Give the cluster of an address, or threads of this process.

    Raises
    ------
    UsageError
        If no scheduler answers at the address.
    ClusterError
        If it stays without workers, or some have other software.
    """
    if scheduler is None:
        share_arenas()
        with ThreadPoolExecutor(workers, thread_name_prefix="wsiseg") as pool:
            yield LocalCluster(pool, workers)
        return
    from wsiseg.inference.remote import connected

    with connected(scheduler) as cluster:
        yield cluster
