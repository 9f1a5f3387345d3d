"""Region proposals: order of anchors, choice of boxes, and whether the head learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite import boxes
from stad_lite.anchors import grid_anchors, ratio_sizes
from stad_lite.nets.rpn import RPNHead, rpn_loss, sample_anchors


def pyramid_anchors(sizes: list[tuple[int, int]], strides: list[int]) -> tuple[torch.Tensor, list[int]]:
    levels = [
        grid_anchors(ratio_sizes([4.0 * stride]), h, w, stride)
        for (h, w), stride in zip(sizes, strides, strict=True)
    ]
    return torch.tensor(np.concatenate(levels)).float(), [len(level) for level in levels]


def test_outputs_are_in_the_order_of_the_anchors():
    """A head whose score is the cell's column and whose dx is its row, told apart by anchor."""
    head = RPNHead(2, per_cell=3)
    with torch.no_grad():
        for conv in (head.conv[0], head.scores, head.offsets):
            conv.weight.zero_()
            conv.bias.zero_()
        for channel in range(2):
            head.conv[0].weight[channel, channel, 1, 1] = 1
        head.scores.weight[:, 0] = 1
        head.scores.bias.copy_(torch.tensor([0.0, 100.0, 200.0])[:, None, None].flatten())
        head.offsets.weight[::4, 1] = 1
    sizes = [(3, 4), (2, 2)]
    levels = []
    for h, w in sizes:
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        levels.append(torch.stack([x, y])[None].float())
    scores, offsets = head(levels)
    anchors, _ = pyramid_anchors(sizes, [8, 16])
    strides = torch.tensor([8.0] * 36 + [16.0] * 12)
    centres = boxes.xyxy_to_cxcywh(anchors)[:, :2]
    kinds = torch.arange(48) % 3
    torch.testing.assert_close(scores[0, :, 0], centres[:, 0] / strides - 0.5 + 100 * kinds)
    torch.testing.assert_close(offsets[0, :, 0], centres[:, 1] / strides - 0.5)


def test_class_specific_head():
    scores, offsets = RPNHead(8, 6, classes=24, hidden=16, depth=2)([torch.randn(2, 8, 7, 7)])
    assert scores.shape == (2, 294, 24) and offsets.shape == (2, 294, 4)


@pytest.mark.parametrize(
    ("positives", "negatives", "wanted"),
    [(50, 500, (10, 10)), (3, 500, (3, 17)), (50, 4, (10, 4)), (0, 5, (0, 5))],
)
def test_sampling_keeps_the_shares(positives, negatives, wanted):
    labels = torch.tensor([1] * positives + [0] * negatives + [-1] * 30)
    chosen = sample_anchors(labels, count=20)
    assert tuple(int((labels[chosen] == label).sum()) for label in (1, 0)) == wanted
    assert not (chosen & (labels == -1)).any()
    torch.testing.assert_close(chosen, sample_anchors(labels, count=20))
    if negatives > 100:
        assert not torch.equal(chosen, sample_anchors(labels, count=20, seed=1))


def test_sampling_is_uniform():
    labels = torch.tensor([1] * 10 + [0] * 30)
    generator = torch.Generator().manual_seed(0)
    taken = torch.stack([sample_anchors(labels, 8, seed=generator) for _ in range(600)]).float().mean(0)
    assert (taken[:10] - 0.4).abs().max() < 0.1 and (taken[10:] - 4 / 30).abs().max() < 0.07


def test_loss_counts_what_was_chosen():
    scores, offsets = torch.tensor([0.0, 2.0, 5.0]), torch.tensor([[0.0] * 4, [1.0] * 4, [9.0] * 4])
    labels, chosen = torch.tensor([1, 0, -1]), torch.tensor([True, True, False])
    targets = torch.tensor([[1.0, 0, 0, 0], [7.0] * 4, [7.0] * 4])
    objectness, regression = rpn_loss(scores, offsets, labels, targets, chosen, beta=1.0)
    assert float(objectness) == pytest.approx((np.log(2) + np.log1p(np.exp(2.0))) / 2, rel=1e-5)
    assert float(regression) == pytest.approx(0.5 / 2)
    nothing = rpn_loss(scores, offsets, labels, targets, torch.zeros(3, dtype=torch.bool))
    assert [float(loss) for loss in nothing] == [0.0, 0.0]


def test_the_head_learns_where_a_square_is():
    """A bright square on one map: after a few steps the best proposal lies on it."""
    torch.manual_seed(0)
    anchors, _ = pyramid_anchors([(8, 8)], [8])
    target = torch.tensor([16.0, 24.0, 46.0, 52.0])
    maps = torch.zeros(1, 4, 8, 8)
    maps[:, :, 3:7, 2:6] = torch.randn(4, 1, 1).abs() + 0.5
    maps[:, 0, 5, 4] += 2
    head = RPNHead(4, per_cell=3, hidden=16)
    overlap = boxes.pairwise_iou(anchors, target[None])[:, 0]
    labels = torch.where(overlap >= 0.5, 1, torch.where(overlap < 0.3, 0, -1))
    labels[overlap.argmax()] = 1
    targets = boxes.encode(target.expand(len(anchors), 4), anchors)
    optimiser = torch.optim.Adam(head.parameters(), 0.01)
    for step in range(150):
        scores, offsets = head([maps])
        chosen = sample_anchors(labels, 64, seed=step)
        loss = sum(rpn_loss(scores[0, :, 0], offsets[0], labels, targets, chosen))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    best = int(scores[0, :, 0].argmax())
    assert float(boxes.iou(boxes.decode(offsets[0, best], anchors[best]), target)) > 0.8
