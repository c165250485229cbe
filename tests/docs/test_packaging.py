"""What travels with the package says the same everywhere."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import wsiseg

ROOT = Path(__file__).parents[2]


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_versions_agree() -> None:
    assert tomllib.loads(_read("pyproject.toml"))["project"]["version"] == wsiseg.__version__
    assert str(yaml.safe_load(_read("CITATION.cff"))["version"]) == wsiseg.__version__
    assert f"## {wsiseg.__version__}" in _read("CHANGELOG.md")


def test_the_citation_is_of_the_paper() -> None:
    cited = yaml.safe_load(_read("CITATION.cff"))["preferred-citation"]
    assert [author["family-names"] for author in cited["authors"]] == ["Boserup", "Selvan"]


def test_the_workflow_covers_the_promised_versions() -> None:
    matrix = yaml.safe_load(_read(".github/workflows/ci.yml"))["jobs"]["run"]["strategy"]["matrix"]
    classifiers = tomllib.loads(_read("pyproject.toml"))["project"]["classifiers"]
    promised = [entry.rpartition(" ")[2] for entry in classifiers if re.search(r"Python :: 3\.\d+", entry)]
    assert matrix["python"] == promised
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos"}


def test_containers_are_without_rights_and_build_what_compose_names() -> None:
    stages = re.findall(r"^FROM \S+ AS (\w+)$", _read("Dockerfile"), re.MULTILINE)
    assert stages == ["base", "cuda", "cpu"]
    assert _read("Dockerfile").count("\nUSER wsiseg\n") == 2
    services = yaml.safe_load(_read("compose.yaml"))["services"]
    assert {service["build"]["target"] for service in services.values()} <= set(stages)


def test_the_ci_script_is_bash(tmp_path: Path) -> None:
    try:
        done = subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no bash here")
    assert done.returncode == 0, done.stderr
    for command in ("demo", "tests"):
        assert f"<!-- ci: {command} -->" in _read("README.md")
    # What bash 3.2 and BSD tools do not know.
    assert not re.findall(
        r"mapfile|readarray|declare -A|\$\{\w+,,|sed -i|readlink -f|grep -P", _read(".ci/run")
    )
