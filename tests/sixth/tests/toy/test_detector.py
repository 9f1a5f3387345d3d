"""The toy's criterion by hand."""

from __future__ import annotations

import math

import pytest
import torch

from stad_lite.systems.truth import TrueBoxes
from stad_lite.toy.config import ToyConfig
from stad_lite.toy.detector import losses


def test_two_truths_of_one_frame_share_its_loss():
    box = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 4, 2], [0, 0, 0, 0]]])
    truth = TrueBoxes(boxes, torch.tensor([[0, 1, -1]]))
    terms = losses(torch.zeros(1, 2), box, truth, ToyConfig(box_weight=1))
    assert float(terms["class"]) == pytest.approx(math.log(2))
    assert float(terms["box"]) == pytest.approx((0 + 0.5) / 2)
