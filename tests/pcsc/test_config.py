"""The settings: the paper's numbers field by field, what is ours, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stad_lite.errors import FormatError
from stad_lite.linking import MedianFilter, OnlineConfig
from stad_lite.pcsc.config import PCSCConfig, schedule
from tests.papers import hold

SMOKE = PCSCConfig.smoke()
PAPER = {
    "trunk": "i3d", "width": 1.0, "blocks": None, "norm": "batch",  # I3D to Mixed5c (Sec. 3.3)
    "every": 1,  # 10 in the ablations (Sec. 4.3)
    "rpn_batch": 256, "head_batch": 512,  # Sec. 4.1
    "overlap": 0.5,  # Sec. 3.5
    "stages": 4, "messages": "both", "directions": "both", "proposals": True,  # Fig. 1, Table 5
    "combine": "union",  # Sec. 4.3
    "linking": OnlineConfig.road(),  # "the same linking strategy as in [23]" (Sec. 3.4)
}  # fmt: skip
OURS = {
    "size": (320, 432), "frames": 16, "gap": 1, "frozen": True, "flow_scale": 20.0, "pretrained": "",
    "depth": (1, 2, 2), "widths": (32, 32, 32), "hidden_maps": (64, 64),
    "channels": 256, "scales": (32.0, 64.0, 128.0, 256.0), "ratios": (0.5, 1.0, 2.0),
    "rpn_before": (2000, 1000), "rpn_after": (1000, 300), "rpn_nms": 0.7, "positive_share": 0.25,
    "roi": 7, "canonical": 112.0, "samples": 2, "hidden": 1024,
    "reduction": 4, "own_nms": 0.5, "other_nms": 0.3, "confidence": 0.05, "stage_keep": 100,
    "boost_overlap": 0.3, "min_score": 0.01, "nms": 0.5, "keep": 10,
    "actionness_hidden": 0, "trim": MedianFilter(width=17, threshold=0.1, empty="keep", rescore=False),
}  # fmt: skip


def test_paper_holds_the_papers_numbers():
    hold(PCSCConfig.paper(), PAPER, {"(ours": OURS})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": "some"}, "messages is 'some'"),
        ({"directions": "rgb"}, "directions is 'rgb'"),
        ({"combine": "sum"}, "combine is 'sum'"),
        ({"trunk": "vgg"}, "trunk is 'vgg'"),
        ({"stages": -1}, "stages is -1"),
        ({"every": 0}, "every is 0"),
        ({"other_nms": 0.6}, "own_nms is 0.5 and other_nms is 0.6"),
        ({"scales": (16.0,)}, "scales is .* and hidden_maps is"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(FormatError, match=message):
        replace(SMOKE, **change)


def test_schedules():
    """The paper: .01, times .1 at the fifth and at the sixth of six epochs."""
    paper = schedule("paper")
    assert (paper.epochs, paper.lr, paper.drop) == (6, 0.01, 0.1)
    assert [round(part * 6) for part in paper.drops] == [4, 5]
    assert schedule("lesson").lr_factors == (("backbones", 0.0),)
    with pytest.raises(FormatError, match="no profile"):
        schedule("long")
