"""A real S3 server: slides read from it, outputs written to it, runs that are killed and go on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, command_environment
from dask_processes import until
from outputs import digests, predicted

from wsiseg.api import predict
from wsiseg.config import ObjectsConfig, PredictConfig
from wsiseg.errors import StoreError, UsageError
from wsiseg.inference import pipeline
from wsiseg.inference.bucket import Bucket
from wsiseg.inference.graph import StageResult
from wsiseg.inference.job import SlideJob
from wsiseg.machine import locks
from wsiseg.machine.lock_object import LockObject
from wsiseg.machine.locks import BusyError, held
from wsiseg.slides.sources import SlideSource
from wsiseg.store.states import Key

pytestmark = pytest.mark.slow

TILE_PX = 256


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """The environment in which `s3://` means a server of this machine."""
    moto = pytest.importorskip("moto.server", reason="needs moto (extra `test`)")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    running.stop()


@pytest.fixture
def fs(server: dict[str, str], monkeypatch: pytest.MonkeyPatch, svs_slide: Path) -> Any:
    """The server's files, with an empty bucket `out` and the slide in `slides`."""
    import s3fs

    for name, value in server.items():
        monkeypatch.setenv(name, value)
    found = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    for bucket in ("slides", "out"):
        if found.exists(bucket):
            found.rm(bucket, recursive=True)
        found.mkdir(bucket)
    found.put(str(svs_slide), "slides/slide.svs")
    return found


@pytest.fixture(scope="module")
def here(svs_slide: Path, model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a folder of this machine holds of the slide."""
    out = tmp_path_factory.mktemp("here")
    predicted(svs_slide, out, model_file, tile_px=TILE_PX, reader="tiffslide")
    return digests(out)


def predicting(model: Path) -> subprocess.Popen[bytes]:
    """Start `wsiseg predict` from bucket to bucket: it sends its state all the time, and lingers at tiles."""
    code = (
        "import runpy, time; from wsiseg.inference import bucket, pipeline; bucket.SEND_EVERY_S = 0.1;"
        "compute = pipeline.compute_tile;"
        "pipeline.compute_tile = lambda *what: (time.sleep(0.5), compute(*what))[1];"
        "runpy.run_module('wsiseg', run_name='__main__')"
    )
    given = ("s3://slides/", "-o", "s3://out/run", "-m", model, "--tile-size", TILE_PX, "-w", 1, "-q")
    return subprocess.Popen(
        [sys.executable, "-c", code, "predict", *map(str, given)], env=command_environment()
    )


def state(model: Path, **settings: Any) -> str:
    """Predict in this process and return what became of the slide."""
    config = PredictConfig(tile_px=TILE_PX, **settings)
    (report,) = predict("s3://slides/", "s3://out/run", model, config=config)
    return report.cause or report.state


def fetched(fs: Any, folder: Path) -> dict[str, str]:
    fs.get("out/run/", str(folder), recursive=True)
    return digests(folder)


def test_a_bucket_holds_what_a_folder_would_and_a_run_goes_on_after_its_machine_is_lost(
    fs: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model_file: Path, here: dict[str, str],
    command: Command,
) -> None:  # fmt: skip
    monkeypatch.setenv("WSISEG_WORK", str(tmp_path / "lost"))
    with predicting(model_file) as lost:
        until(lambda: len(fs.find("out/run/slide.zarr.unfinished/status/objects/c")) > 3)
        lost.kill()
    shutil.rmtree(tmp_path / "lost")
    assert not fs.exists("out/run/slide.zarr")
    sent = fs.find("out/run/slide.zarr.unfinished/status/objects/c")
    begun = {path.rpartition("objects/c/")[2] for path in sent}
    # The lock is that of a process of this host that is gone; of another host it would have to be 90 s old.
    monkeypatch.setenv("WSISEG_WORK", str(tmp_path / "next"))
    computed: list[str] = []

    compute_tile = pipeline.compute_tile

    def counted(job: SlideJob, key: Key) -> StageResult:
        computed.append(f"{key.row}/{key.col}")
        return compute_tile(job, key)

    monkeypatch.setattr(pipeline, "compute_tile", counted)
    assert state(model_file) == "done"
    assert fetched(fs, tmp_path / "got") == here
    assert len(begun) > 3
    assert not begun & set(computed)
    assert not fs.exists("out/run/slide.zarr.unfinished")
    assert not [path for path in fs.find("out/run") if ".lock" in path or ".part" in path]
    assert not list((tmp_path / "next").glob("bucket-*/*"))
    assert "slide,s3://slides/slide.svs,done" in fs.cat_file("out/run/summary.csv").decode()
    again = command("predict", "s3://slides/", "-o", "s3://out/run", "-m", model_file, "--tile-size", TILE_PX)
    assert again.stdout == "1 of 1 slides done; see s3://out/run/index.html\n", again.stderr
    other = ObjectsConfig(threshold=0.7)
    assert "was made with other settings (objects.threshold" in state(model_file, objects=other)
    assert state(model_file, objects=other, overwrite=True) == "done"
    anew = fetched(fs, tmp_path / "anew")
    assert anew.keys() == here.keys()
    assert anew != here


def test_what_cannot_be_written_to_is_said_before_work_starts(fs: Any, svs_slide: Path) -> None:
    with pytest.raises(StoreError, match="s3://nothing/run: cannot be written: "):
        predict(svs_slide, "s3://nothing/run")


def test_nothing_that_wsiseg_did_not_make_is_replaced(fs: Any, svs_slide: Path) -> None:
    fs.pipe_file("out/run/slide.geojson", b"drawn by hand")
    fs.pipe_file("out/run/slide.zarr/zarr.json", b'{"attributes": {}}')
    with pytest.raises(UsageError, match="not replace them:") as refused:
        predict(svs_slide, "s3://out/run", config=PredictConfig(overwrite=True))
    assert "s3://out/run/slide.geojson" in str(refused.value)
    assert "s3://out/run/slide.zarr" in str(refused.value)
    assert fs.cat_file("out/run/slide.geojson") == b"drawn by hand"
    assert len(fs.find("out")) == 2


def test_one_of_two_holds_a_slide_and_a_dead_owner_does_not_keep_it(
    fs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = LockObject(fs, "out/.slide.lock")
    with held(lock, work="a"):
        with pytest.raises(BusyError, match="another run"), held(lock):
            pass
        assert fs.exists("out/.slide.lock")
    assert not fs.exists("out/.slide.lock")
    owner = {"host": "gone", "machine": "gone", "pid": 1, "started": "", "work": "", "token": "x"}
    fs.pipe_file("out/.slide.lock", json.dumps(owner).encode())
    with pytest.raises(BusyError, match="on gone"), held(lock):
        pass
    monkeypatch.setattr("wsiseg.machine.owner.STALE_S", 0.5)
    time.sleep(1.6)
    with held(lock):
        assert json.loads(fs.cat_file("out/.slide.lock"))["pid"] == os.getpid()
    assert fs.find("out") == []


def test_a_lock_that_is_taken_away_is_told_at_the_end(
    fs: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, svs_slide: Path
) -> None:
    monkeypatch.setattr(locks, "TOUCH_EVERY_S", 0.05)
    source = SlideSource(str(svs_slide), "slide", None)

    def work() -> None:
        with Bucket(tmp_path, fs, "s3://out").turn(source):
            fs.rm_file("out/.slide.lock")
            (tmp_path / "slide.parquet").touch()
            time.sleep(0.5)

    with pytest.raises(BusyError, match="is gone"):
        work()
    assert not fs.exists("out/slide.parquet")
