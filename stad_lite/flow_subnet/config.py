"""Settings of the flow subnet: what the network is made of, how it is trained, decoded and linked.

What the paper leaves open is our choice and marked so. Where the published code and the paper differ, both
are values of a setting; ``released`` takes the code's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from stad_lite.flow_subnet.layout import map_sides
from stad_lite.linking import TRIMS
from stad_lite.nets.inputs import PIXELS
from stad_lite.nets.layers import Norm
from stad_lite.schedule import TrainConfig, chosen
from stad_lite.settings import (
    AtLeastOne,
    Between,
    Channels,
    Count,
    Frames,
    Group,
    OneOf,
    Scale,
    Share,
    Side,
    Weight,
    conflict,
)

WHOLE_RUN = 10**9
"""Items that no run sees: frozen from beginning to end."""


@dataclass(frozen=True)
class Motion(Group):
    """Where motion comes from, and how it becomes an image (flow subnet Sec. 3.1, 3.2).

    estimator: ``pwcnet`` (the paper's), ``flownets``, ``flownet2`` (Table 1), ``spynet`` (ours), or
        ``given``: the source's own flow, precomputed by a classical method or exact
    flow_depth, flow_width, flow_reach: levels, factor on the channels, cells of the cost volume
    normalised: PWC-Net compares normalised maps and begins near no flow, as random weights need it (ours)
    enlarged: how many times larger than they are the flow network sees frames (ours)
    pairs: ``two``: (k-1, k) and (k, k+1); ``one``: (k, k+1); ``released``: (k-1, k+1), as the code does
    vectors: ``scaled`` with the image where flow is resized, ``raw`` as the code leaves them
    flow_scale: pixels a frame that become as much as half of the range of RGB (ours)
    encoder: the 1 x 1 convolution to an image (``linear``), with batch norm and ReLU in the code (``norm``)
    pretrained: profile of small networks pretrained on synthetic clips, "" for random weights
    frozen_items: items of the training before the flow network learns too (Sec. 4.3)
    """

    estimator: Literal["pwcnet", "flownets", "flownet2", "spynet", "given"] = "pwcnet"
    flow_depth: Annotated[int, Between(3, 6)] = 3
    flow_width: Annotated[float, Between(0.05, 1)] = 0.25
    flow_reach: Annotated[int, Between(1, 16)] = 2
    normalised: bool = True
    enlarged: Annotated[int, Between(1, 4)] = 2
    pairs: Literal["two", "one", "released"] = "two"
    vectors: Literal["scaled", "raw"] = "scaled"
    flow_scale: Scale = 2.0
    encoder: Literal["linear", "norm"] = "linear"
    pretrained: Literal["", "smoke", "lesson"] = "lesson"
    frozen_items: Count = 3200

    @property
    def learns_flow(self) -> bool:
        """Whether there is a flow network whose levels have a loss of their own."""
        return self.estimator in ("pwcnet", "flownets")

    @property
    def fields(self) -> int:
        """How many flow fields a frame has."""
        return 2 if self.pairs == "two" else 1


@dataclass(frozen=True)
class Detector(Group):
    """Backbone, default boxes, fusion of both streams, and what each box says (Sec. 3.3, 3.4).

    backbone: ``rfb`` (dilated VGG16 with receptive field blocks), or ``small`` (a short one at stride 4)
    width: factor on the channels of ``rfb``; channels: of the levels behind the first one of ``small``
    norm: of both
    normalise: how pixels are scaled, a name in ``nets.inputs.PIXELS``
    size: (height, width) of frames, a square
    levels: maps that boxes are found on
    box_shares: smallest sides of default boxes as shares of the frame, one more than levels
    fusion: ``concat``, ``sum`` or ``average``, each before a 1 x 1 convolution (Eq. 5, 6), ``pyramid``
        (Eq. 7), or none: ``appearance`` or ``motion`` alone
    fused: at ``all`` levels, or at ``one``: the finest; the others then see appearance alone (ours)
    convolutions: of the fusion, for boxes and classes (``shared``) or for each (``separate``, the code's)
    """

    backbone: Literal["rfb", "small"] = "small"
    width: Annotated[float, Between(0.05, 1)] = 1.0
    channels: Channels = 64
    norm: Norm = "group"
    normalise: Annotated[str, OneOf(PIXELS)] = "unit"
    size: tuple[Side, Side] = (64, 64)
    levels: Annotated[int, Between(2, 6)] = 3
    box_shares: tuple[Annotated[float, Between(0.01, 2)], ...] = (0.2, 0.32, 0.45, 0.6)
    fusion: Literal["concat", "sum", "average", "pyramid", "appearance", "motion"] = "concat"
    fused: Literal["all", "one"] = "all"
    convolutions: Literal["shared", "separate"] = "shared"

    @property
    def sees_motion(self) -> bool:
        """Whether flow is looked at."""
        return self.fusion != "appearance"


@dataclass(frozen=True)
class Loss(Group):
    """What is minimised (Eq. 8).

    positive: IoU from which a default box is positive, beside the best one of every true box
    negatives: hard negatives for each positive
    classification: ``softmax`` cross entropy (the paper's), or ``focal`` with ``gamma`` (the code's)
    class_weight, box_weight, flow_weight: of the terms
    supervision: of the flow: ``exact``, where the source's flow is; ``source``, by whatever flow it has;
        ``teacher``, by a frozen copy of the flow network; ``none`` (the code's)
    """

    positive: Share = 0.5
    negatives: Annotated[float, Between(0, 1000)] = 3.0
    classification: Literal["softmax", "focal"] = "softmax"
    gamma: Annotated[float, Between(0, 10)] = 2.0
    class_weight: Weight = 1.0
    box_weight: Weight = 1.0
    flow_weight: Weight = 1.0
    supervision: Literal["exact", "source", "teacher", "none"] = "exact"


@dataclass(frozen=True)
class Augmentation(Group):
    """How sequences are drawn and changed in training, all frames of one alike (Sec. 4.3).

    every: of a video's annotated frames every so many-th is trained on
    flip, photometric, swap: probabilities of the mirror image, of each colour distortion, of other channels
    crop: ``none``, or ``overlap`` for SSD's random crops
    """

    every: Frames = 1
    flip: Share = 0.5
    photometric: Share = 0.3
    swap: Share = 0.0
    crop: Literal["none", "overlap"] = "none"


@dataclass(frozen=True)
class Decoding(Group):
    """Raw outputs to boxes, and boxes to tubes as they come (the linking of ROAD).

    min_score, nms, keep: a box needs this score, goes where a better one of its class overlaps more, and so
        many of a class enter the suppression
    linked: best boxes of a class and frame that may be linked
    trim: name of a trim of the finished tubes (``linking.TRIMS``), empty for none
    """

    min_score: Share = 0.01
    nms: Share = 0.45
    keep: AtLeastOne = 50
    linked: AtLeastOne = 10
    trim: Annotated[str, OneOf(("", *TRIMS))] = ""


@dataclass(frozen=True)
class FlowSubnetConfig(Decoding, Augmentation, Loss, Detector, Motion):
    """One detector that estimates flow itself. raises: FormatError"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size[0] != self.size[1]:
            raise conflict(self, "size", remedy="give a square; videos are scaled to it")
        if len(self.box_shares) != self.levels + 1:
            raise conflict(self, "box_shares", "levels", remedy="give one share more than levels")
        if not self.map_sides or min(self.map_sides) < 1:
            raise conflict(self, "levels", "size", "backbone", remedy="take fewer levels or larger frames")
        if self.estimator == "given" and self.pairs == "released":
            raise conflict(self, "estimator", "pairs", remedy="a source's flow joins neighbours: pairs=two")
        if self.fused == "one" and self.fusion not in ("concat", "sum", "average"):
            raise conflict(self, "fused", "fusion", remedy="fuse all levels, or by concat, sum or average")
        if self.backbone == "small" and self.channels % 16:
            raise conflict(self, "channels", remedy="give a multiple of 16, for the branches of the blocks")
        if self.backbone == "rfb" and (self.width * 16) % 1:
            raise conflict(self, "width", remedy="give a multiple of 1/16, for the branches of the blocks")
        if self.pairs == "released" and self.supervision in ("exact", "source"):
            remedy = "a source's flow joins neighbours: supervision=teacher or none"
            raise conflict(self, "pairs", "supervision", remedy=remedy)
        if self.pretrained and self.sees_motion and self.estimator in ("flownet2", "spynet"):
            remedy = "there is no small one: pretrained= and published weights"
            raise conflict(self, "pretrained", "estimator", remedy=remedy)
        if self.pretrained and self.norm != "group":
            raise conflict(self, "pretrained", "norm", remedy="the pretrained backbone has group norms")

    @property
    def map_sides(self) -> tuple[int, ...]:
        """Cells along each side of the levels' maps (``layout.map_sides``)."""
        return map_sides(self.backbone, self.size[0], self.levels)

    def thawed(self) -> FlowSubnetConfig:
        """Return the same for a start without published weights: pixels in [-1, 1]."""
        return replace(self, normalise="unit")

    @classmethod
    def smoke(cls) -> FlowSubnetConfig:
        """Frames of 48 x 48 pixels, few channels: seconds on a CPU."""
        return cls(
            pretrained="smoke", size=(48, 48), flow_width=0.125, enlarged=1, channels=16, frozen_items=8
        )

    @classmethod
    def lesson(cls) -> FlowSubnetConfig:
        """Frames of 64 x 64 pixels, a small PWC-Net and a small backbone, three levels.

        The flow's loss is a sum over 1024 cells of small vectors: at a weight of 1 the gradients of detection
        spoil the flow.
        """
        return cls(flow_weight=100.0)

    @classmethod
    def large(cls) -> FlowSubnetConfig:
        """Frames of 112 x 112 pixels; flow network and detector learn from scratch: minutes on a GPU.

        Three times the lesson's cells and vectors 1.75 times as long: the flow weighs a fifth of there.
        """
        scratch: dict[str, Any] = {"pretrained": "", "frozen_items": 0, "flow_weight": 20.0}
        return cls(**scratch, size=(112, 112), flow_depth=4, channels=96)

    @classmethod
    def paper(cls) -> FlowSubnetConfig:
        """UCF101-24 (Sec. 4.3): 300 x 300 pixels, PWC-Net at 320 x 320, VGG16, 11,620 default boxes.

        The paper's figures: frame-mAP 67.7, video-mAP 74.8 / 46.6 / 16.7 / 21.9 at .2 / .5 / .75 / .5:.95,
        37.8 frames a second on a GTX 1080 Ti, 24.1 ms of them for detection.
        """
        flow: dict[str, Any] = {"flow_depth": 6, "flow_width": 1.0, "flow_reach": 4, "flow_scale": 20.0}
        flow |= {"normalised": False, "enlarged": 1, "pretrained": "", "frozen_items": 75_000 * 40}
        net: dict[str, Any] = {"backbone": "rfb", "norm": "batch", "normalise": "bgr", "size": (300, 300)}
        # RFB Net's table for 300 pixels: 30 60 111 162 213 264 315
        net |= {"levels": 6, "box_shares": (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05)}
        return cls(**flow, **net, photometric=0.5, swap=0.5, crop="overlap", trim="road")

    @classmethod
    def released(cls) -> FlowSubnetConfig:
        """The published code where it differs from the paper."""
        own = replace(cls.paper(), pairs="released", vectors="raw", encoder="norm", supervision="none")
        return replace(own, convolutions="separate", classification="focal")


_PAPER = TrainConfig(
    steps=150_000, batch=40, optimiser="sgd", lr=1e-3, weight_decay=5e-4, schedule="step",
    drops=(30 / 150, 60 / 150, 100 / 150), checkpoint_every=1000,
)  # fmt: skip

SCHEDULES: dict[str, TrainConfig] = {
    "smoke": TrainConfig(steps=8, batch=4, lr=2e-3, clip_norm=20.0, checkpoint_every=8),
    "lesson": TrainConfig(steps=800, batch=8, lr=2e-3, warm_up=20, clip_norm=20.0, checkpoint_every=250),
    "large": TrainConfig(steps=1500, batch=16, lr=2e-3, warm_up=50, clip_norm=20.0, amp=True),
    "paper": _PAPER,
    # the code's biases learn twice as fast and do not decay
    "released": replace(_PAPER, bias_factor=2.0, decay_bias=False),
}
"""Profile -> how it is trained."""


def schedule(profile: str = "lesson") -> TrainConfig:
    """Return how a profile is trained. raises: FormatError for an unknown one"""
    return chosen(SCHEDULES, profile)
