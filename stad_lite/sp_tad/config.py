"""Settings of SP-TAD: the paper's, and small ones for lessons and tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from stad_lite.errors import FormatError
from stad_lite.nets.inputs import FLOW_SCALE
from stad_lite.nets.layers import Norm
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
    Weight,
    conflict,
)

STREAMS = ("rgb", "flow")


@dataclass(frozen=True)
class Backbone(Group):
    """Where the three stages come from.

    kind: ``i3d`` (from frames), ``light`` (from frames: 2-D convolutions, then 1-D ones in time) or
        ``features`` (from cached sequences)
    streams: of ``i3d`` and ``light``, their stages are concatenated; "rgb" and "flow"
    width: factor on I3D's channels
    stem: channels of the 2-D convolutions of ``light``, each of stride 2 (ours)
    channels: of each stage; those of ``light`` for one stream (ours); of ``i3d`` they follow from ``width``
    strides: frames for one step of each stage
    norm: ``batch`` or ``group``
    frozen_norms: keep batch norms at their published statistics (AFSD's)
    crop: height and width in pixels that are cut out of a frame: at random in training, else the middle
    flow_reach: flow in pixels from one frame of a window to the next that becomes 1; what is larger is cut
        (I3D's)
    """

    kind: Literal["i3d", "light", "features"] = "i3d"
    streams: tuple[Annotated[str, OneOf(STREAMS)], ...] = ("rgb", "flow")
    width: Annotated[float, Between(0.01, 4)] = 1.0
    stem: tuple[Channels, ...] = ()
    channels: tuple[Channels, ...] = ()
    strides: tuple[Frames, ...] = (2, 4, 8)
    norm: Norm = "batch"
    frozen_norms: bool = True
    crop: tuple[Side, Side] = (96, 96)
    flow_reach: Scale = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.streams or len(set(self.streams)) < len(self.streams):
            raise conflict(self, "streams", remedy="give rgb, flow or both")
        steps = {b / a for a, b in zip(self.strides, self.strides[1:], strict=False)}
        if not self.strides or not steps <= {2}:
            raise conflict(self, "strides", remedy="each stride is twice the one before")
        if self.reads_frames and (self.strides[0] != 2 or (self.kind == "i3d" and len(self.strides) != 3)):
            raise conflict(self, "strides", "kind", remedy="begin with 2; i3d has (2, 4, 8)")
        if self.kind != "i3d" and len(self.channels) != len(self.strides):
            raise conflict(self, "channels", "strides", remedy="give one number for each stage")

    @property
    def reads_frames(self) -> bool:
        """Whether clips of frames go in, not cached features."""
        return self.kind != "features"


@dataclass(frozen=True)
class Architecture(Group):
    """What the network is: backbone, pyramid, learnable proposals, and the heads that refine them.

    backbone: gives the stages
    pyramid: ``intermediate`` (of all stages), ``single`` (the last stage alone) or ``high`` (four levels
        built on the last stage): Table 5
    channels: of the pyramid and of a proposal's feature (d)
    proposals: how many learnable proposals (N)
    heads: stacked detection heads
    attention: parallel attentions of the self-attention, and of the global one (Sparse R-CNN's)
    bins: steps to which a segment of interest is aligned (T') (ours)
    samples: interpolations a bin, 0 for one a step that a bin covers (ours)
    hidden: inner channels of the dynamic convolutions (d_h) (Sparse R-CNN's)
    feed_forward: inner channels of the feed-forward network (Sparse R-CNN's)
    eta: a proposal is lengthened by 1 / eta on either side before its features are read
    interaction: ``sparse``, or ``global`` cross-attention to the whole pyramid
    branches: of a head, as the ``paper`` says: one linear layer for the classes, three with ReLU between them
        for the segment; or as in ``sparse_rcnn``: before the last linear layer of each one or three more,
        without bias, with layer norm and ReLU
    clip_head: whether a clip classifier corrects the scores
    initial: where the learnable segments begin: ``whole`` (all cover the window), ``grid`` or ``random``
        (Sparse R-CNN's)
    """

    backbone: Backbone = field(default_factory=Backbone)
    pyramid: Literal["intermediate", "single", "high"] = "intermediate"
    channels: Channels = 256
    proposals: Annotated[int, Between(1, 10**4)] = 50
    heads: Layers = 4
    attention: AtLeastOne = 8
    bins: Annotated[int, Between(1, 256)] = 16
    samples: Annotated[int, Between(0, 64)] = 2
    hidden: Channels = 64
    feed_forward: Channels = 2048
    eta: Annotated[float, Between(0.1, 1000)] = 5.0
    interaction: Literal["sparse", "global"] = "sparse"
    branches: Literal["paper", "sparse_rcnn"] = "paper"
    clip_head: bool = True
    initial: Literal["whole", "grid", "random"] = "whole"


@dataclass(frozen=True)
class Input(Group):
    """The windows that are cut from videos.

    window: frames of a window
    whole_video: squeeze each video into one window (ActivityNet) in place of sliding windows (THUMOS14)
    train_stride, test_stride: frames between windows
    fps: frames a second that windows are read at, 0 for those of the source
    size: height and width in pixels of the frames before the crop
    truth_share: an instance counts in a window where more than this part of it lies inside (tIoA)
    exact_share: so does one of which exactly this part lies inside (AFSD's; the paper says "larger")
    """

    window: Frames = 256
    whole_video: bool = False
    train_stride: Frames = 30
    test_stride: Frames = 128
    fps: Annotated[float, Between(0, 1000)] = 10.0
    size: tuple[Side, Side] = (112, 112)
    truth_share: Annotated[float, Between(0.01, 1)] = 0.5
    exact_share: bool = False


@dataclass(frozen=True)
class Loss(Group):
    """The cost that matches predictions with instances, and the loss of those matched.

    cls_cost, l1_cost, giou_cost: weights of the matching cost (Sparse R-CNN's)
    cls_weight, l1_weight, giou_weight: weights of the loss, Eq. 2 (Sparse R-CNN's)
    clip_weight: weight of the clip head's loss, Eq. 2 (ours)
    alpha, gamma: of the focal loss (Sparse R-CNN's)
    """

    cls_cost: Weight = 2.0
    l1_cost: Weight = 5.0
    giou_cost: Weight = 2.0
    cls_weight: Weight = 2.0
    l1_weight: Weight = 5.0
    giou_weight: Weight = 2.0
    clip_weight: Weight = 1.0
    alpha: Share = 0.25
    gamma: Annotated[float, Between(0, 10)] = 2.0


@dataclass(frozen=True)
class Decoding(Group):
    """Raw outputs of windows to the segments of a video.

    pairs: best (proposal, class) pairs kept of a window (TadTR's)
    sigma: of soft-NMS over overlapping windows; 0 for none (AFSD's)
    min_score: segments below it are dropped, before and in soft-NMS (AFSD's)
    most: segments kept of a video (TadTR's)
    """

    pairs: AtLeastOne = 100
    sigma: Annotated[float, Between(0, 10)] = 0.5
    min_score: Share = 0.001
    most: AtLeastOne = 200


@dataclass(frozen=True)
class SpTadConfig(Decoding, Loss, Input, Architecture):
    """Everything that decides what an SP-TAD network is and how it reads videos. raises: FormatError"""

    def __post_init__(self) -> None:
        super().__post_init__()
        backbone = self.backbone
        if self.test_stride > self.window:
            remedy = "give a test_stride from 1 to window, which leaves no gap"
            raise conflict(self, "test_stride", "window", remedy=remedy)
        if self.window % (2 * backbone.strides[-1]):
            remedy = f"give a window that is a multiple of {2 * backbone.strides[-1]}"
            raise conflict(self, "window", "backbone.strides", remedy=remedy)
        if backbone.reads_frames and any(a > b for a, b in zip(backbone.crop, self.size, strict=True)):
            raise conflict(self, "backbone.crop", "size", remedy="give a crop that lies inside the frame")
        if self.truth_share == 1 and not self.exact_share:
            remedy = "give a share below 1, or let exactly this share count"
            raise conflict(self, "truth_share", "exact_share", remedy=remedy)
        if self.channels % self.attention:
            raise conflict(self, "channels", "attention", remedy="choose one that divides")

    def thawed(self) -> SpTadConfig:
        """Return the same with batch norms trained, for a start without published weights."""
        return replace(self, backbone=replace(self.backbone, frozen_norms=False))

    @classmethod
    def smoke(cls, backbone: Backbone | None = None) -> SpTadConfig:
        """Two heads on short windows: a step in milliseconds, for tests and a chapter's quick run."""
        return cls(
            backbone=backbone or Backbone("features", channels=(8, 8, 8)),
            channels=16, proposals=8, heads=2, attention=2, bins=4, hidden=8, feed_forward=32,
            branches="sparse_rcnn", exact_share=True,
            window=64, train_stride=32, test_stride=32, fps=0.0, size=(48, 48),
        )  # fmt: skip

    @classmethod
    def lesson(cls, backbone: Backbone | None = None) -> SpTadConfig:
        """Four heads on windows of 128 frames: what the chapter trains on feature sequences.

        python -m stad_lite.reproduce.sweep sp_tad --variants base --seeds 5 --profile lesson

        60 to 70 CPU-seconds a run on a busy core; mean mAP at 0.3:0.1:0.7 from 80 to 83.
        """
        return cls(
            backbone=backbone or Backbone("features", channels=(24, 32, 48)),
            channels=64, proposals=20, attention=4, bins=8, hidden=16, feed_forward=128,
            branches="sparse_rcnn", exact_share=True,
            window=128, train_stride=32, test_stride=64, fps=0.0, size=(64, 64), initial="grid",
        )  # fmt: skip

    @classmethod
    def large(cls) -> SpTadConfig:
        """The lesson's heads on windows of 128 frames of 96 x 96 pixels, in two streams: minutes on a GPU."""
        sizes: dict[str, Any] = {"stem": (24, 32, 48), "channels": (32, 48, 64), "crop": (96, 96)}
        backbone = Backbone("light", **sizes, norm="group", flow_reach=FLOW_SCALE)
        return replace(cls.lesson(), backbone=backbone, size=(112, 112))

    @classmethod
    def paper(cls, dataset: str = "thumos14") -> SpTadConfig:
        """Two-stream I3D on 96 x 96: 256 frames and 50 proposals (thumos14), 768 and 100 (activitynet).

        70,143,056 and 71,182,136 parameters with 20 and 200 classes. It should give an average mAP of 53.5
        (Table 1) and 32.99 (Table 2).

        The paper names soft-NMS for windows that overlap. A video of ActivityNet is one window: that its
        proposals suppress each other there is AFSD's, with its sigma; ``sigma=0`` leaves it out.

        raises: FormatError for another name
        """
        if dataset == "thumos14":
            return cls()
        if dataset == "activitynet":
            return cls(window=768, test_stride=768, proposals=100, whole_video=True, fps=0.0, sigma=0.85)
        raise FormatError(f"no settings for {dataset!r}", remedy="choose thumos14 or activitynet")

    @classmethod
    def paper_activitynet(cls) -> SpTadConfig:
        """The settings that the paper gives for ActivityNet-1.3 (``paper``)."""
        return cls.paper("activitynet")


def schedule(profile: str) -> TrainConfig:
    """Return how a profile is trained (SP-TAD Sec. 4.1 for ``paper``).

    raises: FormatError for an unknown profile

    >>> paper = schedule("paper")
    >>> paper.epochs, paper.drops, paper.lr, paper.batch
    (16, (0.75,), 0.0001, 16)
    """
    paper = TrainConfig(
        epochs=16, batch=16, lr=1e-4, weight_decay=1e-4, schedule="step", drops=(0.75,), clip_norm=1.0
    )
    lesson = replace(paper, epochs=0, steps=500, lr=2e-3, schedule="cosine", warm_up=20, checkpoint_every=500)
    known = {"smoke": replace(lesson, steps=4, batch=4), "lesson": lesson, "paper": paper}
    known["large"] = replace(lesson, steps=700, batch=8, warm_up=50, checkpoint_every=100, amp=True)
    known["paper_activitynet"] = paper
    if profile not in known:
        raise FormatError(f"no profile {profile!r}", remedy=f"choose from {', '.join(known)}")
    return known[profile]
