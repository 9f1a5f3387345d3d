"""Boxes in padded tables: suppression in many groups at once against the plain loop, region proposals."""

from __future__ import annotations

import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.nets import proposals
from stad_lite.nets.proposals import Proposals


def some_boxes(*shape: int, size: float = 40.0) -> torch.Tensor:
    corner = torch.rand(*shape, 2) * size
    return torch.cat([corner, corner + 4 + torch.rand(*shape, 2) * size / 2], -1)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_suppression_is_the_greedy_loop(threshold, seed):
    torch.manual_seed(seed)
    boxes, scores, valid = some_boxes(4, 30), torch.rand(4, 30), torch.rand(4, 30) < 0.8
    kept = proposals.suppress(Proposals(boxes, scores, valid), threshold, 30)
    for item in range(4):
        there = valid[item].nonzero()[:, 0]
        expected = there[box_ops.nms(boxes[item, there], scores[item, there], threshold)]
        assert torch.equal(kept.boxes[item, kept.valid[item]], boxes[item, expected])
        assert torch.equal(kept.scores[item, kept.valid[item]], scores[item, expected])
        assert kept.valid[item].tolist() == sorted(kept.valid[item].tolist(), reverse=True)


def test_a_chain_of_suppression():
    """Of four boxes in a row each covers the next: the first and the third stay."""
    left = torch.arange(4.0) * 3
    boxes = torch.stack([left, torch.zeros(4), left + 10, torch.full((4,), 10.0)], -1)
    stays = proposals.survivors(boxes, torch.ones(4, dtype=torch.bool), 0.5)
    assert stays.tolist() == [True, False, True, False]


def test_region_proposals_are_those_of_the_loop():
    torch.manual_seed(1)
    anchors = some_boxes(60)
    scores, offsets = torch.randn(3, 60), torch.randn(3, 60, 4) / 5
    levels = [40, 20]
    found = proposals.region_proposals(scores, offsets, anchors, levels, (50, 60), 15, 12, 0.4)
    for item in range(3):
        decoded = box_ops.clip(box_ops.decode(offsets[item], anchors), 60, 50)
        wanted: list[int] = []
        for level in (range(40), range(40, 60)):
            kept: list[int] = []
            for i in sorted(level, key=lambda i: -scores[item, i])[:15]:
                large = bool((decoded[i, 2:] - decoded[i, :2] >= 1).all())
                if large and all(box_ops.iou(decoded[i], decoded[j]) <= 0.4 for j in kept):
                    kept.append(i)
            wanted += kept
        wanted = sorted(wanted, key=lambda i: -scores[item, i])[:12]
        torch.testing.assert_close(found.boxes[item, found.valid[item]], decoded[wanted], atol=1e-3, rtol=0)
        torch.testing.assert_close(found.scores[item, found.valid[item]], scores[item, wanted])
        assert 0 < len(wanted) <= 12


def test_classes_do_not_suppress_each_other():
    """What stays of each class is what the plain loop keeps of it, best first."""
    torch.manual_seed(3)
    boxes, scores, valid = some_boxes(2, 20, 3), torch.rand(2, 20, 3), torch.rand(2, 20) < 0.8
    found = proposals.best_by_class(boxes, scores, valid, 0.2, 0.4, keep=5)
    for item in range(2):
        for label in range(3):
            there = (valid[item] & (scores[item, :, label] > 0.2)).nonzero()[:, 0]
            own, sure = boxes[item, there, label], scores[item, there, label]
            expected = own[box_ops.nms(own, sure, 0.4)][:5]
            assert torch.equal(found.boxes[item, label, found.valid[item, label]], expected)
