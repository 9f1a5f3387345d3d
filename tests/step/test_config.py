"""Settings: what the profiles say, and what cannot be."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stad_lite.data.synthetic import annotate
from stad_lite.errors import FormatError
from stad_lite.linking import TubeletConfig
from stad_lite.schedule import learning_rate
from stad_lite.step.config import SCHEDULES, StepConfig, clip_settings, schedule
from stad_lite.step.cuboids import CUBOIDS, best_overlaps
from stad_lite.step.model import StepNetwork
from tests.papers import hold

PAPER = {
    "backbone": "vgg16", "size": (400, 400), "clip": 6, "flow_depth": 5, "augment": "crop",  # Sec. 4.1
    "stream": "rgb", "cuboids": "grid11",  # Sec. 4.2; the places of the 11 are ours
    "frozen": False,  # the whole model is updated (Sec. 3.4)
    "clips": (1, 3, 5),  # 6, 18, 30 frames (Sec. 4.2)
    "extension": "anticipation",  # the better of two (Fig. 5)
    "extrapolation": "closed",  # Eq. 4
    "anticipation": "clip",  # Eq. 5
    "head": "conv3d",  # three 3-D convolutions (Sec. 4.1)
    "context": True,  # Sec. 3.5
    "regression": "class",  # K x 4 x C (Sec. 3.1)
    "classification": "softmax",  # C + 1 (Sec. 3.1, 3.2)
    "assignment": "highest", "sampling": "paper",  # Sec. 3.4
    "supervision": "all",  # Eq. 3
}  # fmt: skip
MARKED = {
    "(the code's": {
        "frozen_norms": True, "hidden": 256, "roi_size": 7, "dropout": 0.3, "thresholds": (0.2, 0.35, 0.5),
        "positives": 5, "negatives": 2, "box_weight": 5.0, "neighbour_weight": 1.0,
        "min_score": 0.01, "nms": 0.4, "keep": 300,
    },
    "(ours": {"flow_scale": 4.0, "normalise": "bgr", "pretrained": "", "width": 512, "roi": "align"},
    "(ACT's": {"stride": 1, "linking": TubeletConfig.act()},
    "(ROAD's": {"trim_alpha": 3.0},
}  # fmt: skip
PAPER_AVA = {
    "backbone": "i3d", "size": (400, 400), "clip": 12, "cuboids": "grid34", "clips": (1, 1, 3),
    "head": "mixed", "stream": "rgb",  # Sec. 4.1
    "frozen": False, "extension": "anticipation", "extrapolation": "closed", "anticipation": "clip",
    "context": True,
    "augment": "crop", "assignment": "highest", "sampling": "paper",  # Sec. 4.1, 3.4
    # the code's, where the paper says otherwise or nothing
    "regression": "agnostic", "classification": "bce", "supervision": "middle",
    "flow_depth": 1,  # no flow
}  # fmt: skip
MARKED_AVA = {
    **MARKED,
    "(ours": {"flow_scale": 4.0, "normalise": "unit", "pretrained": "", "width": 1024, "roi": "legacy"},
    "(ACT's": {"stride": 12, "linking": StepConfig().linking},  # key frames alone: nothing is linked
}


def test_paper_holds_the_papers_numbers():
    ucf, ava = StepConfig.paper(), StepConfig.paper_ava()
    hold(ucf, PAPER, MARKED)
    hold(ava, PAPER_AVA, MARKED_AVA)
    assert ucf.steps == ava.steps == 3  # Sec. 4.2
    assert [clips * ucf.clip for clips in ucf.clips] == [6, 18, 30] and ava.boxes == 3


def test_the_papers_schedules():
    ucf, ava = schedule("paper"), schedule("paper_ava")
    total = ucf.total_steps(3500)
    rates = [learning_rate(int(part * total), total, ucf) for part in (0, 19.9 / 35, 20.1 / 35, 30.1 / 35)]
    assert rates == pytest.approx([5e-5, 5e-5, 5e-6, 5e-7])
    assert (ucf.epochs, ucf.batch, ucf.optimiser, ucf.schedule) == (35, 4, "adam", "step")
    assert (ava.epochs, ava.batch) == (10, 4)
    assert dict(ava.lr_factors)["backbone"] * ava.lr == pytest.approx(5e-6)
    total = ava.total_steps(1000)
    assert learning_rate(int(0.61 * total), total, ava) == pytest.approx(5e-6)


def test_small_actors_meet_the_cuboids_as_real_ones_do():
    """Mean best IoU with the 11 cuboids: .356 on UCF101-24 (test_cuboids)."""
    found = annotate(clip_settings("lesson"), 150, "val")
    boxes = np.concatenate([tube.boxes for video in found.videos.values() for tube in video.tubes])
    assert best_overlaps(boxes / 64, CUBOIDS["grid11"]).mean() == pytest.approx(0.356, abs=0.01)
    assert clip_settings("paper").height == 112
    with pytest.raises(FormatError):
        clip_settings("huge")


def test_every_profile_has_a_schedule():
    for profile in SCHEDULES:
        assert isinstance(getattr(StepConfig, profile)(), StepConfig)
    with pytest.raises(FormatError, match="huge"):
        schedule("huge")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"extension": "guess"}, "extension is 'guess'; choose from"),
        ({"sampling": "hard"}, "sampling"),
        ({"clips": (1, 3)}, r"clips is \(1, 3\) and thresholds"),
        ({"clips": (1, 2, 3)}, "odd"),
        ({"clips": (1, 5, 5)}, "grow by 2"),
        ({"clips": (3, 1, 1)}, "grow by 2"),
        ({"thresholds": (0.2, 0.3, 1.5)}, "thresholds"),
        ({"clip": 1}, "clip is 1 and"),
        ({"backbone": "i3d", "clip": 10}, "multiple of 4"),
        ({"backbone": "i3d", "clip": 12, "stream": "early"}, "stream is 'early'"),
        ({"positives": 0}, "positives"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(FormatError, match=message):
        replace(StepConfig.lesson(), **settings)


@pytest.mark.parametrize(("profile", "classes"), [("paper", 24), ("paper_ava", 60)])
def test_the_papers_networks_have_their_size(profile, classes):
    """Built without memory; the figures stand in the profiles' docstrings."""
    config = getattr(StepConfig, profile)()
    with torch.device("meta"):
        network = StepNetwork(config, classes)
    count = sum(p.numel() for p in network.parameters())
    backbone = sum(p.numel() for p in network.backbone.parameters())
    text = getattr(StepConfig, profile).__doc__.replace(",", "")
    assert str(count) in text and str(backbone) in text
