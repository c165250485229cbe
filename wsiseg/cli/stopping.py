"""Ctrl-C and SIGTERM: an orderly end where there is time for one, and an end within seconds in any case.

What is written is complete at every moment, so that nothing is lost by the latter.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# From the signal to the end: threads that compute are waited for, but no longer than this.
GRACE_S = 4.0
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143
EXIT_CODES: dict[int, int] = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}
WORDS = {EXIT_INTERRUPTED: "interrupted", EXIT_TERMINATED: "terminated"}
RESUMED = ("fit", "predict")
SHOW_CURSOR = "\x1b[?25h"


def last_words(code: int, command: str | None) -> str:
    """Return what is said at the end of a command that a signal stopped."""
    kept = "; what is done is kept, the same command goes on from there" if command in RESUMED else ""
    return f"{WORDS[code]}{kept}"


class Terminated(BaseException):
    """SIGTERM: stop as on Ctrl-C."""


class Stopping:
    """Hears signals; `code` is the exit code of the one that came, or 0.

    Parameters
    ----------
    command : str or None
        What runs, for the last words.
    """

    def __init__(self, command: str | None = None) -> None:
        self.code = 0
        self._command = command
        self._told_of_others = sys.unraisablehook

    def listen(self) -> None:
        """Raise `KeyboardInterrupt` and `Terminated` on signals, and end the process if that is not enough.

        The second is a thread's: the main thread hears of a signal only between two steps of Python, and what
        it raises inside of a library may be lost there, which Python would say with a traceback.
        """
        sys.unraisablehook = self._lost
        for number, handler in ((signal.SIGINT, self._interrupt), (signal.SIGTERM, self._terminate)):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)
        if os.name == "nt":
            return
        heard, told = os.pipe()
        os.set_blocking(told, False)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(heard,), name="wsiseg-signals", daemon=True).start()

    def _watch(self, heard: int) -> None:
        code = 0
        while not code:
            code = EXIT_CODES.get(os.read(heard, 1)[0], 0)
        self.code = code
        time.sleep(GRACE_S)
        self.leave(said=False)

    def leave(self, said: bool) -> NoReturn:
        """End the process here and now: Python's own end waits for threads, and may choose another code.

        What click says it flushes at once; nothing else is in a buffer.
        """
        if not said:
            cursor = SHOW_CURSOR if os.isatty(2) else ""
            os.write(2, f"{cursor}\n{last_words(self.code, self._command)}\n".encode())
        os._exit(self.code)

    def _lost(self, what: UnraisableHookArgs) -> None:
        """Be silent about a signal that a library's callback could not pass on: the thread has heard it."""
        if not isinstance(what.exc_value, KeyboardInterrupt | Terminated):
            self._told_of_others(what)

    def _interrupt(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.code = EXIT_CODES[signal.SIGINT]
        raise KeyboardInterrupt

    def _terminate(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.code = EXIT_CODES[signal.SIGTERM]
        raise Terminated
