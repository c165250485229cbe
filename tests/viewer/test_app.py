"""Who gets an answer, and to which addresses; asked as the server asks, without one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pytest

from wsiseg.viewer.app import STATIC, create_app
from wsiseg.viewer.content import Content
from wsiseg.viewer.guard import HEADERS, new_token

TOKEN, PORT = "the-token", 5678


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Asker:
    """Sends requests to the application; `None` when it does not answer at all."""

    def __init__(self, content: Content) -> None:
        self.app = create_app(content, TOKEN, PORT)

    def __call__(
        self,
        path: str,
        method: str = "GET",
        hosts: tuple[str, ...] = (f"127.0.0.1:{PORT}",),
        kind: str = "http",
    ) -> Answer | None:
        path, _, query = path.partition("?")
        scope: dict[str, Any] = {
            "type": kind, "method": method, "path": path, "raw_path": path.encode(), "root_path": "",
            "query_string": query.encode(), "scheme": "http", "http_version": "1.1",
            "headers": [(b"host", host.encode()) for host in hosts],
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        if not sent:
            return None
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(part.get("body", b"") for part in sent[1:]))


@pytest.fixture
def ask(content: Content) -> Asker:
    return Asker(content)


@pytest.mark.parametrize(
    "path", ["/", "", f"/{TOKEN}x/", f"/{TOKEN[:-1]}/", "/facts", "//facts", f"/x/{TOKEN}/facts", "/tökén/"]
)
def test_without_the_token_there_is_nothing(ask: Asker, path: str) -> None:
    answer = ask(path)
    assert answer is not None
    assert answer.status == 403
    assert b"wsiseg view" in answer.body
    assert answer.headers.items() >= HEADERS.items()


@pytest.mark.parametrize(
    "hosts",
    [
        ("evil.example",),
        (f"evil.example:{PORT}",),
        ("127.0.0.1",),
        ("127.0.0.1:1",),
        (f"127.0.0.1:{PORT}.evil.example",),
        ("",),
        (),
        (f"127.0.0.1:{PORT}", "evil.example"),
    ],
)
def test_a_name_that_is_not_ours_is_refused(ask: Asker, hosts: tuple[str, ...]) -> None:
    answer = ask(f"/{TOKEN}/facts", hosts=hosts)
    assert answer is not None
    assert answer.status == 421


def test_our_own_names(ask: Asker) -> None:
    for host in (f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}"):
        answer = ask(f"/{TOKEN}/facts", hosts=(host,))
        assert answer is not None
        assert answer.status == 200
        assert json.loads(answer.body)["name"] == "slide"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT"])
def test_nothing_can_be_changed(ask: Asker, method: str) -> None:
    answer = ask(f"/{TOKEN}/facts", method=method)
    assert answer is not None
    assert answer.status == 405
    assert not any("access-control" in name for name in answer.headers)


def test_websockets_get_no_answer(ask: Asker) -> None:
    assert ask(f"/{TOKEN}/facts", kind="websocket") is None


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd", "/etc/passwd", "static/viewer.css", "..%2f..%2fapp.py", "app.py",
        "index.html",
        "viewer.css/../app.py", "openseadragon.min.js", "slide/0/0", "slide/0/0/0/0", "slide/a/0/0",
        "slide/-1/0/0", "slide/0/-1/0", "slide/0/99/0", "slide/99999999999999999999/0/0", "confidence/9/0/0",
        "nuclei/0/0/0?measure=geometry", "nuclei/0/0/0?measure=../../x", "nuclei/7/0/0", "nucleus?rank=9",
        "nucleus?rank=-1", "\x00", "viewer.css\x00.js",
    ],
)  # fmt: skip
def test_no_address_is_a_path_of_the_file_system(ask: Asker, path: str) -> None:
    answer = ask(f"/{TOKEN}/{path}")
    assert answer is not None
    assert answer.status == 404
    assert answer.headers.items() >= HEADERS.items()


@pytest.mark.parametrize(
    "path",
    [
        "density",
        "density?threshold=",
        "density?threshold=nan",
        "density?threshold=x",
        "nucleus?x=1&y=inf&tolerance=1",
    ],
)
def test_what_is_no_number_is_refused(ask: Asker, path: str) -> None:
    answer = ask(f"/{TOKEN}/{path}")
    assert answer is not None
    assert answer.status == 400


@pytest.mark.parametrize("address", STATIC)
def test_files_of_the_page(ask: Asker, address: str) -> None:
    answer = ask(f"/{TOKEN}/{address}")
    assert answer is not None
    assert answer.status == 200
    name, kind = STATIC[address]
    assert answer.body == (files("wsiseg.viewer") / "static" / name).read_bytes()
    assert answer.headers["content-type"].startswith(kind)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_every_file_of_the_page_has_an_address() -> None:
    names = {entry.name for entry in (files("wsiseg.viewer") / "static").iterdir()}
    assert {name for name, _ in STATIC.values()} == names


def test_answers(ask: Asker) -> None:
    kinds = {
        "slide/0/0/0": "image/jpeg",
        "confidence/0/0/0": "application/octet-stream",
        "nuclei/0/0/0?measure=area_um2": "application/octet-stream",
        "density?threshold=0.5": "application/octet-stream",
        "nucleus?x=120&y=80&tolerance=1": "application/json",
        "nucleus?rank=0": "application/json",
    }
    for path, kind in kinds.items():
        answer = ask(f"/{TOKEN}/{path}")
        assert answer is not None
        assert (answer.status, answer.headers["content-type"]) == (200, kind), path
        assert answer.headers["cache-control"] == "no-store"
    nothing = ask(f"/{TOKEN}/nucleus?x=1&y=1&tolerance=1")
    assert nothing is not None
    assert json.loads(nothing.body) is None


def test_tokens_differ_and_are_long() -> None:
    assert len({new_token() for _ in range(50)}) == 50
    assert len(new_token()) >= 32
