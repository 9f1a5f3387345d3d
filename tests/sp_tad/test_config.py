"""The settings: the paper's numbers field by field, and whose the others are."""

from __future__ import annotations

from stad_lite.sp_tad.config import Backbone, SpTadConfig
from tests.papers import hold

BACKBONE = {
    "kind": "i3d", "streams": ("rgb", "flow"), "strides": (2, 4, 8),  # Sec. 3.1.1
    "width": 1.0, "norm": "batch",  # I3D as published
    "crop": (96, 96),  # Sec. 4.1
}  # fmt: skip
BACKBONE_MARKED = {
    "(AFSD's": {"frozen_norms": True},
    "(I3D's": {"flow_reach": 20.0},
    "(ours": {"stem": (), "channels": ()},
}
PAPER = {
    "backbone": Backbone(),  # field by field above
    "pyramid": "intermediate", "channels": 256,  # Sec. 3.1.2
    "eta": 5.0, "interaction": "sparse", "branches": "paper", "clip_head": True,  # Sec. 3.1.3, 3.1.4
    "heads": 4,  # Table 6
    "window": 256, "whole_video": False, "train_stride": 30, "test_stride": 128, "fps": 10.0,
    "size": (112, 112), "proposals": 50,  # Sec. 4.1
    "truth_share": 0.5,  # Sec. 4.2
}  # fmt: skip
MARKED = {
    "(Sparse R-CNN's": {
        "attention": 8, "hidden": 64, "feed_forward": 2048, "initial": "whole",
        "cls_cost": 2.0, "l1_cost": 5.0, "giou_cost": 2.0,
        "cls_weight": 2.0, "l1_weight": 5.0, "giou_weight": 2.0, "alpha": 0.25, "gamma": 2.0,
    },
    "(TadTR's": {"pairs": 100, "most": 200},
    "(AFSD's": {"sigma": 0.5, "min_score": 0.001, "exact_share": False},
    "(ours": {"bins": 16, "samples": 2, "clip_weight": 1.0},
}  # fmt: skip
ACTIVITYNET = {
    "window": 768, "test_stride": 768, "whole_video": True, "fps": 0.0, "proposals": 100,  # Sec. 4.1
}  # fmt: skip


def test_paper_holds_the_papers_numbers():
    paper = SpTadConfig.paper()
    hold(paper.backbone, BACKBONE, BACKBONE_MARKED)
    hold(paper, PAPER, MARKED)


def test_activitynet_has_its_own():
    softer = {**MARKED, "(AFSD's": {**MARKED["(AFSD's"], "sigma": 0.85}}
    hold(SpTadConfig.paper("activitynet"), {**PAPER, **ACTIVITYNET}, softer)
    assert SpTadConfig.paper_activitynet() == SpTadConfig.paper("activitynet")
