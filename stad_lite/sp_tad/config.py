"""Settings of SP-TAD: the paper's, and small ones for lessons and tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from stad_lite.errors import FormatError
from stad_lite.schedule import TrainConfig

INPUTS = ("i3d", "light", "features")
PYRAMIDS = ("intermediate", "single", "high")
INTERACTIONS = ("sparse", "global")
INITIAL = ("whole", "grid", "random")


@dataclass(frozen=True)
class Backbone:
    """Where the three stages come from.

    kind: ``i3d`` (from frames), ``light`` (from frames: 2-D convolutions, then 1-D ones in time) or
        ``features`` (from cached sequences)
    streams: of ``i3d`` and ``light``, their stages are concatenated; "rgb" and "flow"
    width: factor on I3D's channels
    stem: channels of the 2-D convolutions of ``light``, each of stride 2
    channels: of each stage; those of ``light`` for one stream; of ``i3d`` they follow from ``width``
    strides: frames for one step of each stage
    norm: ``batch`` or ``group``
    frozen_norms: keep batch norms at their published statistics
    crop: height and width in pixels that are cut out of a frame: at random in training, else the middle
    flow_reach: flow in pixels a frame that becomes 1; what is larger is cut
    """

    kind: str = "i3d"
    streams: tuple[str, ...] = ("rgb", "flow")
    width: float = 1.0
    stem: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    strides: tuple[int, ...] = (2, 4, 8)
    norm: str = "batch"
    frozen_norms: bool = True
    crop: tuple[int, int] = (96, 96)
    flow_reach: float = 20.0

    def __post_init__(self) -> None:
        if self.kind not in INPUTS or not set(self.streams) <= {"rgb", "flow"} or not self.streams:
            raise FormatError(
                f"no backbone {self.kind!r} on {', '.join(self.streams) or 'no stream'}",
                remedy=f"choose from {', '.join(INPUTS)}, on rgb, flow or both",
            )
        steps = [b / a for a, b in zip(self.strides, self.strides[1:], strict=False)]
        if not self.strides or self.strides[0] < 1 or any(step != 2 for step in steps):
            raise FormatError(f"strides {self.strides}", remedy="each stride is twice the one before")
        if self.kind != "i3d" and len(self.channels) != len(self.strides):
            raise FormatError(
                f"channels {self.channels} for strides {self.strides}", remedy="one number for each stage"
            )

    @property
    def reads_frames(self) -> bool:
        """Whether clips of frames go in, not cached features."""
        return self.kind != "features"


@dataclass(frozen=True)
class SpTadConfig:
    """Everything that decides what an SP-TAD network is and how it reads videos.

    backbone: gives the stages
    pyramid: ``intermediate`` (of all stages), ``single`` (the last stage alone) or ``high`` (four levels
        built on the last stage): Table 5
    channels: of the pyramid and of a proposal's feature (d)
    proposals: how many learnable proposals (N)
    heads: stacked detection heads
    attention: parallel attentions of the self-attention (and of the global one)
    bins: steps to which a segment of interest is aligned (T')
    samples: interpolations a bin, 0 for one a step that a bin covers
    hidden: inner channels of the dynamic convolutions (d_h)
    feed_forward: inner channels of the feed-forward network
    eta: a proposal is lengthened by 1 / eta on either side before its features are read
    interaction: ``sparse``, or ``global`` cross-attention to the whole pyramid
    clip_head: whether a clip classifier corrects the scores
    initial: where the learnable segments begin: ``whole`` (all cover the window), ``grid`` or ``random``
    window: frames of a window
    whole_video: squeeze each video into one window (ActivityNet) in place of sliding windows (THUMOS14)
    train_stride, test_stride: frames between windows
    fps: frames a second that windows are read at, 0 for those of the source
    size: height and width in pixels of the frames before the crop
    truth_share: an instance counts in a window where at least this part of it lies inside (tIoA)
    cls_cost, l1_cost, giou_cost: weights of the matching cost
    cls_weight, l1_weight, giou_weight, clip_weight: weights of the loss, Eq. 2
    alpha, gamma: of the focal loss
    pairs: best (proposal, class) pairs kept of a window
    sigma: of soft-NMS over overlapping windows; 0 for none
    min_score: segments below it are dropped, before and in soft-NMS
    most: segments kept of a video
    raises: FormatError
    """

    backbone: Backbone = field(default_factory=Backbone)
    pyramid: str = "intermediate"
    channels: int = 256
    proposals: int = 50
    heads: int = 4
    attention: int = 8
    bins: int = 16
    samples: int = 2
    hidden: int = 64
    feed_forward: int = 2048
    eta: float = 5.0
    interaction: str = "sparse"
    clip_head: bool = True
    initial: str = "whole"
    window: int = 256
    whole_video: bool = False
    train_stride: int = 30
    test_stride: int = 128
    fps: float = 10.0
    size: tuple[int, int] = (112, 112)
    truth_share: float = 0.5
    cls_cost: float = 2.0
    l1_cost: float = 5.0
    giou_cost: float = 2.0
    cls_weight: float = 2.0
    l1_weight: float = 5.0
    giou_weight: float = 2.0
    clip_weight: float = 1.0
    alpha: float = 0.25
    gamma: float = 2.0
    pairs: int = 100
    sigma: float = 0.5
    min_score: float = 0.001
    most: int = 200

    def __post_init__(self) -> None:
        for name, known in (
            ("pyramid", PYRAMIDS),
            ("interaction", INTERACTIONS),
            ("initial", INITIAL),
        ):
            if getattr(self, name) not in known:
                raise FormatError(
                    f"no {name} {getattr(self, name)!r}", remedy=f"choose from {', '.join(known)}"
                )
        for name in ("channels", "proposals", "heads", "bins", "hidden", "window", "train_stride"):
            if getattr(self, name) < 1:
                raise FormatError(f"{name} is {getattr(self, name)}", remedy="give 1 or more")
        if not 1 <= self.test_stride <= self.window:
            raise FormatError(
                f"a stride of {self.test_stride} leaves gaps between windows of {self.window} frames",
                remedy="give a test_stride from 1 to window",
            )
        if self.window % (2 * self.backbone.strides[-1]):
            raise FormatError(
                f"a window of {self.window} frames does not fit strides {self.backbone.strides}",
                remedy=f"give a multiple of {2 * self.backbone.strides[-1]}",
            )
        if self.channels % self.attention:
            raise FormatError(
                f"{self.channels} channels for {self.attention} attentions", remedy="choose one that divides"
            )

    @classmethod
    def smoke(cls, backbone: Backbone | None = None) -> SpTadConfig:
        """Two heads on short windows: a step in milliseconds, for tests and a chapter's quick run."""
        return cls(
            backbone=backbone or Backbone("features", channels=(8, 8, 8)),
            channels=16, proposals=8, heads=2, attention=2, bins=4, hidden=8, feed_forward=32,
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
            window=128, train_stride=32, test_stride=64, fps=0.0, size=(64, 64), initial="grid",
        )  # fmt: skip

    @classmethod
    def paper(cls, dataset: str = "thumos14") -> SpTadConfig:
        """Two-stream I3D on 96 x 96: 256 frames and 50 proposals (thumos14), 768 and 100 (activitynet).

        70,673,488 and 71,712,568 parameters with 20 and 200 classes. It should give an average mAP of 53.5
        (Table 1) and 32.99 (Table 2).

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
    known["paper_activitynet"] = paper
    if profile not in known:
        raise FormatError(f"no profile {profile!r}", remedy=f"choose from {', '.join(known)}")
    return known[profile]
