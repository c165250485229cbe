"""Paths and URLs of slides: checks of a file before any reader opens it."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from typing import Any

from wsiseg.errors import SlideError


def is_url(path: str) -> bool:
    """Whether `path` is an fsspec URL (``s3://...``) and not a local file."""
    scheme, sep, _ = path.partition("://")
    known = bool(sep) and scheme.replace("+", "").replace("-", "").replace(":", "").isalnum()
    return known and not os.path.exists(path)


def normalised(path: str | os.PathLike[str]) -> str:
    """Return a path as the readers want it: a str, without ``file://``."""
    text = os.fspath(path)
    return text.removeprefix("file://") if text.startswith("file:///") else text


def open_binary(path: str) -> Any:
    """Open a file or URL for reading bytes."""
    if is_url(path):
        import fsspec

        return fsspec.open(path, "rb").open()
    return open(path, "rb")


def size(path: str) -> int | None:
    """Return the bytes of a slide of a single file; None for folders, URLs and formats of several files."""
    if is_url(path) or not os.path.isfile(path) or path.lower().endswith((".mrxs", ".vms", ".vmu", ".dcm")):
        return None
    return os.path.getsize(path)


def check_readable(path: str) -> None:
    """Refuse what no reader can open, with the cause.

    Raises
    ------
    SlideError
        If the file is missing, empty, special, not permitted or not reachable.
    """
    if is_url(path):
        _check_reachable(path)
        return
    if "\0" in path:
        raise SlideError(path.replace("\0", "\\0"), "no file can have this name")
    try:
        status = os.stat(path)
    except FileNotFoundError:
        dangling = os.path.islink(path)
        cause = "the link points to nothing" if dangling else "there is no such file"
        raise SlideError(path, cause) from None
    except OSError as error:
        raise SlideError(path, f"cannot be read: {error.strerror or error}") from None
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        raise SlideError(path, "is not a regular file")
    if status.st_size == 0:
        raise SlideError(path, "the file is empty")
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise SlideError(path, f"cannot be read: {error.strerror or error}") from None


def _check_reachable(url: str) -> None:
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(url)
        length = fs.info(path).get("size")
    except FileNotFoundError:
        raise SlideError(url, "there is nothing at this address") from None
    except Exception as error:
        raise SlideError(url, f"cannot be reached: {' '.join(str(error).split())[:200]}") from None
    if length == 0:
        raise SlideError(url, "the file is empty")


def looks_like(path: str) -> str:
    """Return ": it is ..." for things that are plainly no slide, else an empty string."""
    try:
        with open_binary(path) as file:
            head: bytes = file.read(512)
    except Exception:
        return ""
    if head.startswith(b"%PDF"):
        return ": it is a PDF"
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        return ": it is an archive; unpack it first"
    is_text = bool(head) and not any(byte < 9 for byte in head) and _is_utf8(head)
    return ": it is a text file" if is_text else ""


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def ends(path: str, count: int) -> Iterator[bytes]:
    """Yield the size, the first and last `count` bytes of a file, or of every file in a folder, by name."""
    if not is_url(path) and os.path.isdir(path):
        for name in sorted(os.listdir(path)):
            if os.path.isfile(os.path.join(path, name)):
                yield os.fsencode(name)
                yield from ends(os.path.join(path, name), count)
        return
    with open_binary(path) as file:
        length = file.seek(0, os.SEEK_END)
        yield str(length).encode()
        file.seek(0)
        yield file.read(count)
        file.seek(max(0, length - count))
        yield file.read(count)
