"""A lock as an object of an object store.

An object store can neither rename nor link, but it can refuse to put an object that already exists
(conditional put: S3 since 2024, GCS, MinIO). If it cannot, two runs may compute the same slide; both then
put the same bytes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from wsiseg.machine.owner import Owner


class LockObject:
    """A lock object.

    Parameters
    ----------
    fs : fsspec filesystem
        Without a cache of listings.
    path : str
        Where it lies while the lock is held.
    """

    def __init__(self, fs: Any, path: str) -> None:
        self._fs, self._path = fs, path
        self.name = path.rpartition("/")[2]

    def create(self, mine: Owner) -> bool:
        """Put the lock unless there is one; return whether it was put."""
        try:
            self._fs.pipe_file(self._path, mine.as_bytes(), mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            if _was_refused(error):
                return False
            raise
        return True

    def read(self) -> tuple[Owner, float] | None:
        """Return the owner and the time of the last touch; None if nobody holds the lock."""
        try:
            owner = Owner.read(self._fs.cat_file(self._path))
            return owner, float(self._fs.modified(self._path).timestamp())
        except FileNotFoundError:
            return None

    def touch(self, mine: Owner) -> None:
        """Show that the owner is alive."""
        self._replace(mine, mine)

    def now(self, mine: Owner) -> float:
        """Return the time by the store's clock."""
        probe = f"{self._path}.{mine.token[:12]}"
        self._fs.pipe_file(probe, b"")
        try:
            return float(self._fs.modified(probe).timestamp())
        finally:
            self._fs.rm_file(probe)

    def take_over(self, dead: Owner, mine: Owner) -> bool:
        """Replace a dead owner's lock by ours; return whether it is ours now."""
        self._replace(dead, mine)
        found = self.read()
        return found is not None and found[0].token == mine.token

    def remove(self) -> None:
        """Remove the lock."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._path)

    def _replace(self, before: Owner, after: Owner) -> None:
        tag = tag_of(self._fs, self._path)
        found = self.read()
        if found is not None and found[0].token == before.token:
            put_in_place_of(self._fs, self._path, after.as_bytes(), tag)


def tag_of(fs: Any, path: str) -> str | None:
    """Return the ETag of an object; None where there is no object, or the store has no tags."""
    try:
        return fs.info(path).get("ETag")  # type: ignore[no-any-return]
    except FileNotFoundError:
        return None


def put_in_place_of(fs: Any, path: str, data: bytes, tag: str | None) -> bool:
    """Put an object unless the existing one has a new tag; return whether it was put."""
    how = {"IfMatch": tag} if tag and "s3" in fs.protocol else {}
    try:
        fs.pipe_file(path, data, **how)
    except OSError as error:
        if how and (isinstance(error, FileNotFoundError) or _was_refused(error)):
            return False
        raise
    return True


def _was_refused(error: OSError) -> bool:
    return "PreconditionFailed" in str(error) or "pre-conditions" in str(error)
