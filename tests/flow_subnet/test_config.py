"""The settings: the paper's numbers field by field, the code's where they differ, what is refused."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from stad_lite.errors import FormatError
from stad_lite.flow_subnet.config import FlowSubnetConfig, schedule
from tests.flow_subnet.cases import config

PAPER = {
    "estimator": "pwcnet",  # Sec. 3.1
    "flow_depth": 6, "flow_width": 1.0, "flow_reach": 4,  # PWC-Net without changes (Sec. 3.2)
    "pairs": "two",  # {k-1, k} and {k, k+1}
    "encoder": "linear",  # a 1 x 1 point-wise convolution (Sec. 3.3.2)
    "frozen_items": 3_000_000,  # 75k iterations of 40 sequences (Sec. 4.3, 4.5)
    "backbone": "rfb", "width": 1.0, "levels": 6,  # Sec. 3.3, 3.4
    "size": (300, 300),
    "fusion": "concat", "fused": "all",  # M-Concat. is the default (Sec. 4.5)
    "normalise": "bgr",  # resize and mean subtraction (Sec. 3.3.1)
    "negatives": 3.0, "positive": 0.5,  # SSD's
    "classification": "softmax",  # [16]
    "class_weight": 1.0, "box_weight": 1.0, "flow_weight": 1.0,  # Eq. 8
    "photometric": 0.5, "swap": 0.5, "flip": 0.5, "crop": "overlap",  # Sec. 4.3
    "nms": 0.45, "min_score": 0.01, "keep": 50,  # the code's test
    "trim": "road",  # the tubes of Singh et al. (Sec. 4.2)
}  # fmt: skip
OURS = {
    "vectors", "flow_scale", "pretrained", "channels", "norm", "box_shares", "convolutions", "gamma",
    "supervision", "every", "linked", "normalised", "enlarged",
}  # fmt: skip
"""Fields that the paper gives no number for."""
RELEASED = {
    "pairs": "released", "vectors": "raw", "encoder": "norm", "convolutions": "separate",
    "classification": "focal", "supervision": "none",
}  # fmt: skip


def test_paper_holds_the_papers_numbers():
    paper = FlowSubnetConfig.paper()
    assert {name: getattr(paper, name) for name in PAPER} == PAPER
    assert {field.name for field in fields(paper)} == set(PAPER) | OURS
    assert paper.map_sides == (38, 19, 10, 5, 3, 1)


def test_the_schedule_is_the_papers():
    plan = schedule("paper")
    assert (plan.optimiser, plan.lr, plan.momentum, plan.weight_decay) == ("sgd", 1e-3, 0.9, 5e-4)
    assert (plan.steps, plan.batch, plan.drop) == (150_000, 40, 0.1)
    assert [round(part * plan.steps) for part in plan.drops] == [30_000, 60_000, 100_000]
    assert schedule("released").bias_factor == 2.0 and not schedule("released").decay_bias


def test_the_code_differs_from_the_paper_in_named_settings():
    paper, released = FlowSubnetConfig.paper(), FlowSubnetConfig.released()
    differing = {
        field.name: getattr(released, field.name)
        for field in fields(paper)
        if getattr(paper, field.name) != getattr(released, field.name)
    }
    assert differing == RELEASED


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"size": (48, 64)}, "size"),
        ({"levels": 2}, "box_shares"),
        ({"levels": 5, "box_shares": (0.1,) * 6}, "levels"),
        ({"backbone": "rfb", "levels": 6, "box_shares": (0.1,) * 7}, "levels"),
        ({"estimator": "given", "pairs": "released", "supervision": "none"}, "estimator"),
        ({"pairs": "released"}, "supervision"),
        ({"fusion": "pyramid", "fused": "one"}, "fused"),
        ({"channels": 24}, "channels"),
        ({"backbone": "rfb", "width": 0.2, "levels": 3}, "width"),
        ({"pretrained": "smoke", "norm": "none"}, "pretrained"),
        ({"pretrained": "smoke", "estimator": "flownet2"}, "estimator"),
        ({"pretrained": "smoke", "estimator": "spynet"}, "pretrained"),
    ],
)
def test_what_does_not_go_together_is_named(changes, named):
    with pytest.raises(FormatError) as caught:
        config(**changes) if "pretrained" not in changes else replace(FlowSubnetConfig.smoke(), **changes)
    assert f"{named} is " in caught.value.problem and caught.value.remedy
