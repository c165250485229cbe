"""Damaged files of every kind through the readers, the model loader and what continues earlier outputs.

    python benchmarks/fuzz.py [--cases 10000] [--seed 0] [--only NAME,...] [--json FILE]

Each case is one damaged file, made from its number and the seed alone. It is read in a process that may take
2 GB more than it has when it starts, and 10 s of the processor. A case is well if the file is read or refused
with an error of wsiseg; a crash, a hang, memory that runs out or any other exception is a failure, listed
with its number: `--case N` does that one again in this process, to see where.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import platform
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from harness.sandbox import FAILURES, READ, REFUSED, Outcome, attempts, scratch_folder
from harness.targets import Target, targets


class Plan:
    """Which target a case belongs to, and its random numbers."""

    def __init__(self, found: dict[str, Target], seed: int, folder: Path) -> None:
        self._names = [name for name, target in found.items() for _ in range(target.share)]
        self._found, self._seed, self._folder = found, seed, folder

    def name(self, case: int) -> str:
        """Return the target of a case."""
        return self._names[case % len(self._names)]

    def attempt(self, case: int) -> tuple[str, str]:
        """Do a case in a folder of its own."""
        folder = self._folder / "case"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        name = self.name(case)
        return self._found[name].attempt(folder, random.Random(f"{self._seed} {name} {case}"))


def run(cases: int, seed: int, only: set[str], said: bool = True) -> tuple[Plan, list[Outcome]]:
    """Do `cases` cases; return the plan and the outcomes."""
    folder = scratch_folder()
    try:
        found = {name: t for name, t in targets(folder).items() if not only or name in only}
        plan = Plan(found, seed, folder)
        outcomes = []
        for outcome in attempts(range(cases), plan.attempt):
            outcomes.append(outcome)
            if said and outcome.verdict in FAILURES:
                name = plan.name(outcome.case)
                print(f"case {outcome.case} ({name}): {outcome.verdict}: {outcome.detail}", flush=True)
            if said and len(outcomes) % 1000 == 0:
                print(f"{len(outcomes)} of {cases}", flush=True)
        return plan, outcomes
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def again(case: int, seed: int, only: set[str]) -> None:
    """Do one case in this process and keep its files."""
    folder = scratch_folder()
    found = {name: t for name, t in targets(folder).items() if not only or name in only}
    print(Plan(found, seed, folder).attempt(case), f"files: {folder / 'case'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=lambda text: set(text.split(",")), default=set())
    parser.add_argument("--case", type=int, help="do this one in this process")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.case is not None:
        again(given.case, given.seed, given.only)
        return
    started = time.perf_counter()
    plan, outcomes = run(given.cases, given.seed, given.only)
    seconds = time.perf_counter() - started
    verdicts = (READ, REFUSED, *FAILURES)
    table: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        table.setdefault(plan.name(outcome.case), Counter())[outcome.verdict] += 1
    print(f"{'target':18}" + "".join(f"{verdict:>10}" for verdict in verdicts))
    for name, counts in [*table.items(), ("all", sum(table.values(), Counter()))]:
        print(f"{name:18}" + "".join(f"{counts[verdict]:>10}" for verdict in verdicts))
    print(f"{len(outcomes)} cases in {seconds:.0f} s on {platform.processor() or platform.machine()}")
    if given.json:
        failures = [vars(outcome) for outcome in outcomes if outcome.verdict in FAILURES]
        result = {"cases": len(outcomes), "seed": given.seed, "seconds": seconds, "failures": failures}
        result["counts"] = {name: dict(counts) for name, counts in table.items()}
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    if any(outcome.verdict in FAILURES for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
