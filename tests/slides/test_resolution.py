"""One decision from all that is said about micrometres per pixel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsiseg.slides.resolution import Statement, decide

OME = Statement("its OME-XML", 0.5, 0.5)
TAG = Statement("its resolution tag", 0.25, 0.25)
MINE = Statement("--slide-mpp", 0.25, 0.25)
X40 = Statement.of_power(40)


@pytest.mark.parametrize(
    ("x", "y", "expected", "warned"),
    [
        (0.25, 0.25, 0.25, ""),
        ("0.2520", None, 0.252, ""),
        (0.25, 0.2501, 0.25005, ""),
        (0.25, 0.5, None, "not square"),
        (0, 0, None, "no slide has"),
        (-0.25, -0.25, None, "no slide has"),
        ("nan", "nan", None, "no slide has"),
        (1e9, 1e9, None, "no slide has"),
        (84.6667, 84.6667, None, "no slide has"),
        (0.0499, 0.0499, None, "no slide has"),
        (4.99, 4.99, None, "no slide has"),
        ("a lot", "a lot", None, "no number"),
        (1.2675, 1.2675, 1.2675, "unusual"),
        (0.07, 0.07, 0.07, "unusual"),
    ],
)
def test_one_statement(x: object, y: object, expected: float | None, warned: str) -> None:
    said = Statement.of("its header", x, y)
    assert said is not None
    decided = decide([said])
    assert decided.mpp == (None if expected is None else pytest.approx(expected, rel=1e-4))
    assert (warned in decided.warnings[0]) if warned else not decided.warnings


def test_nothing_said_is_no_statement() -> None:
    assert Statement.of("its header", None, None) is None
    assert Statement.of_power(None) is Statement.of_power("0") is Statement.of_power("many") is None
    assert decide([]).mpp is None


def test_the_option_fills_in_where_the_slide_is_silent() -> None:
    assert decide([], MINE).mpp == 0.25
    absurd = Statement("its resolution tag", 352.8, 352.8)
    decided = decide([absurd], MINE)
    assert decided.mpp == 0.25
    assert "352.8" in decided.warnings[0]


def test_where_slide_and_option_differ_the_slide_is_taken_and_both_are_named() -> None:
    decided = decide([OME], MINE)
    assert (decided.mpp, decided.taken) == (0.5, OME)
    assert all(word in decided.warnings[0] for word in ("--slide-mpp says 0.25", "its OME-XML 0.5", "force"))
    forced = decide([OME], MINE, forced=True)
    assert (forced.mpp, forced.taken) == (0.25, MINE)
    assert all(word in forced.warnings[0] for word in ("its OME-XML says 0.5", "--slide-mpp 0.25"))


def test_five_percent_are_no_difference() -> None:
    decided = decide([OME], Statement("--slide-mpp", 0.52, 0.52))
    assert (decided.mpp, decided.warnings) == (0.5, ())


def test_statements_of_the_slide_that_contradict_each_other_are_warned_of() -> None:
    decided = decide([OME, TAG])
    assert decided.mpp == 0.5
    assert "its resolution tag says 0.25" in decided.warnings[0]
    # 72 dots an inch beside a scanner's word are no contradiction
    assert not decide([OME, Statement("its resolution tag", 352.8, 352.8)]).warnings


def test_an_objective_power_is_no_resolution_but_checks_and_hints() -> None:
    assert X40 is not None
    assert X40.mpp == 0.25
    silent = decide([X40])
    assert silent.mpp is None
    assert "40x" in silent.hint
    assert "0.25" in silent.hint
    assert not decide([TAG, X40]).warnings
    assert "40x" in decide([OME, X40]).warnings[0]
    assert "40x" in decide([X40], Statement("--slide-mpp", 0.5, 0.5)).warnings[0]


@given(st.lists(st.floats(0.06, 2.4), min_size=1, max_size=4), st.floats(0.06, 2.4), st.booleans())
def test_what_is_taken_was_said_and_a_difference_is_never_silent(
    said: list[float], option: float, forced: bool
) -> None:
    stated = [Statement(f"source {k}", value, value) for k, value in enumerate(said)]
    mine = Statement("--slide-mpp", option, option)
    decided = decide(stated, mine, forced)
    assert decided.taken == (mine if forced else stated[0])
    assert decided.mpp == pytest.approx(option if forced else said[0])
    if abs(option / said[0] - 1) > 0.0501:
        assert any("--slide-mpp" in warning and "source 0" in warning for warning in decided.warnings)
