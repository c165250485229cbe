"""The scripts in benchmarks/ import each other as they do when they are run."""

from __future__ import annotations

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

collect_ignore_glob = [] if BENCHMARKS.is_dir() else ["test_*.py"]
sys.path.append(str(BENCHMARKS))
