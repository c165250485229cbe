"""Workers killed at random moments over a batch of slides, and a scheduler restarted: nothing is lost."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from dask_processes import predicting, running, scheduler, until, worker
from outputs import digests, predicted

pytestmark = pytest.mark.slow

TILE_PX = 128
NAMES = ("a", "b", "c")
START_S = 8.0


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory, svs_slide: Path) -> list[Path]:
    """Three slides with the same pixels."""
    folder = tmp_path_factory.mktemp("batch")
    return [Path(shutil.copy(svs_slide, folder / f"{name}.svs")) for name in NAMES]


@pytest.fixture(scope="module")
def here(svs_slide: Path, model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What threads of this process leave of each slide."""
    out = tmp_path_factory.mktemp("here")
    predicted(svs_slide, out, model_file, tile_px=TILE_PX)
    return list(digests(out).values())


class Workers:
    """Two workers with nannies, as `dask worker` starts them; who is killed is replaced.

    Parameters
    ----------
    address : str
        Of the scheduler.
    folder : Path
    chance : random.Random
    """

    def __init__(self, address: str, folder: Path, chance: random.Random) -> None:
        self._address, self._folder, self._chance = address, folder, chance
        self._stack = ExitStack()
        self._children: list[psutil.Process] = []
        self._nannies: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Workers:
        for _ in range(2):
            self._start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._note_children()
        self._stack.close()
        for child in self._children:
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def kill_one(self) -> str:
        """Kill a nanny, whose worker then closes by itself, a worker, or both; return which."""
        self._note_children()
        what = self._chance.choice(["nanny", "worker", "both"])
        nanny = self._chance.choice(self._nannies)
        children = psutil.Process(nanny.pid).children()
        if what != "worker":
            nanny.kill()
            nanny.wait()
            self._nannies.remove(nanny)
            self._start()
        if what != "nanny":
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        return what

    def _start(self) -> None:
        options = ("--no-dashboard", "--local-directory", self._folder, "--nthreads", 1)
        process = running("distributed.cli.dask_worker", self._address, *options, cwd=self._folder)
        self._nannies.append(self._stack.enter_context(process))

    def _note_children(self) -> None:
        for nanny in self._nannies:
            self._children += psutil.Process(nanny.pid).children()


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How many kills were asked for."""
    return int(request.config.getoption("--kills"))


def tiles_of(out: Path) -> int:
    """Return how many tiles are done."""
    return len(list(out.glob("*.zarr*/status/objects/c/*/*")))


def waited(client: subprocess.Popen[str], chance: random.Random, out: Path, starting: bool) -> bool:
    """Wait for a random moment: in the start of a run, or within the next tiles; whether the run goes on."""
    if starting:
        with suppress(subprocess.TimeoutExpired):
            client.wait(chance.uniform(0.0, START_S))
    else:
        enough = tiles_of(out) + chance.randint(0, 30)
        until(lambda: client.poll() is not None or tiles_of(out) >= enough)
    return client.poll() is None


def test_workers_killed_at_random_moments_lose_nothing(
    tmp_path: Path, slides: list[Path], model_file: Path, here: list[str], kills: int
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed of the kills: {seed}")
    chance = random.Random(seed)
    done, runs = 0, 0
    blame = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(chance.choice([0, 3]))}
    with scheduler(tmp_path, env=blame) as address, Workers(address, tmp_path, chance) as workers:
        while done < kills:
            out = tmp_path / f"run-{runs}"
            runs += 1
            with predicting(slides, out, model_file, address, TILE_PX) as client:
                begun = done
                while done < kills and waited(client, chance, out, starting=done == begun):
                    print(f"run {runs}: {workers.kill_one()} killed after {tiles_of(out)} tiles")
                    done += 1
                _, errors = client.communicate(timeout=300)
            assert client.returncode == 0, errors
            for name in NAMES:
                assert list(digests(out, name).values()) == here


@pytest.fixture
def port(tmp_path: Path) -> int:
    """A port that was free a moment ago."""
    with scheduler(tmp_path) as address:
        found = urlsplit(address).port
    assert found is not None
    return found


def test_a_restarted_scheduler_loses_nothing(
    tmp_path: Path, slides: list[Path], model_file: Path, here: list[str], port: int
) -> None:
    out = tmp_path / "out"
    with ExitStack() as lasting:
        with ExitStack() as first:
            address = first.enter_context(scheduler(tmp_path, port=port))
            first.enter_context(worker(address, tmp_path))
            client = lasting.enter_context(predicting(slides, out, model_file, address, TILE_PX))
            until(lambda: len(list(out.glob("b.zarr.unfinished/status/objects/c/*/*"))) > 5)
        assert client.poll() is None
        assert lasting.enter_context(scheduler(tmp_path, port=port)) == address
        late = lasting.enter_context(worker(address, tmp_path))
        _, errors = client.communicate(timeout=300)
        assert client.returncode == 0, errors
        late.send_signal(signal.SIGTERM)
    for name in NAMES:
        assert list(digests(out, name).values()) == here
