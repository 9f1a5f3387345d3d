"""Settings of PCSC: what the streams see, how they help each other, how tubes are made and trimmed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from stad_lite.errors import FormatError
from stad_lite.linking import MedianFilter, OnlineConfig
from stad_lite.nets.layers import Norm
from stad_lite.schedule import TrainConfig

TRUNKS = ("stack", "i3d")
MESSAGES = ("both", "image", "roi", "none")
COMBINE = ("union", "boost")
DIRECTIONS = ("both", "to_rgb", "to_flow")
FROZEN = (("backbones", 0.0),)
"""The small networks' maps are computed before training."""


@dataclass(frozen=True)
class PCSCConfig:
    """PCSC. What the paper does not state is our choice and marked (ours).

    size: (height, width) that frames and flow are scaled to
    frames: k neighbouring frames with the key frame in the middle (ours)
    gap: frames from one of them to the next
    trunk: ``i3d``, averaged over time (ours), or ``stack``: a small 2-D network a frame, which stays as it
        was pretrained so that its maps are computed once, and convolutions over the k stacked maps
    width, blocks, norm, frozen: of I3D (``nets.i3d.I3D``)
    depth, widths, hidden_maps: of the small network (``nets.vgg.VGG``) and of the stack above it
    pretrained: profile of ``baselines.pretraining`` that the small networks start from, "" for random weights
    every: train on each ``every``-th frame only (10: the mini set of PCSC Sec. 4.3)
    flow_scale: pixels a frame that count as 1 in the flow network's input
    channels: of the pyramid
    scales, ratios: anchors: side in pixels a level; height / width
    rpn_before, rpn_after, rpn_nms: proposals kept a level, a frame, and their suppression; the two counts
        are (training, test)
    rpn_batch, head_batch, positive_share: what is sampled a frame for the losses
    overlap: proposals that overlap a true box this much are positive, all others negative
    roi, canonical, samples: bins a side of RoI features; side of a box of level 1; as in ``roi_align``
    hidden: width of a detection head's layers
    stages: of cooperation after stage 0
    messages: feature cooperation: at ``image`` level, ``roi`` level, ``both`` or ``none``
    directions: who is helped: ``both`` streams in turn, or one only (``to_rgb``, ``to_flow``); a stage that
        would help the other one refines that stream's own boxes without help
    proposals: whether a stream also takes the other's boxes
    reduction: of the channels inside a message (ours)
    own_nms, other_nms: of a stream's own boxes and of the other stream's, the lower one (ours)
    confidence: proposals from a stage's boxes need this probability (ours)
    stage_keep: boxes of either source that become proposals of a stage
    combine: how the boxes of both streams become the output: their ``union``, as the paper says, or that
        after a ``boost`` of boxes that overlap one of the other stream by ``boost_overlap`` (ours; Saha et
        al.)
    min_score, nms, keep: of the output of a stage: class by class
    actionness_hidden: width of the actionness detectors' shared layer, 0 for none (ours)
    linking, trim: ROAD's linking without temporal labelling; the median filter on actionness (ours: width and
        threshold, and that a trimmed tube keeps its score, by video-mAP@.5 on the split val of the synthetic
        clips)
    raises: FormatError
    """

    size: tuple[int, int] = (64, 64)
    frames: int = 9
    gap: int = 1
    trunk: str = "stack"
    width: float = 1.0
    blocks: tuple[str, ...] | None = None
    norm: Norm = "group"
    frozen: bool = False
    depth: tuple[int, ...] = (1, 2, 2)
    widths: tuple[int, ...] = (32, 32, 32)
    hidden_maps: tuple[int, ...] = (64, 64)
    pretrained: str = ""
    every: int = 1
    flow_scale: float = 4.0
    channels: int = 48
    scales: tuple[float, ...] = (16.0, 26.0)
    ratios: tuple[float, ...] = (1.0, 1.5)
    rpn_before: tuple[int, int] = (64, 64)
    rpn_after: tuple[int, int] = (24, 16)
    rpn_nms: float = 0.7
    rpn_batch: int = 64
    head_batch: int = 16
    positive_share: float = 0.5
    overlap: float = 0.5
    roi: int = 5
    canonical: float = 28.0
    samples: int = 1
    hidden: int = 96
    stages: int = 4
    messages: str = "both"
    directions: str = "both"
    proposals: bool = True
    reduction: int = 4
    own_nms: float = 0.5
    other_nms: float = 0.3
    confidence: float = 0.05
    stage_keep: int = 8
    combine: str = "union"
    boost_overlap: float = 0.3
    min_score: float = 0.01
    nms: float = 0.5
    keep: int = 10
    actionness_hidden: int = 64
    linking: OnlineConfig = field(default_factory=OnlineConfig.road)
    trim: MedianFilter = field(
        default_factory=lambda: MedianFilter(width=9, threshold=0.1, empty="keep", rescore=False)
    )

    def __post_init__(self) -> None:
        known = {"trunk": TRUNKS, "messages": MESSAGES, "directions": DIRECTIONS, "combine": COMBINE}
        for name, choices in known.items():
            if getattr(self, name) not in choices:
                raise FormatError(
                    f"{name} {getattr(self, name)!r} is unknown", remedy=f"choose from {', '.join(choices)}"
                )
        for name in ("frames", "gap", "every", "reduction", "roi", "keep", "stages"):
            least = 0 if name == "stages" else 1
            if getattr(self, name) < least:
                raise FormatError(f"{name} is {getattr(self, name)}", remedy=f"give {least} or more")
        levels = 4 if self.trunk == "i3d" else len(self.hidden_maps)
        if len(self.scales) != levels:
            raise FormatError(
                f"{len(self.scales)} anchor scales for {levels} levels", remedy="give one a level"
            )

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
    if profile == "paper":
        drops = (4 / 6, 5 / 6)
        return TrainConfig(
            epochs=6, batch=3, optimiser="sgd", lr=0.01, weight_decay=1e-4, schedule="step", drops=drops
        )
    raise FormatError(f"no profile {profile!r}", remedy="use smoke, lesson or paper")
