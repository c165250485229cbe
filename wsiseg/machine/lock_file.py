"""A lock as a file in a folder that several hosts may share."""

from __future__ import annotations

import os
import time
from glob import escape
from pathlib import Path

from wsiseg.machine.owner import Owner


class LockFile:
    """A lock file.

    Parameters
    ----------
    path : Path
        Where it lies while the lock is held.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name

    def create(self, mine: Owner) -> bool:
        """Write the lock unless there is one; return whether it was written."""
        written = self._beside(mine)
        try:
            written.write_bytes(mine.as_bytes())
            created = _link(written, self._path)
        finally:
            written.unlink(missing_ok=True)
        if created:
            self._remove_leftovers()
        return created

    def read(self) -> tuple[Owner, float] | None:
        """Return the owner and the time of the last touch; None if nobody holds the lock."""
        return _read(self._path)

    def touch(self, mine: Owner) -> None:
        """Show that the owner is alive."""
        os.utime(self._path)

    def now(self, mine: Owner) -> float:
        """Return the time by the clock that stamps the folder's files; it may be a server's clock."""
        probe = self._beside(mine)
        try:
            probe.touch()
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def take_over(self, dead: Owner, mine: Owner) -> bool:
        """Remove a dead owner's lock, so that it can be created; only one process may at a time."""
        mark = self._path.with_name(f"{self.name}.{dead.token[:12]}.dead")
        written = self._beside(mine)
        try:
            written.write_bytes(mine.as_bytes())
            if not _link(written, mark):
                _remove_if_dead(mark)
                time.sleep(0.01)
                return False
        finally:
            written.unlink(missing_ok=True)
        try:
            found = self.read()
            if found is not None and found[0].token == dead.token:
                self.remove()
        finally:
            mark.unlink(missing_ok=True)
        return False

    def remove(self) -> None:
        """Remove the lock."""
        self._path.unlink(missing_ok=True)

    def _beside(self, mine: Owner) -> Path:
        return self._path.with_name(f"{self.name}.{mine.token[:12]}")

    def _remove_leftovers(self) -> None:
        """Remove leftovers of runs that were killed while taking this lock."""
        for leftover in self._path.parent.glob(f"{escape(self.name)}.*"):
            _remove_if_dead(leftover)


def _link(written: Path, path: Path) -> bool:
    """Link a written file to a second name, which only one run can do; return whether it worked."""
    try:
        os.link(written, path)
    except FileExistsError:
        # Over NFS the answer to a successful link may get lost.
        return written.stat().st_nlink == 2
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        try:
            with path.open("xb") as file:
                file.write(written.read_bytes())
        except FileExistsError:
            return False
        except OSError:
            path.unlink(missing_ok=True)
            raise
    return True


def _read(path: Path) -> tuple[Owner, float] | None:
    try:
        return Owner.read(path.read_bytes()), path.stat().st_mtime
    except FileNotFoundError:
        return None


def _remove_if_dead(file: Path) -> None:
    found = _read(file)
    if found is not None and found[0].is_dead(time.time() - found[1]):
        file.unlink(missing_ok=True)
