"""Things that are costly to make, made once by whoever asks first, the last ones used kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memo(Generic[Key, Value]):
    """A bounded memory of what `make` returned; safe from several threads.

    Parameters
    ----------
    make : callable
        Key -> value; what it raises is raised to all who wait for that key, and not kept.
    kept : int
        Values kept at most; the one not used for longest goes first.
    """

    def __init__(self, make: Callable[[Key], Value], kept: int) -> None:
        self._make, self._most = make, kept
        self._kept: OrderedDict[Key, Future[Value]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Value:
        """Return the value of a key, made when it is not in memory."""
        with self._lock:
            future = self._kept.get(key)
            is_first = future is None
            if future is None:
                future = self._kept[key] = Future()
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(key)
        if is_first:
            try:
                future.set_result(self._make(key))
            except BaseException as error:
                future.set_exception(error)
                with self._lock:
                    self._kept.pop(key, None)
        return future.result()
