"""The detector of a stage: levels, pooling, the .5 rule, sampling, losses, decoding."""

from __future__ import annotations

import math

import pytest
import torch

from stad_lite.align import roi_align
from stad_lite.boxes import encode
from stad_lite.errors import FormatError
from stad_lite.nets.proposals import Proposals
from stad_lite.pcsc import detector
from stad_lite.pcsc.detector import CODER, RegionHead, Targets
from stad_lite.systems.truth import TrueBoxes


def proposals(boxes: list, valid: list | None = None) -> Proposals:
    table = torch.tensor(boxes, dtype=torch.float32)
    mask = torch.ones(table.shape[:2], dtype=torch.bool) if valid is None else torch.tensor(valid)
    return Proposals(table, torch.zeros(table.shape[:2]), mask)


@pytest.mark.parametrize(
    ("side", "level"), [(1, 0), (111, 0), (112, 1), (223, 1), (224, 2), (448, 3), (2000, 3)]
)
def test_levels_are_those_of_the_pyramids_paper(side, level):
    """k = floor(4 + log2(side / 224)) from 2 to 5, counted from 0."""
    box = torch.tensor([[10.0, 20.0, 10.0 + side, 20.0 + side]])
    assert detector.level_of(box, 4, 112.0).item() == level
    assert min(3, max(0, math.floor(2 + math.log2(side / 224)))) == level


def test_pooling_takes_each_box_from_its_level_and_frame():
    torch.manual_seed(0)
    levels = [torch.randn(2, 3, 16, 16), torch.randn(2, 3, 8, 8)]
    boxes = torch.tensor([[0.0, 0, 40, 40], [4.0, 4, 12, 20], [8.0, 8, 60, 60], [20.0, 20, 30, 32]])
    item = torch.tensor([1, 0, 0, 1])
    found = detector.pool(levels, (4, 8), boxes, item, 3, canonical=28.0)
    for row, level in enumerate((1, 0, 1, 0)):
        one = roi_align(levels[level], boxes[[row]], item[[row]], 3, 1 / (4, 8)[level], 2)
        torch.testing.assert_close(found[[row]], one)
    assert detector.pool(levels, (4, 8), boxes[:0], item[:0], 3, 28.0).shape == (0, 3, 3, 3)


def test_the_half_rule():
    """IoU "higher than 0.5" is positive, all else negative; a proposal that is not there does not count."""
    truth = TrueBoxes(torch.tensor([[[0.0, 0, 10, 10], [20.0, 0, 30, 10]]]), torch.tensor([[3, 1]]))
    some = proposals(
        [[[0, 0, 10, 5.1], [0, 0, 10, 5], [20, 0, 30, 11], [50, 50, 60, 60], [0, 0, 10, 10]]],
        [[True, True, True, True, False]],
    )
    found = detector.label(some, truth)
    assert found.labels.tolist() == [[4, 0, 2, 0, -1]]
    assert found.boxes[0, 0].tolist() == [0, 0, 10, 10]
    assert found.boxes[0, 2].tolist() == [20, 0, 30, 10]


def test_padding_of_the_truth_is_no_truth():
    truth = TrueBoxes(torch.tensor([[[0.0, 0, 10, 10], [0.0, 0, 10, 10]]]), torch.tensor([[-1, -1]]))
    assert detector.label(proposals([[[0, 0, 10, 10]]]), truth).labels.tolist() == [[0]]
    empty = TrueBoxes(torch.zeros(1, 0, 4), torch.zeros(1, 0, dtype=torch.long))
    assert detector.label(proposals([[[0, 0, 10, 10]]]), empty).labels.tolist() == [[0]]


@pytest.mark.parametrize(
    ("count", "share", "positives", "total"), [(8, 0.25, 2, 8), (8, 0.75, 4, 8), (40, 0.25, 4, 18)]
)
def test_sampling(count, share, positives, total):
    labels = torch.tensor([[2] * 4 + [0] * 14 + [-1] * 2])
    some = proposals([[[i, 0, i + 5, 5] for i in range(20)]], [[True] * 18 + [False] * 2])
    drawn, targets = detector.sample(some, Targets(labels, some.boxes), count, share)
    assert (int((targets.labels > 0).sum()), int((targets.labels >= 0).sum())) == (positives, total)
    assert torch.equal(drawn.valid, targets.labels >= 0)
    for box, label in zip(drawn.boxes[drawn.valid], targets.labels[drawn.valid], strict=True):
        assert label == labels[0, int(box[0])]  # rows stay together
    assert torch.equal(targets.boxes, drawn.boxes)


def test_sampling_of_frames_with_nothing():
    some = proposals([[[0, 0, 5, 5]]] * 2, [[False], [True]])
    drawn, targets = detector.sample(some, Targets(torch.tensor([[-1], [0]]), some.boxes), 8, 0.5)
    assert targets.labels.tolist() == [[-1], [0]]
    assert drawn.valid.tolist() == [[False], [True]]


def test_true_boxes_stand_beside_the_proposals():
    truth = TrueBoxes(torch.tensor([[[0.0, 0, 10, 10], [0.0, 0, 0, 0]]]), torch.tensor([[3, -1]]))
    found = detector.with_truth(proposals([[[5, 5, 9, 9]]]), truth)
    assert found.valid.tolist() == [[True, True, False]]
    assert found.boxes[0, 1].tolist() == [0, 0, 10, 10]


def test_decoding_undoes_the_targets():
    """A head that says what the loss wants gives the true box, and its loss is 0."""
    some = proposals([[[10, 10, 30, 40], [12, 8, 28, 44]]])
    true = torch.tensor([12.0, 14.0, 36.0, 44.0])
    targets = Targets(torch.tensor([[2, 0]]), true.expand(1, 2, 4))
    wanted = encode(true, some.boxes) * torch.tensor(CODER)
    offsets = torch.zeros(1, 2, 3, 4)
    offsets[0, :, 1] = wanted[0]
    logits = torch.tensor([[[0.0, 0, 50, 0], [50.0, 0, 0, 0]]])
    classes, box = detector.head_loss(logits, offsets, some, targets)
    assert (classes.item(), box.item()) == (pytest.approx(0, abs=1e-6), 0)
    found = detector.detections(logits, offsets, some, 64, 64)
    torch.testing.assert_close(found.boxes[0, 0, 1], true)
    assert found.scores[0, 0].tolist() == pytest.approx([0, 1, 0])


def test_the_losses_of_a_head_by_hand():
    """Cross entropy of background and positives, smooth L1 of the positives, both over all that is drawn."""
    torch.manual_seed(0)
    logits, offsets = torch.randn(1, 3, 4), torch.randn(1, 3, 3, 4)
    some = proposals([[[10, 10, 30, 40], [12, 8, 28, 44], [0, 0, 5, 5]]])
    true = torch.tensor([12.0, 14.0, 36.0, 44.0])
    classes, box = detector.head_loss(
        logits, offsets, some, Targets(torch.tensor([[2, 0, -1]]), true.expand(1, 3, 4))
    )
    chance = logits[0].softmax(1)
    torch.testing.assert_close(classes, -(chance[0, 2].log() + chance[1, 0].log()) / 2)
    apart = (offsets[0, 0, 1] - encode(true, some.boxes[0, 0]) * torch.tensor(CODER)).abs()
    torch.testing.assert_close(box, torch.where(apart < 1, apart**2 / 2, apart - 0.5).sum() / 2)


def test_only_the_class_of_a_positive_learns_its_box():
    offsets = torch.zeros(1, 2, 3, 4, requires_grad=True)
    some = proposals([[[10, 10, 30, 40], [12, 8, 28, 44]]])
    targets = Targets(torch.tensor([[2, 0]]), torch.tensor([12.0, 14.0, 36.0, 44.0]).expand(1, 2, 4))
    detector.head_loss(torch.zeros(1, 2, 4), offsets, some, targets)[1].backward()
    touched = offsets.grad.abs().sum(-1) > 0
    assert touched.tolist() == [[[False, True, False], [False] * 3]]


def test_no_proposal_no_loss():
    some = proposals([[[0, 0, 5, 5]]], [[False]])
    targets = Targets(torch.tensor([[-1]]), some.boxes)
    logits, offsets = torch.zeros(1, 1, 4, requires_grad=True), torch.zeros(1, 1, 3, 4, requires_grad=True)
    total = sum(detector.head_loss(logits, offsets, some, targets))
    total.backward()
    assert total.item() == 0


def test_head_learns():
    torch.manual_seed(0)
    head, features = RegionHead(4, 2, 16, classes=2), torch.randn(6, 4, 2, 2)
    targets = Targets(torch.tensor([[0, 1, 2, 0, 1, 2]]), torch.tensor([1.0, 1, 9, 9]).expand(1, 6, 4))
    some = proposals([[[0, 0, 8, 10]] * 6])
    optimiser, losses = torch.optim.Adam(head.parameters(), 1e-2), []
    for _ in range(60):
        logits, offsets, _ = head(features)
        loss = torch.stack(detector.head_loss(logits[None], offsets[None], some, targets)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 10


def test_padded_tables():
    valid = torch.tensor([[True, False], [True, True]])
    table = detector.in_table(torch.tensor([[1.0], [2.0], [3.0]]), valid)
    assert table[..., 0].tolist() == [[1, 0], [2, 3]]
    with pytest.raises(FormatError, match="2 values for 3 places"):
        detector.in_table(torch.zeros(2, 1), valid)
