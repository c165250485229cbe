"""The recipes for clusters parse, and the options that they give to commands exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from wsiseg.cli.predict import command

EXAMPLES = Path(__file__).parents[2] / "examples"
PREDICT_OPTIONS = {name for parameter in command.params for name in parameter.opts}


def options_after(text: str, program: str) -> list[str]:
    """Return the options that follow a program in a shell script."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    called = [line.split(program, 1)[1] for line in lines if program in line and not line.startswith("#")]
    assert called
    return re.findall(r"(?<=\s)--?[a-z][a-z-]*", " ".join(called))


def test_the_slurm_job_parses_and_its_options_exist() -> None:
    script = EXAMPLES / "slurm_predict.sbatch"
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    assert subprocess.run(["bash", "-n", script], capture_output=True, check=False).stderr == b""
    text = script.read_text(encoding="utf-8")
    assert set(options_after(text, "wsiseg predict")) <= PREDICT_OPTIONS
    from distributed.cli.dask_scheduler import main as scheduler
    from distributed.cli.dask_worker import main as worker

    for program, dask in (("dask scheduler", scheduler), ("dask worker", worker)):
        known = {name for parameter in dask.params for name in (*parameter.opts, *parameter.secondary_opts)}
        assert set(options_after(text, program)) <= known


def test_the_kubernetes_job_parses_and_its_options_exist() -> None:
    yaml = pytest.importorskip("yaml")
    (job,) = yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text(encoding="utf-8"))
    assert (job["kind"], job["apiVersion"]) == ("Job", "batch/v1")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["wsiseg", "predict"]
    assert {arg for arg in container["args"] if arg.startswith("-")} <= PREDICT_OPTIONS
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]}
    work = {entry["name"]: entry["value"] for entry in container["env"]}["WSISEG_WORK"]
    assert work in {mount["mountPath"] for mount in container["volumeMounts"]}
