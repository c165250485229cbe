"""The command `wsiseg`; handles signals before any slow import."""

from __future__ import annotations

import sys
from typing import NoReturn

from wsiseg.cli.stopping import Stopping


def main() -> NoReturn:
    """Run the command line and exit."""
    stopping = Stopping(sys.argv[1] if len(sys.argv) > 1 else None)
    try:
        stopping.listen()
        from wsiseg.cli.main import main as run

        run(stopping)
    except BaseException as end:
        if not stopping.code:
            raise
        stopping.leave(said=isinstance(end, SystemExit) and end.code == stopping.code)


if __name__ == "__main__":
    main()
