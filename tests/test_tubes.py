"""Tubes against frame-by-frame and cell-by-cell counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import make_interp_spline

from stad_lite import errors, tubes
from stad_lite.tubes import OVERLAPS, Tube
from tests.oracles import geometry

fast = settings(max_examples=60, deadline=None)
BOX = [[0.0, 0.0, 2.0, 3.0]]


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int]:
    start = draw(st.integers(0, 4))
    return start, draw(st.integers(start + 1, 5))


@st.composite
def grid_boxes(draw: st.DrawFn) -> list[int]:
    (x1, x2), (y1, y2) = draw(spans()), draw(spans())
    return [x1, y1, x2, y2]


@st.composite
def grid_tubes(draw: st.DrawFn) -> Tube:
    rows = draw(st.lists(grid_boxes(), min_size=1, max_size=5))
    return Tube(draw(st.integers(0, 5)), np.array(rows), "a", draw(st.sampled_from([0.2, 0.2, 0.7])))


def table(tube: Tube) -> geometry.GridTube:
    return dict(zip(tube.frames.tolist(), tube.boxes.astype(int).tolist(), strict=True))


# ---------------------------------------------------------------------------------------- overlaps


@pytest.mark.parametrize("kind", OVERLAPS)
@fast
@given(grid_tubes(), grid_tubes())
def test_overlap_by_definition(kind: str, a: Tube, b: Tube) -> None:
    value = tubes.tube_iou(a, b, kind)
    assert isinstance(value, float)
    assert value == pytest.approx(geometry.tube_overlap(table(a), table(b), kind), abs=1e-12)


@pytest.mark.parametrize("kind", OVERLAPS)
@fast
@given(grid_tubes(), grid_tubes())
def test_overlap_is_symmetric_bounded_and_one_with_itself(kind: str, a: Tube, b: Tube) -> None:
    value = tubes.tube_iou(a, b, kind)
    assert 0 <= value <= 1
    assert value == pytest.approx(tubes.tube_iou(b, a, kind), abs=1e-12)
    assert tubes.tube_iou(a, a, kind) == pytest.approx(1, abs=1e-12)


@fast
@given(grid_tubes(), grid_tubes())
def test_the_mean_over_the_union_is_temporal_times_spatial(a: Tube, b: Tube) -> None:
    assert tubes.union_mean(a, b) == pytest.approx(tubes.temporal_times_spatial(a, b), abs=1e-12)


@pytest.mark.parametrize("kind", OVERLAPS)
def test_tubes_that_share_no_frame_overlap_nothing(kind: str) -> None:
    early, late = Tube(0, np.array(BOX * 2)), Tube(2, np.array(BOX * 3))
    assert tubes.tube_iou(early, late, kind) == 0 == tubes.tube_iou(late, early, kind)
    assert tubes.tube_iou(early, Tube(50, np.array(BOX)), kind) == 0


def test_the_definitions_part_where_sizes_change() -> None:
    """A large frame that agrees outweighs a small one that does not, in volume alone."""
    a = Tube(0, np.array([[0.0, 0, 10, 10], [0.0, 0, 1, 1]]))
    b = Tube(0, np.array([[0.0, 0, 10, 10], [5.0, 5, 6, 6]]))
    assert tubes.mean_common(a, b) == tubes.union_mean(a, b) == 0.5
    assert tubes.volume(a, b) == pytest.approx(100 / 102)
    assert tubes.temporal_iou(a, b) == 1


def test_boxes_too_thin_for_an_area_overlap_nothing() -> None:
    thin = Tube(0, np.array([[0.0, 0, 1e-200, 1e-200]]))
    assert tubes.volume(thin, thin) == 0.0


def test_an_unknown_overlap_names_the_known_ones() -> None:
    tube = Tube(0, np.array(BOX))
    with pytest.raises(errors.StadError, match=r"'iou3d'.*mean_common.*volume"):
        tubes.tube_iou(tube, tube, "iou3d")


# ----------------------------------------------------------------------------------- interpolation


@st.composite
def known_points(draw: st.DrawFn, least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    frames = sorted(draw(st.lists(st.integers(0, 40), min_size=least, max_size=7, unique=True)))
    rows = st.lists(st.floats(-50, 50), min_size=4, max_size=4)
    return np.array(frames), np.array(draw(st.lists(rows, min_size=len(frames), max_size=len(frames))))


@fast
@given(known_points(2))
def test_interpolation_as_scipy_has_it(points: tuple[np.ndarray, np.ndarray]) -> None:
    frames, boxes = points
    at = np.linspace(frames[0], frames[-1], 23)
    line = make_interp_spline(frames, boxes, k=1)
    np.testing.assert_allclose(tubes.interpolate(frames, boxes, at), line(at), atol=1e-9)
    curve = make_interp_spline(frames, boxes, k=min(3, len(frames) - 1))
    scale = 1 + np.abs(curve(at)).max()
    np.testing.assert_allclose(
        tubes.interpolate(frames, boxes, at, "spline") / scale, curve(at) / scale, atol=1e-7
    )


@pytest.mark.parametrize("kind", ["linear", "spline"])
@fast
@given(known_points())
def test_interpolation_passes_the_points_and_holds_the_ends(
    kind: str, points: tuple[np.ndarray, np.ndarray]
) -> None:
    frames, boxes = points
    np.testing.assert_allclose(tubes.interpolate(frames, boxes, frames, kind), boxes, atol=1e-7)
    outside = tubes.interpolate(frames, boxes, np.array([frames[0] - 9, frames[-1] + 9]), kind)
    np.testing.assert_allclose(outside, boxes[[0, -1]], atol=1e-7)


def test_interpolation_refuses_what_it_cannot_read() -> None:
    boxes = np.array(BOX * 3)
    for frames in ([0, 2, 2], [3, 2, 1], [0, 1], [0.0, np.nan, 2.0]):
        with pytest.raises(errors.FormatError, match="rise"):
            tubes.interpolate(np.array(frames), boxes, np.array([1]))
    with pytest.raises(errors.FormatError):
        tubes.interpolate(np.zeros(0), np.zeros((0, 4)), np.array([1]))
    with pytest.raises(errors.StadError, match=r"'cubic'.*linear or spline"):
        tubes.interpolate(np.array([0, 1, 2]), boxes, np.array([1]), "cubic")


# ------------------------------------------------------------------------------------------- tubes


def test_a_tube_settles_what_it_is_given() -> None:
    rows = np.array([[0, 0, 4, 4], [1, 0, 5, 4]], dtype=np.float32)
    tube = Tube(np.int64(8), rows, "Basketball", np.float32(0.5), [1, 0])
    assert type(tube.start) is int and type(tube.score) is float
    assert tube.boxes.dtype == np.float64 == tube.box_scores.dtype
    assert (tube.start, tube.end, len(tube), tube.frames.tolist()) == (8, 10, 2, [8, 9])
    rows[:] = 0
    assert tube.boxes[0, 2] == 4  # the tube keeps its own copy


def test_equality_looks_at_everything() -> None:
    tube = Tube(1, np.array(BOX * 2), "a", 0.5, np.array([0.1, 0.2]))
    same = Tube(1, np.array(BOX * 2), "a", 0.5, np.array([0.1, 0.2]))
    assert tube == same and tube != "tube"
    assert tube != Tube(2, np.array(BOX * 2), "a", 0.5, np.array([0.1, 0.2]))
    assert tube != Tube(1, np.array(BOX * 2), "b", 0.5, np.array([0.1, 0.2]))
    assert tube != Tube(1, np.array(BOX * 2), "a", None, np.array([0.1, 0.2]))
    assert tube != Tube(1, np.array(BOX * 2), "a", 0.5)
    assert Tube(1, np.array(BOX * 2), "a", 0.5) != tube
    assert tube != Tube(1, np.array(BOX * 3), "a", 0.5, np.array([0.1, 0.2, 0.3]))


NAN, INF = float("nan"), float("inf")
BAD = {
    "uint8": ({"boxes": np.array(BOX, np.uint8)}, errors.UnsignedBoxError, "uint8.*255 wraps.*cast"),
    "uint16": ({"boxes": np.array(BOX, np.uint16)}, errors.UnsignedBoxError, "uint16.*65535 wraps"),
    "inverted x": (
        {"boxes": [*BOX, [5, 0, 4, 3]]},
        errors.InvertedBoxError,
        r"frame 8: box 1 \[5.0.*x1 < x2",
    ),
    "inverted y": ({"boxes": [[0, 3, 1, 2]]}, errors.InvertedBoxError, "frame 7: box 0.*y1 < y2"),
    "empty box": ({"boxes": [*BOX, [2, 0, 2, 3]]}, errors.InvertedBoxError, "frame 8.*empty or inverted"),
    "NaN box": ({"boxes": [*BOX, [0, NAN, 2, 3]]}, errors.NotFiniteError, "frame 8.*nan.*not finite"),
    "infinite box": ({"boxes": [[0, 0, INF, 3]]}, errors.NotFiniteError, "frame 7.*inf.*not finite"),
    "no box": ({"boxes": np.zeros((0, 4))}, errors.FormatError, "no boxes.*leave the tube out"),
    "five numbers": ({"boxes": np.zeros((2, 5))}, errors.FormatError, r"\(2, 5\).*\(n, 4\)"),
    "one axis": ({"boxes": np.zeros(4)}, errors.FormatError, r"\(4,\)"),
    "ragged": ({"boxes": [[1, 2, 3, 4], [5]]}, errors.FormatError, "different lengths"),
    "words": ({"boxes": [["a", "b", "c", "d"]]}, errors.FormatError, "type <U1"),
    "booleans": ({"boxes": [[False, False, True, True]]}, errors.FormatError, "type bool"),
    "objects": ({"boxes": [[0, 0, None, 1]]}, errors.FormatError, "type object"),
    "negative start": ({"start": -1}, errors.FrameRangeError, "frame -1.*before the video.*counted from 0"),
    "broken start": ({"start": 1.5}, errors.FormatError, "start is 1.5.*whole number"),
    "boolean start": ({"start": True}, errors.FormatError, "start is True.*whole number"),
    "word start": ({"start": "7"}, errors.FormatError, "start is '7'"),
    "NaN start": ({"start": NAN}, errors.FormatError, "start is nan"),
    "NaN score": ({"score": NAN}, errors.NotFiniteError, "score is nan.*finite"),
    "boolean score": ({"score": True}, errors.FormatError, "score is True"),
    "word score": ({"score": "high"}, errors.FormatError, "score is 'high'"),
    "too few box scores": ({"boxes": BOX * 2, "box_scores": [1.0]}, errors.FormatError, "1 box scores for 2"),
    "NaN box score": ({"boxes": BOX * 2, "box_scores": [1, NAN]}, errors.NotFiniteError, "frame 8.*finite"),
    "word box scores": ({"box_scores": ["a"]}, errors.FormatError, "list of numbers"),
    "ragged box scores": ({"box_scores": [[1], [2, 3]]}, errors.FormatError, "list of numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tubes_are_refused_by_name(case: str) -> None:
    changes, kind, words = BAD[case]
    with pytest.raises(errors.StadError, match=words) as caught:
        Tube(**{"start": 7, "boxes": BOX, "label": "a", **changes})
    assert type(caught.value) is kind
