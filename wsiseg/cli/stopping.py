"""Ctrl-C and SIGTERM: an orderly shutdown if there is time for one, and an exit within seconds in any case.

Files are complete at every moment, so a hard exit loses nothing that was finished.
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

# Time from the signal to the hard exit, in which running threads may finish.
GRACE_S = 4.0
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143
EXIT_CODES: dict[int, int] = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}
WORDS = {EXIT_INTERRUPTED: "interrupted", EXIT_TERMINATED: "terminated"}
RESUMED = ("fit", "predict")
SHOW_CURSOR = "\x1b[?25h"


def last_words(code: int, command: str | None) -> str:
    """Return the last line that a command prints when a signal stops it."""
    kept = "; finished work is kept, repeat the command to resume" if command in RESUMED else ""
    return f"{WORDS[code]}{kept}"


class Terminated(BaseException):
    """SIGTERM: stop as on Ctrl-C."""


class Stopping:
    """Handles signals; `code` is the exit code for the signal that was received, or 0.

    Parameters
    ----------
    command : str or None
        The running command, which decides what the last line says.
    """

    def __init__(self, command: str | None = None) -> None:
        self.code = 0
        self._command = command
        self._default_hook = sys.unraisablehook

    def listen(self) -> None:
        """Raise `KeyboardInterrupt` and `Terminated` on signals, and exit if that is not enough.

        A thread does the latter: the main thread handles signals only between two Python instructions, and
        an exception raised in a library's callback may be lost there, after Python has printed a traceback.
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
        """Exit at once: Python's own exit waits for threads, and may return another code.

        click flushes whatever it prints, so no buffered output is lost.
        """
        if not said:
            cursor = SHOW_CURSOR if os.isatty(2) else ""
            os.write(2, f"{cursor}\n{last_words(self.code, self._command)}\n".encode())
        os._exit(self.code)

    def _lost(self, what: UnraisableHookArgs) -> None:
        """Ignore a signal's exception that was lost in a callback: the thread handles the signal."""
        if not isinstance(what.exc_value, KeyboardInterrupt | Terminated):
            self._default_hook(what)

    def _interrupt(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.code = EXIT_CODES[signal.SIGINT]
        raise KeyboardInterrupt

    def _terminate(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.code = EXIT_CODES[signal.SIGTERM]
        raise Terminated
