"""Which files may be replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from marked import of_wsiseg

from wsiseg.errors import StoreError, UsageError
from wsiseg.machine.replacing import check_free, foreign, refuse_foreign


def test_an_input_stays_under_every_name(tmp_path: Path) -> None:
    mask = of_wsiseg(tmp_path / "mask.geojson")
    target, other = tmp_path / "out.geojson", of_wsiseg(tmp_path / "other.geojson")
    os.link(mask, target)
    assert foreign([target, other], [mask, "s3://bucket/mask.geojson", tmp_path / "absent"]) == [target]
    with pytest.raises(StoreError):
        check_free(target, [mask])
    check_free(other, [mask])


def test_a_link_is_not_replaced_wherever_it_leads(tmp_path: Path) -> None:
    of_wsiseg(tmp_path / "a.geojson")
    for target, name in (("a.geojson", "link.geojson"), ("nowhere", "dangling.geojson")):
        (tmp_path / name).symlink_to(tmp_path / target)
        assert foreign([tmp_path / name]) == [tmp_path / name]


def test_the_refusal_names_the_files(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.geojson" for number in range(12)]
    for path in paths:
        path.touch()
    with pytest.raises(UsageError, match=r"0\.geojson(.|\n)*9\.geojson\n  and 2 more\n"):
        refuse_foreign(paths)
