"""Segments against counting unit steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite import segments
from tests.oracles import geometry

fast = settings(max_examples=60, deadline=None)


@st.composite
def grid_segments(draw: st.DrawFn) -> list[int]:
    start = draw(st.integers(0, 9))
    return [start, draw(st.integers(start + 1, 10))]


@st.composite
def float_segments(draw: st.DrawFn) -> list[float]:
    start = draw(st.floats(-100, 100))
    return [start, start + draw(st.floats(0.01, 50))]


def some(element: st.SearchStrategy, low: int = 1, high: int = 6) -> st.SearchStrategy:
    return st.lists(element, min_size=low, max_size=high)


@fast
@given(some(grid_segments()), some(grid_segments()))
def test_overlaps_are_counts(ours: list, theirs: list) -> None:
    a, b = np.array(ours), np.array(theirs)
    pairs = [[(geometry.segment_cells(p), geometry.segment_cells(q)) for q in b] for p in a]
    counted = [[float(geometry.iou(*pair)) for pair in row] for row in pairs]
    np.testing.assert_allclose(segments.pairwise_iou(a, b), counted, atol=1e-12)
    counted = [[float(geometry.giou(*pair)) for pair in row] for row in pairs]
    np.testing.assert_allclose(segments.pairwise_giou(a, b), counted, atol=1e-12)
    counted = [[len(p & q) / len(p) for p, q in row] for row in pairs]
    np.testing.assert_allclose(segments.ioa(a[:, None], b), counted, atol=1e-12)
    np.testing.assert_array_equal(segments.length(a), a[:, 1] - a[:, 0])


@fast
@given(some(float_segments()), some(float_segments()))
def test_overlaps_are_symmetric_and_bounded(ours: list, theirs: list) -> None:
    a, b = np.array(ours), np.array(theirs)
    for overlap, low in ((segments.pairwise_iou, 0.0), (segments.pairwise_giou, -1.0)):
        there = overlap(a, b)
        np.testing.assert_array_equal(there, overlap(b, a).T)
        assert ((there >= low) & (there <= 1)).all()
        np.testing.assert_array_equal(np.diag(overlap(a, a)), 1.0)
    inside = segments.ioa(a[:, None], b)
    assert ((inside >= 0) & (inside <= 1)).all()
    assert (inside >= segments.pairwise_iou(a, b) - 1e-12).all()


@fast
@given(some(float_segments(), 3, 3), some(float_segments(), 3, 3))
def test_numpy_and_torch_agree(ours: list, theirs: list) -> None:
    a, b = np.array(ours), np.array(theirs)
    for name in ("iou", "ioa", "giou", "pairwise_iou", "pairwise_giou"):
        function = getattr(segments, name)
        result = function(torch.tensor(a), torch.tensor(b))
        assert isinstance(result, torch.Tensor)
        np.testing.assert_allclose(result.numpy(), function(a, b), atol=1e-12)
    for name, args in (("length", ()), ("expand", (5,)), ("clip", (-3.0, 7.0))):
        function = getattr(segments, name)
        np.testing.assert_allclose(function(torch.tensor(a), *args).numpy(), function(a, *args), atol=1e-12)


@fast
@given(some(float_segments()), st.floats(1, 20))
def test_expansion_keeps_the_centre_and_adds_on_both_sides(rows: list, eta: float) -> None:
    plain = np.array(rows)
    wide = segments.expand(plain, eta)
    np.testing.assert_allclose(wide.mean(1), plain.mean(1), atol=1e-9)
    np.testing.assert_allclose(segments.length(wide), segments.length(plain) * (1 + 2 / eta), rtol=1e-9)


def test_segments_without_length_overlap_nothing() -> None:
    point, span = np.array([2.0, 2.0]), np.array([0.0, 4.0])
    assert segments.iou(point, point) == 0 == segments.ioa(point, span)
    assert segments.length(np.array([5.0, 3.0])) == 0
    assert segments.iou(np.array([0, 2]), np.array([2, 4])) == 0


def test_empty_input_keeps_its_shape() -> None:
    none, two = np.zeros((0, 2)), np.ones((2, 2))
    assert segments.pairwise_iou(none, two).shape == (0, 2)
    assert segments.pairwise_giou(two, none).shape == (2, 0)
    assert segments.nms(none, np.zeros(0), 0.5).tolist() == []
    kept, scores = segments.soft_nms(none, np.zeros(0), 0.5)
    assert kept.shape == scores.shape == (0,)
    assert kept.dtype == np.int64 and scores.dtype == np.float64


ROWS = some(st.tuples(grid_segments(), st.sampled_from([0.05, 0.3, 0.3, 0.9])), 0, 8)


@fast
@given(ROWS, st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0]))
def test_suppression_by_definition(rows: list, threshold: float) -> None:
    items = np.array([item for item, _ in rows], dtype=float).reshape(-1, 2)
    scores = np.array([score for _, score in rows])
    expected = geometry.suppressed([geometry.segment_cells(s) for s in items], list(scores), threshold)
    assert segments.nms(items, scores, threshold).tolist() == expected
    assert segments.nms(torch.tensor(items), torch.tensor(scores), threshold).tolist() == expected


@fast
@given(ROWS, st.sampled_from([0.1, 0.5, 2.0]), st.sampled_from([0.001, 0.1]))
def test_soft_suppression_by_definition(rows: list, sigma: float, min_score: float) -> None:
    items = np.array([item for item, _ in rows], dtype=float).reshape(-1, 2)
    scores = np.array([score for _, score in rows])
    before = scores.copy()
    expected = geometry.softly_suppressed(
        [geometry.segment_cells(s) for s in items], list(scores), sigma, min_score
    )
    kept, decayed = segments.soft_nms(items, scores, sigma, min_score)
    assert kept.tolist() == [index for index, _ in expected]
    np.testing.assert_allclose(decayed, [score for _, score in expected], rtol=1e-12)
    assert (np.diff(decayed) <= 0).all() and (decayed >= min_score).all()
    np.testing.assert_array_equal(scores, before)  # the caller's scores stay
    on_torch = segments.soft_nms(torch.tensor(items), torch.tensor(scores), sigma, min_score)
    assert all(isinstance(part, torch.Tensor) for part in on_torch)
    assert on_torch[0].tolist() == kept.tolist()
    np.testing.assert_array_equal(on_torch[1].numpy(), decayed)


@fast
@given(ROWS, st.integers(0, 2**32), st.integers(0, 9))
def test_soft_suppression_within_labels(rows: list, seed: int, most: int) -> None:
    """All labels at once are each label alone, best first; a limit cuts the list."""
    items = np.array([item for item, _ in rows], dtype=float).reshape(-1, 2)
    scores = np.array([score for _, score in rows])
    labels = np.random.default_rng(seed).integers(0, 3, len(rows))
    expected = []
    for label in range(3):
        mine = np.flatnonzero(labels == label)
        kept, decayed = segments.soft_nms(items[mine], scores[mine], 0.5, 0.01)
        expected += list(zip(mine[kept].tolist(), decayed.tolist(), strict=True))
    expected.sort(key=lambda row: -row[1])
    kept, decayed = segments.soft_nms(items, scores, 0.5, 0.01, labels)
    assert list(zip(kept.tolist(), decayed.tolist(), strict=True)) == expected
    for given_ in (items, scores, labels), tuple(map(torch.tensor, (items, scores, labels))):
        first, values = segments.soft_nms(given_[0], given_[1], 0.5, 0.01, given_[2], most)
        assert list(zip(first.tolist(), values.tolist(), strict=True)) == expected[:most]


def test_soft_suppression_by_hand() -> None:
    items, scores = np.array([[0, 4], [0, 4], [8, 9]]), np.array([0.5, 0.5, 0.4])
    kept, decayed = segments.soft_nms(items, scores, sigma=0.5)
    assert kept.tolist() == [0, 2, 1]  # the tie goes to the first
    np.testing.assert_allclose(decayed, [0.5, 0.4, 0.5 * np.exp(-2)])


@pytest.mark.parametrize("count", [1, 2])
def test_a_single_candidate_and_the_last_one_stay(count: int) -> None:
    items = np.array([[0.0, 1.0], [5.0, 6.0]])[:count]
    kept, decayed = segments.soft_nms(items, np.array([0.9, 0.8])[:count], sigma=0.5)
    assert kept.tolist() == [0, 1][:count] and decayed.tolist() == [0.9, 0.8][:count]
    assert segments.soft_nms(items, np.zeros(count), sigma=0.5)[0].tolist() == []
