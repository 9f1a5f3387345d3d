"""The exact claims: on tubes that can be counted by hand, and on the published annotations."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from stad_lite.errors import StadError
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.reproduce import annotations
from stad_lite.reproduce.claims import read_claims
from stad_lite.reproduce.results import read_results
from stad_lite.tubes import Tube

EXACT = {name: claim for name, claim in read_claims().items() if claim.kind == "exact"}
BY_HAND = {
    "cfad-order-oracle": [0.569, 0.665, 0.719, 0.754, 0.781, 0.800, 0.817, 0.830, 0.841],
    "cfad-sparse": [7.31, 0.462, 0.119],
    "cfad-three": [10, 6, 4.67],
    "step-drift": [0.778, 0.558, 0.814, 0.653, 0.219],
    "step-ava-60": [60, 14, 0],
    "tad-durations": [84.60, 80.04, 44.87],
    "tad-98": [99.70, 99.70],
    "tad-anet-1.5": [1.543],
    "tad-n": [26, 22, 23, 18],
    "flow-big-targets": [12.8],
}
"""Claim -> what was found when the register was written, in the order of its figures."""


def still(start: int, frames: int, side: float = 10.0) -> Tube:
    return Tube(start, np.tile([0.0, 0.0, side, side], (frames, 1)), "one")


@pytest.fixture
def two_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = VideoAnnotation(
        40, 100, 50, 25.0, tubes=(still(0, 20), still(10, 20), still(25, 10), still(28, 5))
    )
    calm = VideoAnnotation(40, 100, 50, 25.0, tubes=(still(0, 40, 20.0),))
    found = Annotations("toy", ("one",), {"busy": busy, "calm": calm})
    monkeypatch.setattr(annotations, "_ucf", lambda data: found)


@pytest.mark.usefixtures("two_videos")
def test_tubes_are_counted_in_a_video_and_at_a_time():
    rows = {name: value for name, value, *_ in annotations.most_instances(Path())}
    assert list(rows.values()) == [4, 3, 50.0]


@pytest.mark.usefixtures("two_videos")
def test_boxes_are_shares_of_the_frame():
    ((_, median, *_),) = annotations.box_sizes(Path())
    assert median == 2.0  # 55 boxes of 10 x 10 pixels, 40 of 20 x 20, in frames of 100 x 50


@pytest.mark.usefixtures("two_videos")
def test_what_stands_still_is_foretold_without_drift():
    rows = {name: value for name, value, *_ in annotations.extrapolation_drift(Path())}
    assert set(rows.values()) == {1.0, 0.0} and rows["lost from one clip ahead to two, Eq. 4"] == 0


def test_every_exact_claim_has_a_function_and_every_function_a_claim():
    assert sorted(claim.exact for claim in EXACT.values()) == sorted(annotations.COUNTED)
    assert set(BY_HAND) == set(EXACT)


def test_a_function_that_is_not_here_is_told():
    claim = msgspec.structs.replace(EXACT["tad-n"], exact="tad_least")
    with pytest.raises(StadError, match="claim tad-n: nothing counts 'tad_least'"):
        annotations.counted([claim])


@pytest.mark.parametrize("name", list(EXACT))
def test_the_figures_that_are_kept(name):
    kept = [figure for figure in read_results(annotations.KEPT).figures if figure.claim == name]
    assert [figure.value for figure in kept] == pytest.approx(BY_HAND[name], rel=4e-3)
    assert {figure.command for figure in kept} == {EXACT[name].command}
    assert {bound.figure for bound in EXACT[name].bounds} <= {figure.name for figure in kept}


def test_the_published_annotations_say_what_is_kept(stad_data: Path):
    found = annotations.counted(EXACT.values(), stad_data).figures
    kept = read_results(annotations.KEPT).figures
    assert [figure.name for figure in found] == [figure.name for figure in kept]
    values = [figure.value for figure in found]
    assert values == pytest.approx([figure.value for figure in kept], abs=1e-4)


def test_the_command_line_names_what_is_wrong(capsys):
    assert annotations.main(["tad-m"]) == 2
    assert "no claim, paper or chapter 'tad-m'" in capsys.readouterr().err
