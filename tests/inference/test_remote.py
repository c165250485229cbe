"""A real Dask scheduler with worker processes does what threads do, whatever becomes of it on the way."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest
from cluster_stages import deadly, given_up, where
from command_line import Command
from dask_processes import predicting, scheduler, until, worker
from distributed.client import ClosedClientError, FutureCancelledError, FuturesCancelledError
from outputs import digests, predicted

from wsiseg.errors import ClusterError, UsageError
from wsiseg.inference.clusters import open_cluster
from wsiseg.inference.connection import Connection
from wsiseg.inference.graph import StageResult, Task
from wsiseg.inference.remote import connected
from wsiseg.store.states import Key, Stage

pytestmark = pytest.mark.slow

# Small tiles: many of them, so that there is a middle of the run in which to kill something.
TILE_PX = 128
SOME = 15


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that client and workers see."""
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def here(folder: Path, svs_slide: Path, model_file: Path) -> dict[str, str]:
    """What threads of this process leave of the slide."""
    predicted(svs_slide, folder / "here", model_file, tile_px=TILE_PX)
    return digests(folder / "here")


@pytest.fixture(scope="module")
def two_workers(folder: Path) -> Iterator[str]:
    """The address of a scheduler with two workers, three processes in all."""
    with scheduler(folder) as address, worker(address, folder), worker(address, folder):
        yield address


@pytest.fixture(scope="module")
def bare(folder: Path) -> Iterator[str]:
    """The address of a scheduler whose workers the tests bring; it gives up all that a dead worker had."""
    with scheduler(folder, env={"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}) as address:
        yield address


def done_tiles(out: Path, store: str = "slide.zarr.unfinished") -> dict[tuple[str, ...], int]:
    """Return the tiles that are done, with the time when they were."""
    found = out.glob(f"{store}/status/objects/c/*/*")
    # A state in the making has another name, which is gone a moment later.
    return {file.parts[-2:]: file.stat().st_mtime_ns for file in found if file.name.isdigit()}


def test_a_killed_client_resumes_on_its_cluster_and_leaves_the_same_outputs(
    folder: Path, svs_slide: Path, model_file: Path, two_workers: str, here: dict[str, str], command: Command
) -> None:
    out = folder / "resumed"
    with predicting([svs_slide], out, model_file, two_workers, TILE_PX) as client:
        until(lambda: len(done_tiles(out)) > SOME)
        client.send_signal(signal.SIGKILL)
    before = done_tiles(out)
    assert len(before) > SOME
    how = ("-m", model_file, "--tile-size", TILE_PX, "--scheduler", two_workers)
    done = command("predict", svs_slide, "-o", out, *how)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert digests(out) == here
    (row,) = json.loads((out / "run.json").read_text())["slides"]
    assert "dask" in row["engine"]
    after = done_tiles(out, "slide.zarr")
    again = [tile for tile, time_ns in before.items() if after[tile] != time_ns]
    assert len(again) <= 2


def test_two_clients_share_a_cluster(
    folder: Path, svs_slide: Path, small_slide: Path, model_file: Path, two_workers: str, here: dict[str, str]
) -> None:
    other = Thread(
        target=predicted, args=(svs_slide, folder / "one", model_file),
        kwargs={"tile_px": 300, "scheduler": two_workers},
    )  # fmt: skip
    other.start()
    (report,) = predicted(
        small_slide, folder / "two", model_file, slide_mpp=0.25, scheduler=two_workers, tile_px=TILE_PX
    )
    other.join()
    assert report.state == "done"
    assert digests(folder / "one") == here


def test_a_scheduler_that_dies_is_said_in_words_and_the_state_is_kept(
    folder: Path, svs_slide: Path, model_file: Path, two_workers: str, here: dict[str, str]
) -> None:
    out = folder / "orphaned"
    with ExitStack() as stack:
        address = stack.enter_context(scheduler(folder))
        stack.enter_context(worker(address, folder))
        client = predicting([svs_slide], out, model_file, address, TILE_PX, patience_s=3)
        until(lambda: len(done_tiles(out)) > SOME)
    with client:
        _, errors = client.communicate(timeout=150)
    assert client.returncode == 1
    assert "is gone; finished tiles are kept: start it and repeat the command to resume" in errors
    assert "Traceback" not in errors
    assert len(done_tiles(out)) > SOME
    predicted(svs_slide, out, model_file, scheduler=two_workers, tile_px=TILE_PX)
    assert digests(out) == here


@pytest.mark.parametrize(
    "error",
    [
        FutureCancelledError("task", "scheduler-connection-lost"),
        FuturesCancelledError([]),
        ClosedClientError("Client is closed."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_lost_at_any_moment_is_said_in_words(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut:
        status = "running"

        def gather(self, futures: object) -> None:
            raise error

        def submit(self, *arguments: object, **options: object) -> None:
            raise error

    monkeypatch.setattr("wsiseg.inference.connection._client", lambda _address: Cut())
    connection = Connection("tcp://there:8786")
    for call in (lambda: connection.gather([]), lambda: connection.submit(print)):
        with pytest.raises(ClusterError, match="the Dask scheduler at tcp://there:8786 is gone"):
            call()


@pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1:9"])
def test_no_scheduler_at_an_address_is_said_in_a_line(address: str) -> None:
    with pytest.raises(UsageError, match=f"no Dask scheduler answers at {address}"), open_cluster(address, 1):
        pass


def test_a_scheduler_without_workers_is_not_waited_for_in_silence_for_ever(bare: str) -> None:
    with pytest.raises(ClusterError, match="no workers for 1 s; start some"), connected(bare, patience_s=1):
        pass


def test_a_worker_with_another_version_is_refused_with_what_differs(
    tmp_path: Path, svs_slide: Path, model_file: Path, bare: str, command: Command
) -> None:
    note = tmp_path / "modules" / "zarr-9.9.dist-info"
    note.mkdir(parents=True)
    (note / "METADATA").write_text("Metadata-Version: 2.1\nName: zarr\nVersion: 9.9\n")
    with worker(bare, tmp_path, modules=tmp_path / "modules"):
        done = command("predict", svs_slide, "-o", tmp_path / "out", "-m", model_file, "--scheduler", bare)
    assert done.returncode == 1
    assert "has other software than this machine (zarr 9.9 instead of" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").glob("*.zarr*"))


def test_a_worker_without_wsiseg_is_refused(tmp_path: Path, bare: str) -> None:
    (tmp_path / "wsiseg").mkdir()
    (tmp_path / "wsiseg" / "__init__.py").touch()
    with (
        worker(bare, tmp_path, modules=tmp_path),
        pytest.raises(ClusterError, match="does not have this version of wsiseg"),
        connected(bare),
    ):
        pass


def test_a_worker_that_does_not_see_the_files_is_refused_before_work_starts(
    tmp_path: Path, svs_slide: Path, two_workers: str
) -> None:
    with connected(two_workers) as cluster:
        with pytest.raises(ClusterError, match=r"there is no such file.*must be where all workers see them"):
            cluster.bound(str(tmp_path / "gone.svs"), "auto", str(tmp_path), "cpu")
        with pytest.raises(ClusterError, match="not a Zarr store of wsiseg"):
            cluster.bound(str(svs_slide), "auto", str(tmp_path), "cpu")


def test_what_kills_its_workers_is_given_up_and_the_rest_goes_on(tmp_path: Path, bare: str) -> None:
    first = {Key(Stage.NETWORK, 0, 0, col): Task(deadly, give_up=given_up) for col in range(3)}
    last = Key(Stage.OBJECTS, 0, 0, 0)
    tasks = {**first, last: Task(deadly, after=tuple(first))}
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(worker(bare, tmp_path))
        with connected(bare) as cluster:
            until(lambda: len(cluster.connection.workers()) == 5)
            *results, final = cluster.run("job", tasks)
            assert {result.key.col: result.failure for result in results} == {
                0: None,
                1: "every worker that tried it died (out of memory?)",
                2: None,
            }
            assert final.key == last


def test_blocks_go_where_the_gpu_is_and_fill_the_threads_beside_it(tmp_path: Path, bare: str) -> None:
    network = {Key(Stage.NETWORK, 0, 0, col): Task(where, needs_network=True) for col in range(12)}
    others = {Key(Stage.OBJECTS, 0, 1, col): Task(where) for col in range(12)}
    with (
        worker(bare, tmp_path, "--name", "with-gpu", "--nthreads", 3, "--resources", "GPU=1"),
        worker(bare, tmp_path, "--name", "without"),
        connected(bare) as cluster,
    ):
        until(lambda: len(cluster.connection.workers()) == 2)
        assert cluster.threads == 3
        results = list(cluster.run((0.1, 0.5), network | others))
    on_gpu = [result for result in results if result.key.row == 0]
    assert {result.failure for result in on_gpu} == {"with-gpu"}
    assert max(result.pixels for result in on_gpu) == 3
    assert "without" in {result.failure for result in results if result.key.row == 1}


def killing(process: subprocess.Popen[bytes], results: Iterator[StageResult]) -> Iterator[StageResult]:
    """Kill a worker as soon as there are results."""
    for result in results:
        process.kill()
        yield result


@pytest.mark.parametrize(
    ("options", "missing"), [((), "workers"), (("--resources", "GPU=1"), "workers with a GPU")]
)
def test_when_the_last_worker_is_lost_the_run_waits_and_then_ends_in_words(
    tmp_path: Path, bare: str, options: tuple[str, ...], missing: str
) -> None:
    tasks = {Key(Stage.NETWORK, 0, 0, col): Task(where, needs_network=True) for col in range(100)}
    results = []
    with ExitStack() as stack:
        last = stack.enter_context(worker(bare, tmp_path, *options))
        if options:
            stack.enter_context(worker(bare, tmp_path))
        patient = stack.enter_context(connected(bare))
        until(lambda: len(patient.connection.workers()) == 1 + bool(options))
        cluster = stack.enter_context(connected(bare, patience_s=2))
        with pytest.raises(ClusterError, match=f"has had no {missing} for 2 s; start some with"):
            results.extend(killing(last, cluster.run((0.1,), tasks)))
    assert 0 < len(results) < len(tasks)
