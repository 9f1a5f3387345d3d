"""Losses against their formulas, number by number."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite.errors import FormatError
from stad_lite.nets import losses

fast = settings(max_examples=60, deadline=None)
numbers = st.floats(-8, 8)


@fast
@given(numbers, st.sampled_from([0.0, 1.0]), st.floats(0, 1), st.sampled_from([0.0, 1.0, 2.0, 3.5]))
def test_sigmoid_focal_by_hand(logit, target, alpha, gamma):
    p = 1 / (1 + math.exp(-logit))
    p_t = p if target else 1 - p
    alpha_t = alpha if target else 1 - alpha
    wanted = -alpha_t * (1 - p_t) ** gamma * math.log(p_t)
    got = losses.sigmoid_focal(
        torch.tensor([logit], dtype=torch.float64), torch.tensor([target]), alpha, gamma
    )
    assert float(got) == pytest.approx(wanted, rel=1e-6, abs=1e-12)


def test_focal_losses_without_focus_are_cross_entropies():
    logits, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 3])
    torch.testing.assert_close(
        losses.softmax_focal(logits, labels, gamma=0), torch.nn.functional.cross_entropy(logits, labels)
    )
    targets = torch.nn.functional.one_hot(labels)
    torch.testing.assert_close(
        losses.sigmoid_focal(logits, targets, alpha=-1, gamma=0), losses.binary_cross_entropy(logits, targets)
    )


def test_softmax_focal_by_hand():
    logits = torch.randn(3, 4, dtype=torch.float64)
    got = losses.softmax_focal(logits, torch.tensor([2, 0, 2]), 2.0, "none")
    for row, label, value in zip(logits, (2, 0, 2), got, strict=True):
        p = math.exp(row[label]) / sum(math.exp(v) for v in row)
        assert float(value) == pytest.approx(-((1 - p) ** 2) * math.log(p))


@fast
@given(numbers, numbers, st.floats(0.1, 2))
def test_smooth_l1_by_hand(a, b, beta):
    d = abs(a - b)
    wanted = d * d / (2 * beta) if d < beta else d - beta / 2
    tensors = (torch.tensor([v], dtype=torch.float64) for v in (a, b))
    assert float(losses.smooth_l1(*tensors, beta=beta)) == pytest.approx(wanted, abs=1e-9)


def test_giou_losses():
    found = torch.tensor([[0.0, 0, 1, 1], [0, 0, 2, 2]], requires_grad=True)
    targets = torch.tensor([[3.0, 0, 4, 1], [0, 0, 2, 2]])
    loss = losses.box_giou(found, targets, "none")
    torch.testing.assert_close(loss.detach(), torch.tensor([1.5, 0.0]))
    loss.sum().backward()
    assert found.grad[0, 2] < 0  # apart, the box still learns to grow towards its target
    segments = losses.segment_giou(torch.tensor([[0.0, 1.0]]), torch.tensor([[3.0, 4.0]]))
    assert float(segments) == pytest.approx(1.5)


ends = st.floats(-2, 2, width=32) | st.sampled_from([0.0, 0.25, 0.5])


@fast
@given(ends, st.floats(0, 2, width=32) | st.just(0.0), ends, st.floats(0, 2, width=32) | st.just(0.0))
def test_segment_giou_by_the_definition(start, length, other, extent):
    """Random segments, and degenerate ones: points, the same point, a point inside, ends that touch."""
    a, b = (start, start + length), (other, other + extent)
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = a[1] - a[0] + b[1] - b[0] - shared
    hull = max(a[1], b[1]) - min(a[0], b[0])
    overlap = shared / union if union > 0 else 0.0
    wanted = 1 - (overlap - ((hull - union) / hull if hull > 0 else 0.0))
    found = torch.tensor([a], dtype=torch.float64, requires_grad=True)
    loss = losses.segment_giou(found, torch.tensor([b], dtype=torch.float64))
    assert loss.item() == pytest.approx(wanted, abs=1e-9) and 0 <= loss.item() <= 2 + 1e-9
    loss.backward()
    assert torch.isfinite(found.grad).all()


@pytest.mark.parametrize("loss", [losses.smooth_l1, losses.box_giou])
def test_reductions(loss):
    torch.manual_seed(0)
    corner = torch.rand(6, 2)
    a = torch.cat([corner, corner + torch.rand(6, 2)], 1)
    each = loss(a, a + 0.3, reduction="none")
    torch.testing.assert_close(loss(a, a + 0.3, reduction="sum"), each.sum())
    torch.testing.assert_close(loss(a, a + 0.3, reduction="mean"), each.mean())
    assert float(loss(a[:0], a[:0], reduction="mean")) == 0.0
    with pytest.raises(FormatError, match="reduction"):
        loss(a, a, reduction="average")


def test_losses_over_nothing_are_zero_and_have_gradients():
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = losses.binary_cross_entropy(logits, torch.zeros(0, 3)) + losses.sigmoid_focal(
        logits, torch.zeros(0, 3)
    )
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_hard_negatives_are_the_dearest():
    torch.manual_seed(0)
    values, positive = torch.rand(4, 30), torch.rand(4, 30) < 0.1
    positive[3] = False  # an image without objects has no positives, so no negatives either
    chosen = losses.hard_negatives(values, positive, ratio=3)
    for value, is_positive, taken in zip(values, positive, chosen, strict=True):
        negatives = sorted(value[~is_positive].tolist(), reverse=True)[: 3 * int(is_positive.sum())]
        assert sorted(value[taken].tolist(), reverse=True) == negatives
    assert not (chosen & positive).any() and not chosen[3].any()
    everything = losses.hard_negatives(values, positive, ratio=1000)
    assert (everything[0] == ~positive[0]).all()
