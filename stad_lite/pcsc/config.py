"""Settings of PCSC: what the streams see, how they help each other, how tubes are made and trimmed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from stad_lite.baselines.config import DenseConfig
from stad_lite.errors import FormatError
from stad_lite.linking import MedianFilter, OnlineConfig
from stad_lite.nets.i3d import MIXED
from stad_lite.nets.layers import Norm
from stad_lite.nets.vgg import check_stages
from stad_lite.schedule import TrainConfig
from stad_lite.settings import (
    AtLeastOne,
    Between,
    Channels,
    Frames,
    Group,
    Layers,
    OneOf,
    Scale,
    Share,
    Side,
    conflict,
)

MESSAGES = ("both", "image", "roi", "none")
TAPS = ("Conv3d_2c_3x3", "Mixed_3c", "Mixed_4f", "Mixed_5c")
"""I3D's end points under the pyramid. The paper's second is Mixed3d, which I3D does not have."""
FROZEN = (("backbones", 0.0),)
"""The small networks' maps are computed before training."""


@dataclass(frozen=True)
class Input(Group):
    """What the streams see, and the networks under the pyramid that look at it.

    size: (height, width) that frames and flow are scaled to (ours)
    frames: k neighbouring frames (ours); the key frame is the middle one, and of an even k, which has none,
        the first of the right half (``data.clips.key_frame``)
    gap: frames from one of them to the next (ours)
    trunk: ``i3d``, whose average over time is ours; or ``stack``: a small 2-D network a frame, which stays
        as it was pretrained so that its maps are computed once, and convolutions over the k stacked maps
    width, blocks, norm: of I3D (``nets.i3d.I3D``)
    frozen: its batch norms keep their statistics (ours)
    depth, widths, hidden_maps: of the small network (``nets.vgg.VGG``) and of the stack above it (ours)
    pretrained: profile of ``baselines.pretraining`` that the small networks start from, "" for random weights
        (ours)
    every: train on each ``every``-th frame only (10: the mini set of PCSC Sec. 4.3)
    flow_scale: pixels a frame that count as 1 in the flow network's input (ours; 20 is I3D's)
    """

    size: tuple[Side, Side] = (64, 64)
    frames: Frames = 9
    gap: Frames = 1
    trunk: Literal["stack", "i3d"] = "stack"
    width: Annotated[float, Between(0.01, 4)] = 1.0
    blocks: tuple[Annotated[str, OneOf(MIXED)], ...] | None = None
    norm: Norm = "group"
    frozen: bool = False
    depth: tuple[Layers, ...] = (1, 2, 2)
    widths: tuple[Channels, ...] = (32, 32, 32)
    hidden_maps: tuple[Channels, ...] = (64, 64)
    pretrained: Literal["", "smoke", "lesson"] = ""
    every: AtLeastOne = 1
    flow_scale: Scale = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stages(self.depth, self.widths, self.size, "widths")
        small = self.trunk == "stack"
        if not small and self.blocks is not None and not set(TAPS) <= {TAPS[0], *self.blocks}:
            raise conflict(self, "blocks", "trunk", remedy=f"give at least {', '.join(TAPS[1:])}")
        known = (DenseConfig.depth, DenseConfig.channels)
        if small and self.pretrained and (self.depth, self.widths) != known:
            names = ("pretrained", "depth", "widths")
            raise conflict(self, *names, remedy=f"give those of the pretrained networks, {known}")


@dataclass(frozen=True)
class Regions(Group):
    """The pyramid, its anchors, and the regions that are proposed on it.

    channels: of the pyramid (ours; 256 is its authors')
    scales, ratios: anchors: side in pixels a level; height / width (ours)
    rpn_before, rpn_after, rpn_nms: proposals kept a level, a frame, and their suppression; the two counts
        are (training, test) (ours; those of Feature Pyramid Networks in ``paper``)
    """

    channels: Channels = 48
    scales: tuple[Annotated[float, Between(1, 2048)], ...] = (16.0, 26.0)
    ratios: tuple[Annotated[float, Between(0.05, 20)], ...] = (1.0, 1.5)
    rpn_before: tuple[AtLeastOne, AtLeastOne] = (64, 64)
    rpn_after: tuple[AtLeastOne, AtLeastOne] = (24, 16)
    rpn_nms: Share = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ratios:
            raise conflict(self, "ratios", remedy="give one or more")


@dataclass(frozen=True)
class Sampling(Group):
    """Which anchors and proposals the losses see.

    rpn_batch, head_batch: what is sampled a frame for the losses
    positive_share: most positives of a head's (ours; Fast R-CNN's in ``paper``)
    overlap: proposals that overlap a true box by more than this are positive, all others negative
    """

    rpn_batch: AtLeastOne = 64
    head_batch: AtLeastOne = 16
    positive_share: Share = 0.5
    overlap: Annotated[float, Between(0.01, 1)] = 0.5


@dataclass(frozen=True)
class Heads(Group):
    """What classifies and refines the boxes of a stage.

    roi, canonical, samples: bins a side of RoI features; side of a box of level 1; as in ``roi_align``
        (ours; those of Feature Pyramid Networks in ``paper``)
    hidden: width of a detection head's layers (ours; the same)
    """

    roi: Annotated[int, Between(1, 64)] = 5
    canonical: Annotated[float, Between(1, 2048)] = 28.0
    samples: Annotated[int, Between(0, 64)] = 1
    hidden: Channels = 96


@dataclass(frozen=True)
class Cooperation(Group):
    """How the streams help each other, by features and by boxes.

    stages: of cooperation after stage 0
    messages: feature cooperation: at ``image`` level, ``roi`` level, ``both`` or ``none``
    directions: who is helped: ``both`` streams in turn, or one only (``to_rgb``, ``to_flow``); a stage that
        would help the other one refines that stream's own boxes without help
    proposals: whether a stream also takes the other's boxes
    reduction: of the channels inside a message (ours)
    own_nms, other_nms: of a stream's own boxes and of the other stream's, the lower one (ours)
    confidence: proposals from a stage's boxes need this probability (ours); in training half of what chance
        gives each class is enough (``cooperation.least_sure``)
    stage_keep: boxes of either source that become proposals of a stage (ours)
    """

    stages: Annotated[int, Between(0, 64)] = 4
    messages: Annotated[str, OneOf(MESSAGES)] = "both"
    directions: Literal["both", "to_rgb", "to_flow"] = "both"
    proposals: bool = True
    reduction: AtLeastOne = 4
    own_nms: Share = 0.5
    other_nms: Share = 0.3
    confidence: Share = 0.05
    stage_keep: AtLeastOne = 8


@dataclass(frozen=True)
class Decoding(Group):
    """The boxes of both streams to the output of a stage.

    combine: how the boxes of both streams become the output: their ``union``, as the paper says, or that
        after a ``boost`` of boxes that overlap one of the other stream
    boost_overlap: by so much (ours; the rule is that of Saha et al.)
    min_score, nms, keep: of the output of a stage: class by class (ours)
    """

    combine: Annotated[str, OneOf(("union", "boost"))] = "union"
    boost_overlap: Share = 0.3
    min_score: Share = 0.01
    nms: Share = 0.5
    keep: AtLeastOne = 10


@dataclass(frozen=True)
class Linking(Group):
    """Boxes to tubes, and where in time these begin and end.

    actionness_hidden: width of the actionness detectors' shared layer, 0 for none (ours)
    linking: ROAD's without temporal labelling
    trim: the median filter on actionness (ours: width and threshold, and that a trimmed tube keeps its score,
        by video-mAP@.5 on the split val of the synthetic clips)
    """

    actionness_hidden: Annotated[int, Between(0, 8192)] = 64
    linking: OnlineConfig = field(default_factory=OnlineConfig.road)
    trim: MedianFilter = field(
        default_factory=lambda: MedianFilter(width=9, threshold=0.1, empty="keep", rescore=False)
    )


@dataclass(frozen=True)
class PCSCConfig(Linking, Decoding, Cooperation, Heads, Sampling, Regions, Input):
    """PCSC. What the paper does not state is our choice and marked (ours), in the groups too.

    raises: FormatError
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        small = self.trunk == "stack"
        levels = len(self.hidden_maps) if small else 4
        if len(self.scales) != levels or not levels:
            raise conflict(
                self, "scales", "trunk", "hidden_maps", remedy=f"give a scale for each of {levels} levels"
            )
        if self.other_nms > self.own_nms:
            remedy = "give the other stream's boxes the lower threshold"
            raise conflict(self, "own_nms", "other_nms", remedy=remedy)
        narrowest = min((self.channels, *(self.hidden_maps if small else ())))
        if self.messages != "none" and self.reduction > narrowest:
            names = ("reduction", "channels", "hidden_maps")
            raise conflict(self, *names, remedy=f"give a reduction from 1 to {narrowest}")

    def thawed(self) -> PCSCConfig:
        """Return the same with batch norms trained, for a start without published weights."""
        return replace(self, frozen=False)

    @classmethod
    def smoke(cls) -> PCSCConfig:
        """Return a configuration that trains and predicts in seconds: 48 x 48 pixels, 5 frames, 2 stages."""
        return cls(
            size=(48, 48),
            frames=5,
            channels=16,
            hidden_maps=(24, 24),
            scales=(14.0, 20.0),
            hidden=32,
            stages=2,
        )

    @classmethod
    def lesson(cls) -> PCSCConfig:
        """Return the configuration that the chapters train: 64 x 64 pixels, on cached features."""
        return cls(pretrained="lesson")

    @classmethod
    def large(cls) -> PCSCConfig:
        """Return a narrow I3D of each stream at 112 x 112, trained along, from scratch: minutes on a GPU."""
        return cls(
            size=(112, 112),
            # three steps in the last maps: of two, torch's bfloat16 gradient on the CPU may not be finite
            frames=24,
            trunk="i3d",
            width=0.25,
            channels=64,
            scales=(22.0, 32.0, 44.0, 60.0),
            rpn_before=(128, 128),
            rpn_after=(32, 24),
            roi=7,
            canonical=49.0,
            hidden=256,
        )

    @classmethod
    def paper(cls) -> PCSCConfig:
        """Return the paper's sizes: I3D, pyramid over Conv2c to Mixed5c, RPN batch 256, head batch 512.

        117,064,420 parameters for 24 classes, of which 24,552,576 are the two I3D's. The short side of 320
        pixels, k = 16 and the anchors are ours, as is reading "Mixed3d", which does not exist, as Mixed_3c.
        """
        return cls(
            size=(320, 432),
            frames=16,
            trunk="i3d",
            norm="batch",
            frozen=True,
            flow_scale=20.0,
            channels=256,
            scales=(32.0, 64.0, 128.0, 256.0),
            ratios=(0.5, 1.0, 2.0),
            rpn_before=(2000, 1000),
            rpn_after=(1000, 300),
            rpn_batch=256,
            head_batch=512,
            positive_share=0.25,
            roi=7,
            canonical=112.0,
            samples=2,
            hidden=1024,
            stage_keep=100,
            actionness_hidden=0,
            trim=MedianFilter(width=17, threshold=0.1, empty="keep", rescore=False),
        )


def schedule(profile: str) -> TrainConfig:
    """Return how a profile is trained.

    ``paper``: 6 epochs of SGD from .01; "drops 10%" at the fifth and again at the sixth epoch is read as
    times .1, and momentum and decay are those of the detectors it builds on.
    raises: FormatError for an unknown profile
    Source: PCSC Sec. 4.1.
    """
    if profile == "smoke":
        return TrainConfig(steps=4, batch=4, lr=2e-3, clip_norm=5.0, lr_factors=FROZEN)
    if profile == "lesson":
        return TrainConfig(steps=400, batch=16, lr=2e-3, warm_up=30, clip_norm=5.0, lr_factors=FROZEN)
    if profile == "large":
        return TrainConfig(steps=600, batch=16, lr=2e-3, warm_up=30, clip_norm=5.0, amp=True)
    if profile == "paper":
        drops = (4 / 6, 5 / 6)
        return TrainConfig(
            epochs=6, batch=3, optimiser="sgd", lr=0.01, weight_decay=1e-4, schedule="step", drops=drops
        )
    raise FormatError(f"no profile {profile!r}", remedy="use smoke, lesson, paper or large")
