"""The server: on this machine only, until Ctrl-C."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from typing import NoReturn

from wsiseg.errors import UsageError
from wsiseg.viewer.app import create_app
from wsiseg.viewer.content import Content
from wsiseg.viewer.guard import new_token

HOST = "127.0.0.1"
SECONDS_TO_FINISH = 2


def serve(
    content: Content, port: int = 0, *, open_browser: bool = True, say: Callable[[str], None] = print
) -> NoReturn:
    """Serve until Ctrl-C.

    Parameters
    ----------
    content : Content
        What the pages show.
    port : int
        0 takes a free one.
    open_browser : bool
        Whether to open the page in the user's browser.
    say : callable
        Called with the address, once the server can be reached.

    Raises
    ------
    UsageError
        If the port is taken or may not be used.
    KeyboardInterrupt
        On Ctrl-C, when everything is closed.
    """
    import uvicorn

    with listening(port) as listener:
        chosen = listener.getsockname()[1]
        token = new_token()
        config = uvicorn.Config(
            create_app(content, token, chosen),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=SECONDS_TO_FINISH,
        )
        address = f"http://{HOST}:{chosen}/{token}/"
        say(address)
        threading.Thread(target=content.prepare, daemon=True).start()
        if open_browser and has_screen():
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        uvicorn.Server(config).run(sockets=[listener])
        # reached in a process whose parent ignores Ctrl-C
        raise KeyboardInterrupt


def listening(port: int) -> socket.socket:
    """Return a socket that listens on this machine's own address."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # a port that a server has just released can be used at once
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} is in use by another program; leave --port out, and a free one is taken"
            ) from error
        raise UsageError(
            f"port {port} cannot be used ({error.strerror or error}); leave --port out for a free one"
        ) from error
    return listener


def has_screen() -> bool:
    """Whether a browser can open a window; otherwise a text browser would take over the terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"))
