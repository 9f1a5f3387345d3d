"""Boxes against counting pixels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite import boxes
from tests.oracles import geometry

GRID = 7
fast = settings(max_examples=60, deadline=None)


@st.composite
def spans(draw: st.DrawFn, top: int = GRID) -> tuple[int, int]:
    start = draw(st.integers(0, top - 1))
    return start, draw(st.integers(start + 1, top))


@st.composite
def grid_boxes(draw: st.DrawFn) -> list[int]:
    (x1, x2), (y1, y2) = draw(spans()), draw(spans())
    return [x1, y1, x2, y2]


@st.composite
def float_boxes(draw: st.DrawFn, side: float = 50.0) -> list[float]:
    x, y = draw(st.floats(-200, 200)), draw(st.floats(-200, 200))
    width, height = draw(st.floats(1, side)), draw(st.floats(1, side))
    return [x, y, x + width, y + height]


def some(element: st.SearchStrategy, low: int = 1, high: int = 6) -> st.SearchStrategy:
    return st.lists(element, min_size=low, max_size=high)


def every_giou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return boxes.giou(a[:, None], b)


@fast
@given(some(grid_boxes()), some(grid_boxes()))
def test_overlaps_are_pixel_counts(ours: list, theirs: list) -> None:
    a, b = np.array(ours), np.array(theirs)
    counted = [[float(geometry.iou(geometry.box_cells(p), geometry.box_cells(q))) for q in b] for p in a]
    np.testing.assert_allclose(boxes.pairwise_iou(a, b), counted, atol=1e-12)
    counted = [[float(geometry.giou(geometry.box_cells(p), geometry.box_cells(q))) for q in b] for p in a]
    np.testing.assert_allclose(every_giou(a, b), counted, atol=1e-12)
    np.testing.assert_array_equal(boxes.area(a), [len(geometry.box_cells(box)) for box in a])


@fast
@given(some(float_boxes()), some(float_boxes()))
def test_overlaps_are_symmetric_and_bounded(ours: list, theirs: list) -> None:
    a, b = np.array(ours), np.array(theirs)
    for overlap, low in ((boxes.pairwise_iou, 0.0), (every_giou, -1.0)):
        there, back = overlap(a, b), overlap(b, a)
        np.testing.assert_array_equal(there, back.T)
        assert ((there >= low) & (there <= 1)).all()
        np.testing.assert_array_equal(np.diag(overlap(a, a)), 1.0)
    assert (every_giou(a, b) <= boxes.pairwise_iou(a, b) + 1e-12).all()


@fast
@given(some(float_boxes()), some(float_boxes()))
def test_pairwise_is_elementwise_on_every_pair(ours: list, theirs: list) -> None:
    a, b = np.array(ours), np.array(theirs)
    np.testing.assert_array_equal(boxes.pairwise_iou(a, b), [[boxes.iou(p, q) for q in b] for p in a])
    np.testing.assert_array_equal(every_giou(a, b), [[boxes.giou(p, q) for q in b] for p in a])


@fast
@given(some(float_boxes(), 3, 3), some(float_boxes(), 3, 3))
def test_numpy_and_torch_agree(ours: list, theirs: list) -> None:
    a, b = np.array(ours), np.array(theirs)
    for name in ("iou", "giou", "pairwise_iou", "encode"):
        function = getattr(boxes, name)
        result = function(torch.tensor(a), torch.tensor(b))
        assert isinstance(result, torch.Tensor) and result.dtype == torch.float64
        np.testing.assert_allclose(result.numpy(), function(a, b), atol=1e-12)
    for name in ("area", "xyxy_to_xywh", "xywh_to_xyxy", "cxcywh_to_xyxy", "xyxy_to_cxcywh"):
        function = getattr(boxes, name)
        np.testing.assert_allclose(function(torch.tensor(a)).numpy(), function(a), atol=1e-12)
    clipped = boxes.clip(torch.tensor(a), 100, 80)
    np.testing.assert_array_equal(clipped.numpy(), boxes.clip(a, 100, 80))
    offsets = boxes.encode(a, b)
    decoded = boxes.decode(torch.tensor(offsets), torch.tensor(b)).numpy()
    np.testing.assert_allclose(decoded, boxes.decode(offsets, b), atol=1e-9)


def test_gradients_flow_through_the_generalised_overlap() -> None:
    prediction = torch.tensor([[0.0, 0.0, 2.0, 2.0]], requires_grad=True)
    boxes.giou(prediction, torch.tensor([[3.0, 3.0, 5.0, 5.0]])).sum().backward()
    assert prediction.grad is not None and torch.isfinite(prediction.grad).all()
    assert prediction.grad[0, 2] > 0  # moving the right edge towards the target helps


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_small_number_types_do_not_wrap(kind: type) -> None:
    a, b = np.array([0, 0, 250, 250], dtype=kind), np.array([125, 0, 250, 250], dtype=kind)
    assert boxes.iou(a, b) == 0.5
    assert boxes.area(a) == 62500
    np.testing.assert_array_equal(boxes.xywh_to_xyxy(np.array([200, 10, 100, 20], kind)), [200, 10, 300, 30])
    assert (
        boxes.iou(torch.tensor([0, 0, 250, 250], dtype=torch.uint8), torch.tensor([125, 0, 250, 250])) == 0.5
    )


def test_boxes_without_extent_overlap_nothing() -> None:
    point, inverted, box = [1.0, 1, 1, 1], [5.0, 5, 2, 2], [0.0, 0, 6, 6]
    assert boxes.iou(np.array(point), np.array(point)) == 0
    assert boxes.iou(np.array(inverted), np.array(box)) == 0
    assert boxes.area(np.array(inverted)) == 0
    assert np.isfinite(boxes.giou(np.array(point), np.array(point)))


def test_touching_boxes_do_not_overlap() -> None:
    assert boxes.iou(np.array([0, 0, 2, 2]), np.array([2, 0, 4, 2])) == 0


def test_empty_input_keeps_its_shape() -> None:
    none, two = np.zeros((0, 4)), np.ones((2, 4))
    assert boxes.pairwise_iou(none, two).shape == (0, 2)
    assert boxes.pairwise_iou(torch.zeros(0, 4), torch.ones(2, 4)).shape == (0, 2)
    assert boxes.area(none).shape == (0,)
    assert boxes.nms(none, np.zeros(0), 0.5).tolist() == []


@fast
@given(float_boxes(), float_boxes())
def test_decoding_undoes_encoding(box: list, anchor: list) -> None:
    box, anchor = np.array(box), np.array(anchor)
    np.testing.assert_allclose(boxes.decode(boxes.encode(box, anchor), anchor), box, atol=1e-9)


def test_offsets_by_hand() -> None:
    anchor, box = np.array([0.0, 0, 10, 20]), np.array([5.0, 10, 25, 20])
    np.testing.assert_allclose(boxes.encode(box, anchor), [1.0, 0.25, np.log(2), np.log(0.5)])


def test_decoding_cuts_sizes_that_would_overflow() -> None:
    anchor = np.array([0.0, 0, 16, 16])
    decoded = boxes.decode(np.array([0.0, 0, 1e6, 0]), anchor)
    np.testing.assert_allclose(decoded, [8 - 500, 0, 8 + 500, 16])


@fast
@given(some(float_boxes()))
def test_formats_round_trip(rows: list) -> None:
    xyxy = np.array(rows)
    np.testing.assert_allclose(boxes.xywh_to_xyxy(boxes.xyxy_to_xywh(xyxy)), xyxy, atol=1e-10)
    np.testing.assert_allclose(boxes.cxcywh_to_xyxy(boxes.xyxy_to_cxcywh(xyxy)), xyxy, atol=1e-10)


@fast
@given(some(float_boxes()))
def test_clipping_stays_inside_and_settles(rows: list) -> None:
    clipped = boxes.clip(np.array(rows), 60, 40)
    assert (clipped >= 0).all() and (clipped[:, ::2] <= 60).all() and (clipped[:, 1::2] <= 40).all()
    np.testing.assert_array_equal(boxes.clip(clipped, 60, 40), clipped)


SCORES = st.sampled_from([0.1, 0.3, 0.3, 0.9])


@fast
@given(some(st.tuples(grid_boxes(), SCORES), 0, 8), st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0]))
def test_suppression_by_definition(rows: list, threshold: float) -> None:
    items = np.array([box for box, _ in rows], dtype=float).reshape(-1, 4)
    scores = np.array([score for _, score in rows])
    expected = geometry.suppressed([geometry.box_cells(box) for box in items], list(scores), threshold)
    assert boxes.nms(items, scores, threshold).tolist() == expected
    on_torch = boxes.nms(torch.tensor(items), torch.tensor(scores), threshold)
    assert isinstance(on_torch, torch.Tensor) and on_torch.tolist() == expected


def test_equal_scores_keep_their_order() -> None:
    same = np.array([[0.0, 0, 4, 4]] * 3)
    assert boxes.nms(same, np.ones(3), 0.5).tolist() == [0]
    assert boxes.nms(same, np.ones(3), 1.0).tolist() == [0, 1, 2]
    assert boxes.nms(same[:1], np.ones(1), 0.5).tolist() == [0]


def test_suppression_with_whole_scores() -> None:
    apart = np.array([[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]])
    for kind in (np.uint8, np.int64, np.float32):
        assert boxes.nms(apart, np.array([0, 2, 1], dtype=kind), 0.5).tolist() == [1, 2, 0]


def test_leading_axes_broadcast() -> None:
    a, b = np.random.default_rng(0).random((2, 5, 1, 4)), np.random.default_rng(1).random((3, 4))
    assert boxes.iou(a, b).shape == (2, 5, 3)
    for i, j, k in itertools.product(range(2), range(5), range(3)):
        assert boxes.iou(a, b)[i, j, k] == boxes.iou(a[i, j, 0], b[k])
