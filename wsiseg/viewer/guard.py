"""Who may ask: this machine's browser, with the token, under this server's own name."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_BYTES = 24
# The one style element that OpenSeadragon 6.1.1 adds to the page.
OPENSEADRAGON_STYLE = "sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE="

HEADERS = {
    "content-security-policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' '{OPENSEADRAGON_STYLE}'",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""Sent with every answer: no script but the page's own, nothing kept on the disk, no referrer."""


def new_token() -> str:
    """Return a token that cannot be guessed."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class Guard:
    """Pass only requests that name this server and hold the token; strip the token from their path.

    A page of another site that resolves to this address (DNS rebinding) has its own name in the Host header.
    The token is the first part of every path, so that no other program here gets an answer, and no cookie
    is needed that servers on other ports would see.

    Parameters
    ----------
    app : ASGI application
        The application behind the guard.
    token : str
        First part of every address.
    port : int
        Port of the server.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return
        refused, path = self._judged(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        if refused is not None:
            await refused(scope, receive, with_headers)
        else:
            await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, with_headers)

    def _judged(self, scope: Scope) -> tuple[PlainTextResponse | None, str]:
        """Return a refusal or None, and the path behind the token."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("This server answers to 127.0.0.1 only.", 421), ""
        _, token, path = [*scope["path"].split("/", 2), "", ""][:3]
        if not secrets.compare_digest(token.encode(), self._token):
            return PlainTextResponse("Open the address that `wsiseg view` printed.", 403), ""
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("There is nothing to change here.", 405), ""
        return None, f"/{path}"
