"""Matching against every permutation, and thresholds against their definition."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite import boxes
from stad_lite.errors import FormatError, NotFiniteError
from stad_lite.matching import (
    IGNORED,
    NEGATIVE,
    POSITIVE,
    by_segment,
    by_threshold,
    hungarian,
    segment_overlaps,
)

few = settings(max_examples=60, deadline=None)


def cheapest(cost: np.ndarray) -> float:
    """Return the least total cost of any one-to-one matching, trying all of them."""
    table = cost if len(cost) >= cost.shape[1] else cost.T
    proposals, truths = table.shape
    columns = np.arange(truths)
    return min(table[list(rows), columns].sum() for rows in permutations(range(proposals), truths))


def total(cost: torch.Tensor, matching) -> float:
    return float(cost[matching.item, matching.proposal, matching.truth].sum())


@st.composite
def costs(draw):
    """A batch of small costs: continuous ones, and whole numbers with many ties."""
    b, n, g = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(0, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (b, n, g)
    values = random.integers(-2, 3, shape) if draw(st.booleans()) else random.normal(size=shape)
    return torch.tensor(values, dtype=torch.float32), [int(c) for c in random.integers(0, g + 1, b)]


@few
@given(costs())
def test_hungarian_is_the_cheapest_of_all_permutations(case):
    cost, counts = case
    found = hungarian(cost, counts)
    for item, count in enumerate(counts):
        mine = found.item == item
        expected = cheapest(cost[item, :, :count].double().numpy())
        got = cost[item, found.proposal[mine], found.truth[mine]].double().sum()
        assert float(got) == pytest.approx(expected, abs=1e-5)
        for side in (found.proposal[mine], found.truth[mine]):
            assert len(set(side.tolist())) == len(side) == min(count, cost.shape[1])
        assert (found.truth[mine] < count).all()


@few
@given(costs(), st.integers(0, 2**32))
def test_order_of_proposals_and_truths_does_not_matter(case, seed):
    cost, counts = case
    cost = cost[..., : min(counts)]
    counts = [cost.shape[2]] * len(cost)
    random = np.random.default_rng(seed)
    rows, columns = random.permutation(cost.shape[1]), random.permutation(cost.shape[2])
    there, here = hungarian(cost[:, rows][:, :, columns], counts), hungarian(cost, counts)
    assert total(cost[:, rows][:, :, columns], there) == pytest.approx(total(cost, here), abs=1e-5)
    if len(cost.unique()) == cost.numel() and cost.shape[1] >= cost.shape[2]:  # no ties: the same pairs
        undone = {(i, int(rows[p]), int(columns[t])) for i, p, t in torch.stack(there, 1).tolist()}
        assert undone == {tuple(row) for row in torch.stack(here, 1).tolist()}


def test_no_truth_matches_nothing():
    found = hungarian(torch.zeros(2, 4, 3), [0, 0])
    assert [len(column) for column in found] == [0, 0, 0]
    assert len(hungarian(torch.zeros(3, 4, 0), [0, 0, 0]).item) == 0
    assert hungarian(torch.zeros(2, 4, 3), [0, 1]).item.tolist() == [1]


def test_more_truths_than_proposals_keeps_the_cheapest_or_refuses():
    cost = torch.tensor([[[5.0, 1.0, 3.0], [4.0, 9.0, 0.5]]])
    found = hungarian(cost, [3])
    assert (found.proposal.tolist(), found.truth.tolist()) == ([0, 1], [1, 2])
    with pytest.raises(FormatError, match="item 0 of the batch has 3 truths for 2 proposals"):
        hungarian(cost, [3], surplus="refuse")
    with pytest.raises(FormatError, match="no rule"):
        hungarian(cost, [3], surplus="drop")


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_a_cost_that_is_not_finite_is_refused_with_its_item(bad):
    cost = torch.zeros(3, 2, 2)
    cost[1, 0, 1] = bad
    with pytest.raises(NotFiniteError, match="item 1 of the batch"):
        hungarian(cost, [2, 2, 2])
    assert len(hungarian(cost, [2, 1, 2]).item) == 5  # beyond the item's count nothing is looked at


def test_an_infinite_cost_forbids_a_pair():
    cost = torch.tensor([[[torch.inf, 1.0], [3.0, 0.0]]])
    assert hungarian(cost, [2]).truth.tolist() == [1, 0]
    with pytest.raises(NotFiniteError, match="infeasible"):
        hungarian(torch.full((1, 2, 2), torch.inf), [2])


@pytest.mark.parametrize("counts", [[1], [1, 4], [-1, 1]])
def test_counts_that_do_not_fit_are_refused(counts):
    with pytest.raises(FormatError, match="counts"):
        hungarian(torch.zeros(2, 2, 3), counts)


def test_no_gradient_passes():
    cost = torch.rand(1, 3, 2, requires_grad=True)
    assert not hungarian(cost, [2]).proposal.requires_grad
    assert not by_threshold(cost[0], 0.5, 0.3).label.requires_grad


overlap_tables = st.builds(
    lambda n, g, seed: torch.tensor(np.random.default_rng(seed).integers(0, 11, (n, g)) / 10),
    st.integers(0, 6), st.integers(0, 4), st.integers(0, 2**32),
)  # fmt: skip


@few
@given(overlap_tables, st.booleans())
def test_thresholds_by_definition(overlaps, forced):
    label, truth = by_threshold(overlaps, 0.7, 0.4, forced)
    for i, row in enumerate(overlaps.tolist()):
        best = max(row, default=0.0)
        expected = POSITIVE if row and best >= 0.7 else NEGATIVE if best < 0.4 else IGNORED
        mine = [t for t, o in enumerate(row) if o > 0 and o == float(overlaps[:, t].max())]
        if forced and mine:
            expected = POSITIVE
            assert int(truth[i]) in mine and row[int(truth[i])] == max(row[t] for t in mine)
        elif row:
            assert row[int(truth[i])] == best
        assert int(label[i]) == expected
    if forced and len(overlaps):  # nobody who is overlapped at all is left without a positive
        assert (label[(overlaps == 1).any(1)] == POSITIVE).all()
        for t in range(overlaps.shape[1]):
            shared = overlaps[:, t].max() > 0
            assert not shared or (label[overlaps[:, t] == overlaps[:, t].max()] == POSITIVE).all()


def test_thresholds_refuse_bad_input():
    with pytest.raises(FormatError, match="negative below"):
        by_threshold(torch.zeros(2, 2), 0.7, 0.8)
    with pytest.raises(FormatError, match="overlaps of shape"):
        by_threshold(torch.zeros(2), 0.7, 0.3)
    with pytest.raises(NotFiniteError):
        by_threshold(torch.full((1, 1), torch.nan), 0.7, 0.3)


def random_tube(random, frames):
    corner = random.uniform(0, 20, (frames, 2))
    return torch.tensor(np.concatenate([corner, corner + random.uniform(5, 20, (frames, 2))], 1))


@few
@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 7))
def test_segment_overlaps_are_means_of_frame_overlaps(seed, frames, length):
    random = np.random.default_rng(seed)
    anchors, tube = random_tube(random, 3), random_tube(random, frames)
    (table,) = segment_overlaps(anchors, [tube], length)
    step = min(length, frames)
    assert table.shape == (3, frames // step)
    for i, anchor in enumerate(anchors):
        for s in range(table.shape[1]):
            part = [float(boxes.iou(anchor, box)) for box in tube[s * step : (s + 1) * step]]
            assert float(table[i, s]) == pytest.approx(np.mean(part))


def test_segments_tell_positive_negative_and_ignored():
    still, far = torch.tensor([0.0, 0.0, 10.0, 10.0]), torch.tensor([40.0, 0.0, 50.0, 10.0])
    tube = torch.stack([still] * 6 + [far] * 6)  # jumps after the first segment
    anchors = torch.stack([still, far, torch.tensor([80.0, 0.0, 90.0, 10.0])])
    assert by_segment(anchors, [tube]).label.tolist() == [POSITIVE, IGNORED, NEGATIVE]
    assert by_segment(anchors, [tube], position=-1).label.tolist() == [IGNORED, POSITIVE, NEGATIVE]
    assert by_segment(anchors, [tube], position=9).label.tolist() == [IGNORED, POSITIVE, NEGATIVE]
    both = by_segment(anchors, [torch.stack([far] * 3), tube])
    assert (both.label.tolist(), both.truth.tolist()[:2]) == ([POSITIVE, POSITIVE, NEGATIVE], [1, 0])
    whole = [float(boxes.iou(anchor, tube).mean()) for anchor in anchors]
    assert max(whole) == 0.5  # over the whole tube neither would stand out
    assert by_segment(anchors, []).label.tolist() == [NEGATIVE] * 3


def test_segments_refuse_empty_tubes_and_lengths():
    with pytest.raises(FormatError, match="at least one box"):
        by_segment(torch.zeros(1, 4), [torch.zeros(0, 4)])
    with pytest.raises(FormatError, match="length of 1"):
        segment_overlaps(torch.zeros(1, 4), [torch.zeros(2, 4)], length=0)
