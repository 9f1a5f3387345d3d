"""The printed solutions of the chapter pass its checks, wrong answers do not."""

import numpy as np
import pytest
import torch

from stad_lite.baselines import dense
from stad_lite.baselines.config import DenseConfig
from stad_lite.boxes import pairwise_iou
from stad_lite.exercises import from_frames_to_a_detector as exercises
from tests.exercises.references import verdicts


def test_receptive_field(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_receptive_field(exercises.receptive_field)
    exercises.check_receptive_field(lambda layers: 1 + sum((k - 1) * d for k, _, d in layers))
    told = verdicts(capsys)
    assert told[0] == "right" and told[1].startswith("not right")


def test_the_backbones_receptive_field_is_what_the_gradient_says() -> None:
    network = dense.make_backbone("rgb", DenseConfig(norm="none"))
    picture = torch.ones(1, 3, 96, 96, requires_grad=True)
    next(iter(network(picture).values()))[0, :, 12, 12].sum().backward()
    assert picture.grad is not None
    seen = picture.grad[0].abs().sum(0).nonzero()
    side = int((seen.max(0).values - seen.min(0).values + 1).max())
    assert side <= exercises.receptive_field(exercises.BACKBONE) <= side + 4  # max pools pass one pixel on


def test_bias(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_bias(-3.8918)
    exercises.check_bias(0.02)
    exercises.check_bias(...)
    assert verdicts(capsys) == ["right", "not right", "not answered yet"]


def test_keep(capsys: pytest.CaptureFixture[str]) -> None:
    def solution(boxes, scores, threshold):
        stays: list[int] = []
        for i in np.argsort(-scores, kind="stable"):
            if all(pairwise_iou(boxes[[i]], boxes[[j]])[0, 0] <= threshold for j in stays):
                stays.append(int(i))
        return stays

    exercises.check_keep(solution)
    exercises.check_keep(lambda boxes, scores, threshold: np.argsort(-scores))
    told = verdicts(capsys)
    assert told[0] == "right" and told[1].startswith("not right")
