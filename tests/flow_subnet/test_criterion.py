"""Matching, hard negatives, the terms by hand, and when the flow has one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.flow_subnet.criterion import VARIANCES, assign, losses
from stad_lite.flow_subnet.model import Said
from stad_lite.nets.flow.pwcnet import multi_scale_loss
from stad_lite.systems.truth import TrueBoxes
from tests.flow_subnet.cases import config, network, sequences, video

TRUTH = TrueBoxes(
    torch.tensor([
        [[4.0, 4, 20, 40], [24, 8, 40, 36], [0, 0, 0, 0]],
        [[0.0, 0, 9, 9], [30, 30, 46, 46], [2, 3, 40, 40]],
    ]),
    torch.tensor([[1, 0, -1], [2, 2, 0]]),
)  # fmt: skip
"""Two frames, one with two boxes and one with three."""


def said(seed: int = 0, flows: list[Tensor] | None = None) -> tuple[Said, Tensor]:
    net = network()
    torch.manual_seed(seed)
    shape = (2, 1, len(net.boxes))
    answer = Said(torch.randn(*shape, 4), torch.randn(*shape, 4) * 0.3, flows or [], None)
    return answer, net.boxes


def brute_assign(
    defaults: np.ndarray, boxes: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """SSD's rule in loops."""
    found, place = np.zeros(len(defaults), int), np.zeros(len(defaults), int)
    overlap = [[float(box_ops.iou(d, b)) for b in boxes] for d in defaults]
    for n, row in enumerate(overlap):
        best = int(np.argmax(row))
        if row[best] >= 0.5:
            found[n], place[n] = labels[best] + 1, best
    for g in range(len(boxes)):
        column = [row[g] for row in overlap]
        for n, value in enumerate(column):
            if value == max(column):
                found[n], place[n] = labels[g] + 1, g
    return found, place


def test_matching_by_brute_force():
    defaults = said()[1]
    labels, targets = assign(defaults, TRUTH, 0.5)
    for frame in range(2):
        known = TRUTH.labels[frame] >= 0
        boxes, classes = TRUTH.boxes[frame][known].numpy(), TRUTH.labels[frame][known].numpy()
        wanted, place = brute_assign(defaults.numpy(), boxes, classes)
        assert labels[frame].tolist() == wanted.tolist()
        positive = wanted > 0
        assert positive.sum() >= len(boxes)
        np.testing.assert_allclose(targets[frame].numpy()[positive], boxes[place][positive])


def test_every_true_box_has_a_default_box_however_small():
    truth = TrueBoxes(torch.tensor([[[10.0, 10, 13, 12]]]), torch.tensor([[2]]))
    labels, _ = assign(said()[1], truth, 0.5)
    assert (labels == 3).sum() >= 1 and set(labels.unique().tolist()) == {0, 3}


@pytest.mark.parametrize("ratio", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_terms_by_hand(ratio, gamma):
    answer, defaults = said()
    kind = "focal" if gamma else "softmax"
    terms = losses(answer, defaults, TRUTH, config(negatives=ratio, classification=kind))
    labels, targets = assign(defaults, TRUTH, 0.5)
    count, classes, boxes = 0, 0.0, 0.0
    for frame in range(2):
        chances = answer.scores[frame, 0].softmax(1)
        positive = (labels[frame] > 0).nonzero()[:, 0].tolist()
        background = [n for n in range(len(defaults)) if n not in positive]
        hardest = sorted(background, key=lambda n: float(chances[n, 0]))[: round(ratio * len(positive))]
        assert len(hardest) == round(ratio * len(positive))
        for n in positive + hardest:
            chance = float(chances[n, labels[frame, n]])
            classes -= (1 - chance) ** gamma * np.log(chance)
        for n in positive:
            wanted = box_ops.encode(targets[frame, n], defaults[n]) / torch.tensor(VARIANCES)
            boxes += float(F.smooth_l1_loss(answer.offsets[frame, 0, n], wanted, reduction="sum"))
        count += len(positive)
    assert float(terms["class"]) == pytest.approx(classes / count, rel=1e-4)
    assert float(terms["box"]) == pytest.approx(boxes / count, rel=1e-4)
    assert set(terms) == {"class", "box"}


def test_frames_without_boxes_say_nothing():
    answer, defaults = said()
    nothing = TrueBoxes(torch.zeros(2, 1, 4), torch.full((2, 1), -1))
    terms = losses(answer, defaults, nothing, config())
    assert {name: float(value) for name, value in terms.items()} == {"class": 0.0, "box": 0.0}


def trained(frozen: bool = False, flow: bool = True, **changes: Any) -> dict[str, Tensor]:
    net = network(**changes).train()
    frames = torch.cat([sequences(video(3)), sequences(video(3, seed=1))])
    answer = net(frames, frozen=frozen)
    known = torch.full((2, 2, 2, 48, 48), 2.0) if flow else None
    return losses(answer, net.boxes, TRUTH, net.config, known)


@pytest.mark.parametrize(
    ("changes", "has"),
    [
        ({}, True),
        ({"frozen": True}, False),
        ({"flow": False}, False),
        ({"flow_weight": 0.0}, False),
        ({"supervision": "teacher", "flow": False}, True),
        ({"estimator": "flownets"}, True),
        ({"estimator": "spynet"}, False),
        ({"pairs": "one"}, True),
        ({"pairs": "released", "supervision": "none", "flow": False}, False),
        ({"fusion": "appearance"}, False),
    ],
)
def test_when_the_flow_has_a_loss(changes, has):
    assert ("flow" in trained(**changes)) == has


@pytest.mark.parametrize("pairs", ["two", "one"])
def test_the_flows_loss_is_equation_1_on_the_right_pairs(pairs):
    net = network(pairs=pairs).train()
    frames = torch.cat([sequences(video(3)), sequences(video(3, seed=1))])
    answer = net(frames)
    torch.manual_seed(1)
    flow = torch.randn(2, 2, 2, 48, 48)
    found = losses(answer, net.boxes, TRUTH, net.config, flow)["flow"]
    rows = [flow[b, p] for b in range(2) for p in ((0, 1) if pairs == "two" else (1,))]
    torch.testing.assert_close(found, multi_scale_loss(answer.flows, torch.stack(rows)))


def test_known_flow_is_scaled_to_the_networks_input():
    """50 pixels become 64: so do the vectors."""
    net = network(size=(50, 50), flow_depth=4).train()
    frames = torch.randint(0, 256, (2, 3, 3, 50, 50))
    answer = net(frames)
    found = losses(answer, net.boxes, TRUTH, net.config, torch.full((2, 2, 2, 50, 50), 5.0))["flow"]
    wanted = multi_scale_loss(answer.flows, torch.full((4, 2, 64, 64), 5.0 * 64 / 50))
    torch.testing.assert_close(found, wanted)


def test_the_flow_network_learns_when_it_is_not_frozen():
    for frozen in (True, False):
        net = network().train()
        answer = net(torch.cat([sequences(video(3))] * 2), frozen=frozen)
        sum(losses(answer, net.boxes, TRUTH, net.config).values()).backward()
        gradients = [p.grad is not None for p in net.motion.net.parameters()]
        assert not any(gradients) if frozen else all(gradients)
        assert net.motion.encoder.weight.grad.abs().sum() > 0  # fuses what is frozen, and learns
