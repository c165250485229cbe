"""Two hosts, each a network namespace with its own address, that share a file system and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from command_line import command_environment
from dask_processes import scheduler, worker
from outputs import digests, predicted

pytestmark = pytest.mark.slow

TILE_PX = 300


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """The names of two namespaces, 10.77.<n>.1 and 10.77.<n>.2, joined by a cable."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2")
    mark, net = uuid4().hex[:6], f"10.77.{os.getpid() % 250}"
    first, second = f"wsi-a-{mark}", f"wsi-b-{mark}"
    with ExitStack() as stack:
        for name in (first, second):
            made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"network namespaces are not permitted here: {made.stderr.strip()}")
            stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
        cable = f"ip link add va{mark} netns {first} type veth peer name vb{mark} netns {second}"
        joined = subprocess.run(cable.split(), capture_output=True, text=True, check=False)
        if joined.returncode:
            pytest.skip(f"virtual cables are not permitted here: {joined.stderr.strip()}")
        for name, end, number in ((first, f"va{mark}", 1), (second, f"vb{mark}", 2)):
            for line in ("link set lo up", f"addr add {net}.{number}/24 dev {end}", f"link set {end} up"):
                subprocess.run(["ip", "-n", name, *line.split()], check=True)
        yield f"{first} {net}.1", f"{second} {net}.2"


def test_workers_on_two_hosts_leave_the_same_outputs(
    tmp_path: Path, svs_slide: Path, model_file: Path, hosts: tuple[str, str]
) -> None:
    predicted(svs_slide, tmp_path / "here", model_file, tile_px=TILE_PX)
    (first, address_1), (second, _) = (host.split() for host in hosts)
    on_first, on_second = (("ip", "netns", "exec", name) for name in (first, second))
    with (
        scheduler(tmp_path, host=address_1, inside=on_first) as address,
        worker(address, tmp_path, "--name", "first", inside=on_first),
        worker(address, tmp_path, "--name", "second", inside=on_second),
    ):
        both = "import sys, distributed; distributed.Client(sys.argv[1]).wait_for_workers(2, timeout=100)"
        subprocess.run([*on_second, sys.executable, "-c", both, address], check=True)
        given = ("predict", svs_slide, "-o", tmp_path / "there", "-m", model_file, "--tile-size", TILE_PX)
        done = subprocess.run(
            [*on_first, sys.executable, "-m", "wsiseg", *map(str, given), "--scheduler", address],
            env=command_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "there") == digests(tmp_path / "here")
