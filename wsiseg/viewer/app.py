"""The web application; no address is ever a path of the file system."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from wsiseg.viewer.guard import Guard

if TYPE_CHECKING:
    from starlette.requests import Request

    from wsiseg.viewer.content import Content

JAVASCRIPT, CSS, HTML, TEXT = "text/javascript", "text/css", "text/html", "text/plain"
STATIC = {
    "": ("index.html", HTML),
    "viewer.css": ("viewer.css", CSS),
    "openseadragon.js": ("openseadragon.min.js", JAVASCRIPT),
    "openseadragon-license": ("openseadragon-LICENSE.txt", TEXT),
    **{
        f"{name}.js": (f"{name}.js", JAVASCRIPT)
        for name in ("viewer", "screen", "tiles", "colours", "confidence", "nuclei", "marks", "panel", "keys")
    },
}
"""Address to file of this package and its type; nothing else is read for a request."""

Endpoint = Callable[["Request"], Response]
BYTES = "application/octet-stream"


class BadRequestError(Exception):
    """A request that the page never makes."""


def create_app(content: Content, token: str, port: int) -> Guard:
    """Return the application of one store.

    Parameters
    ----------
    content : Content
        What the pages show.
    token : str
        First part of every path.
    port : int
        The port of the server, which requests must name.
    """

    def slide_tile(request: Request) -> Response:
        return Response(content.slide_tile(*place(request)), media_type="image/jpeg")

    def confidence_tile(request: Request) -> Response:
        deflated = content.confidence_tile(*place(request))
        return Response(deflated, media_type=BYTES, headers={"content-encoding": "deflate"})

    def nuclei_tile(request: Request) -> Response:
        measure = request.query_params.get("measure", "mean_confidence")
        return Response(content.nuclei_tile(*place(request), measure), media_type=BYTES)

    def density(request: Request) -> Response:
        return Response(content.density_map(number(request, "threshold")), media_type=BYTES)

    def nucleus(request: Request) -> Response:
        if "rank" in request.query_params:
            return JSONResponse(content.least_certain(int(number(request, "rank"))))
        x_l0, y_l0, tolerance_l0 = (number(request, name) for name in ("x", "y", "tolerance"))
        return JSONResponse(content.nucleus_at(x_l0, y_l0, tolerance_l0))

    def facts(_request: Request) -> Response:
        return JSONResponse(content.facts())

    tile = "{level:int}/{col:int}/{row:int}"
    routes = [
        Route("/facts", facts),
        Route(f"/slide/{tile}", slide_tile),
        Route(f"/confidence/{tile}", confidence_tile),
        Route(f"/nuclei/{tile}", nuclei_tile),
        Route("/density", density),
        Route("/nucleus", nucleus),
        *(Route(f"/{address}", static(name, kind)) for address, (name, kind) in STATIC.items()),
    ]
    refusals: Any = {LookupError: absent, KeyError: absent, BadRequestError: bad}
    app = Starlette(routes=routes, exception_handlers=refusals)
    return Guard(app, token, port)


def static(name: str, kind: str) -> Endpoint:
    """Return the endpoint of one file of the package."""
    data = (files("wsiseg.viewer") / "static" / name).read_bytes()

    def endpoint(_request: Request) -> Response:
        return Response(data, media_type=kind)

    return endpoint


def place(request: Request) -> tuple[int, int, int]:
    """Return level, column and row of a tile."""
    level, col, row = (int(request.path_params[name]) for name in ("level", "col", "row"))
    return level, col, row


def number(request: Request, name: str) -> float:
    """Return a finite number of the query."""
    try:
        value = float(request.query_params[name])
    except (KeyError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise BadRequestError(f"{name} must be a number")
    return value


def absent(_request: Request, _error: Exception) -> Response:
    """Answer a request for something that does not exist."""
    return PlainTextResponse("Not found.", 404)


def bad(_request: Request, error: Exception) -> Response:
    """Answer a malformed request."""
    return PlainTextResponse(str(error), 400)
