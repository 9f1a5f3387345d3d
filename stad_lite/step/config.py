"""Settings of STEP: what the detector is made of, how it is trained, how its clips become tubes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from stad_lite.data.synthetic import Settings
from stad_lite.linking import TubeletConfig
from stad_lite.nets.inputs import PIXELS
from stad_lite.schedule import TrainConfig, chosen
from stad_lite.settings import (
    AtLeastOne,
    Between,
    Channels,
    Frames,
    Group,
    OneOf,
    Scale,
    Share,
    Side,
    Weight,
    conflict,
)
from stad_lite.step.cuboids import CUBOIDS


@dataclass(frozen=True)
class Input(Group):
    """What the detector sees, and the backbone that looks at it.

    backbone: ``small`` (2-D, stride 4), ``vgg16`` (to conv5_3) or ``i3d`` (to Mixed_4f)
    stream: ``rgb``; ``flow`` (``flow_depth`` maps stacked); or ``early``, both stacked in channels
    flow_depth: flow maps stacked for one frame
    flow_scale: pixels a frame that count as 1 (ours)
    normalise: pixels in [-1, 1] (``unit``, I3D's), or as VGG16's weights expect them: those of its authors
        (``bgr``) or torchvision's (``imagenet``); flow is scaled along (ours)
    augment: of frames in training: ``flip`` alone, ``crop`` besides (the paper's), or ``colour`` besides
        both, the code's, which erases parts of actors as well
    pretrained: profile of the backbone pretrained on synthetic frames, "" for random weights (ours)
    frozen: the backbone is not trained, and its features are computed once and kept as float16
    frozen_norms: I3D's batch norms keep their published statistics and are not trained (the code's)
    size: (height, width) of frames, pixels
    clip: K frames of a clip
    """

    backbone: Literal["small", "vgg16", "i3d"] = "small"
    stream: Literal["rgb", "flow", "early"] = "rgb"
    flow_depth: Frames = 1
    flow_scale: Scale = 4.0
    normalise: Annotated[str, OneOf(PIXELS)] = "unit"
    augment: Literal["flip", "crop", "colour"] = "flip"
    pretrained: Literal["", "smoke", "lesson"] = "lesson"
    frozen: bool = True
    frozen_norms: bool = True
    size: tuple[Side, Side] = (64, 64)
    clip: Frames = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clip % self.time_stride or self.clip < 2 * self.time_stride:
            remedy = f"give a multiple of {self.time_stride}, at least twice"
            raise conflict(self, "clip", "backbone", remedy=remedy)
        if self.backbone == "i3d" and self.stream == "early":
            raise conflict(self, "backbone", "stream", remedy="join two detectors (fusion.py)")

    @property
    def time_stride(self) -> int:
        """Frames that one box of a proposal stands for: 4 for I3D, else 1."""
        return 4 if self.backbone == "i3d" else 1

    @property
    def boxes(self) -> int:
        """Boxes of a proposal over one clip."""
        return self.clip // self.time_stride

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return {"rgb": 3, "flow": 2 * self.flow_depth, "early": 3 + 2 * self.flow_depth}[self.stream]


Rule = Literal["extrapolation", "anticipation", "copy"]
"""How longer clips are reached."""


@dataclass(frozen=True)
class Extension(Group):
    """Where proposals begin, and how they reach into the neighbouring clips from step to step.

    cuboids: initial proposals, a name in ``cuboids.CUBOIDS``
    clips: clips that each step sees, odd numbers that grow by 2 or not at all: (1, 3, 5) extends before
        the second and third step, (1, 1, 3) before the third alone (AVA), (1, 1, 1) never, and (5, 5, 5)
        takes all frames at once
    extension: by Eq. 4 (``extrapolation``), by Eq. 5 (``anticipation``), or as ``copy`` of the last box
    extrapolation: ``closed`` as the paper writes Eq. 4, ``recursive`` as the code does it
    anticipation: what Eq. 5 adds its residuals to: the outermost ``clip``, as it is written, or the outermost
        box held, a ``copy``
    """

    cuboids: Annotated[str, OneOf(CUBOIDS)] = "grid11"
    clips: tuple[Frames, ...] = (1, 1, 1)
    extension: Rule = "anticipation"
    extrapolation: Literal["closed", "recursive"] = "closed"
    anticipation: Literal["clip", "copy"] = "clip"

    def __post_init__(self) -> None:
        super().__post_init__()
        growth = {after - before for before, after in zip(self.clips, self.clips[1:], strict=False)}
        if any(number % 2 == 0 for number in self.clips) or not growth <= {0, 2}:
            raise conflict(self, "clips", remedy="give odd numbers that grow by 2 or not at all")

    @property
    def reach(self) -> int:
        """Clips on either side that are read: half of what the last step sees."""
        return self.clips[-1] // 2


@dataclass(frozen=True)
class Heads(Group):
    """The two branches that classify and refine the proposals of a step.

    head: global branch of three 3-D convolutions (``conv3d``), of I3D's Mixed_5b and 5c (``mixed``), or
        of 1-D convolutions on one vector a frame (``vector``: ours, for a CPU)
    width: channels of the global branch (ours; I3D's in ``mixed``)
    hidden: channels of the local branch's bottlenecks, and of the vector between the branches (the code's)
    roi: RoIAlign (``align``), our default (ours), the original one half a cell aside (``legacy``, the
        code's), or RoI max pooling (``max``, which the paper names)
    roi_size: cells of a region along each side (the code's)
    context: the whole image's features join each region's in the global branch
    dropout: before the last layers (the code's)
    regression: one box for each class (``class``, the paper's) or one for all (``agnostic``, the code's)
    classification: ``softmax`` over classes and background (the paper's), or ``bce``, independent classes,
        the code's, for several labels on one actor
    """

    head: Literal["vector", "conv3d", "mixed"] = "vector"
    width: Channels = 96
    hidden: Channels = 96
    roi: Literal["align", "legacy", "max"] = "align"
    roi_size: Annotated[int, Between(1, 64)] = 4
    context: bool = True
    dropout: Annotated[float, Between(0, 0.95)] = 0.0
    regression: Literal["class", "agnostic"] = "class"
    classification: Literal["softmax", "bce"] = "softmax"


@dataclass(frozen=True)
class Sampling(Group):
    """Which proposals each step learns from.

    thresholds: overlap from which a proposal is positive, one for each of S_max steps (the code's)
    assignment: each positive belongs to the truth it overlaps most (``highest``, the paper's), or each truth
        first takes a best one of its own (``own``, the code's)
    sampling: ``paper``: positives and negatives with a chance that grows with the score; ``code``:
        positives alike, negatives with the softmax of the scores; ``uniform``: all alike
    positives: most positives of a clip (the code's); where ``highest`` gives more truths than that, one each
    negatives: for one positive; a clip without any takes this number (the code's)
    """

    thresholds: tuple[Annotated[float, Between(0.01, 1)], ...] = (0.2, 0.35, 0.5)
    assignment: Literal["highest", "own"] = "own"
    sampling: Literal["paper", "code", "uniform"] = "paper"
    positives: AtLeastOne = 5
    negatives: AtLeastOne = 2

    @property
    def steps(self) -> int:
        """S_max."""
        return len(self.thresholds)


@dataclass(frozen=True)
class Loss(Group):
    """Which frames count, and the weights of the terms.

    supervision: ``all`` frames count, or the ``middle`` one of the centre clip (AVA's key frame)
    box_weight: lambda of Eq. 2 (the code's)
    neighbour_weight: gamma, of the boxes in the neighbouring clips, regressed or anticipated (the code's)
    """

    supervision: Literal["all", "middle"] = "all"
    box_weight: Weight = 5.0
    neighbour_weight: Weight = 1.0


@dataclass(frozen=True)
class Decoding(Group):
    """The last step's answer to the detections of a clip.

    min_score, nms, keep: detections of a clip need this score, go where a better one of their class
        overlaps more (mean over the frames), and at most ``keep`` stay (the code's)
    """

    min_score: Share = 0.01
    nms: Share = 0.4
    keep: AtLeastOne = 300


@dataclass(frozen=True)
class Linking(Group):
    """Clips' detections to tubes.

    stride: frames from one clip to the next at test time (ACT's in ``paper``)
    linking: of tubelets (ACT's in ``paper``); without a ``reach`` of its own, tubelets of neighbouring clips
        are linked too
    trim_alpha: price of a switch in the temporal trimming (ROAD's)
    """

    stride: Frames = 6
    linking: TubeletConfig = field(
        default_factory=lambda: TubeletConfig(min_score=None, nms=None, keep=10, overlap=0.2)
    )
    trim_alpha: Weight = 3.0


@dataclass(frozen=True)
class StepConfig(Linking, Decoding, Loss, Sampling, Heads, Extension, Input):
    """STEP as the paper describes it; where its authors' code differs, both are a setting.

    The default is the paper's unless said otherwise; ``paper_ava`` takes the code's numbers where the
    paper gives none.

    raises: FormatError
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.clips) != len(self.thresholds) or not self.clips:
            raise conflict(self, "clips", "thresholds", remedy="give both an entry for each step")

    def thawed(self) -> StepConfig:
        """Return the same for a start without published weights: batch norms trained, pixels in [-1, 1]."""
        return replace(self, frozen_norms=False, normalise="unit")

    @classmethod
    def smoke(cls) -> StepConfig:
        """48 x 48 pixels, two steps with anticipation, a tiny head: seconds on a CPU."""
        return cls(
            pretrained="smoke",
            size=(48, 48),
            clips=(1, 3),
            thresholds=(0.2, 0.35),
            width=16,
            hidden=16,
            roi_size=2,
        )

    @classmethod
    def lesson(cls) -> StepConfig:
        """Three steps on features of a frozen small backbone, 64 x 64 pixels, without extension.

        Both streams are stacked: the synthetic motions differ in their law in time alone, which RGB hardly
        shows in six frames.
        """
        return cls(stream="early", assignment="highest")

    @classmethod
    def large(cls) -> StepConfig:
        """The small network end to end at 112 x 112, from scratch: synthetic clips, JHMDB-21, on a GPU."""
        return cls(
            augment="crop",
            pretrained="",
            frozen=False,
            size=(112, 112),
            clips=(1, 3, 5),
            head="conv3d",
            width=64,
            hidden=128,
            roi_size=5,
            dropout=0.3,
        )

    @classmethod
    def paper(cls) -> StepConfig:
        """UCF101-24: VGG16, 400 x 400, K = 6, 11 cuboids, 6 to 18 to 30 frames, anticipated (Sec. 4.1).

        122,412,843 parameters for 24 classes, of which 14,714,688 are the backbone's. The paper's figures:
        frame-mAP 66.7 (RGB), 63.5 (flow), 70.7 (late), 74.3 (early) and 75.0 (hybrid); 21 frames a second.
        It names RoI pooling; RoIAlign is our default, ``roi="max"`` its word. Linking has ACT's numbers, as
        the paper says: tubes of 15 frames or more with a score from .01, and suppression among tubes.
        """
        return cls(
            backbone="vgg16",
            normalise="bgr",
            flow_depth=5,
            augment="crop",
            pretrained="",
            frozen=False,
            size=(400, 400),
            clips=(1, 3, 5),
            head="conv3d",
            width=512,
            hidden=256,
            roi_size=7,
            dropout=0.3,
            assignment="highest",
            stride=1,
            linking=TubeletConfig.act(),
        )

    @classmethod
    def paper_ava(cls) -> StepConfig:
        """AVA: I3D to Mixed_4f, 400 x 400, K = 12, 34 cuboids, extension before the third step (Sec. 4.1).

        53,785,416 parameters for 60 classes, of which 7,528,256 are the backbone's. The paper's figure:
        frame-mAP 18.6 with two RGB models joined. Proposals are assigned and drawn as the paper says. Its
        authors' code gives what the paper leaves open, and these against its words or figures: one regression
        for all classes, independent classes (an actor has several), the original RoIAlign and the middle
        place alone in the losses. Theirs too are ``assignment="own"``, ``sampling="code"``,
        ``augment="colour"``.
        """
        return cls(
            backbone="i3d",
            augment="crop",
            pretrained="",
            frozen=False,
            size=(400, 400),
            clip=12,
            cuboids="grid34",
            clips=(1, 1, 3),
            head="mixed",
            width=1024,
            hidden=256,
            roi="legacy",
            roi_size=7,
            dropout=0.3,
            regression="agnostic",
            classification="bce",
            assignment="highest",
            supervision="middle",
            stride=12,
        )


SCHEDULES: dict[str, TrainConfig] = {
    "smoke": TrainConfig(steps=6, batch=4, lr=2e-3, clip_norm=5.0, checkpoint_every=6),
    "lesson": TrainConfig(steps=800, batch=8, lr=2e-3, clip_norm=5.0, checkpoint_every=400),
    "large": TrainConfig(steps=700, batch=8, lr=1e-3, warm_up=50, clip_norm=5.0, amp=True),
    "paper": TrainConfig(
        epochs=35,
        batch=4,
        optimiser="adam",
        lr=5e-5,
        weight_decay=0.0,
        schedule="step",
        drops=(20 / 35, 30 / 35),
    ),
    "paper_ava": TrainConfig(
        epochs=10,
        batch=4,
        optimiser="adam",
        lr=5e-5,
        lr_factors=(("backbone", 0.1),),
        weight_decay=0.0,
        schedule="step",
        drops=(0.6,),
    ),
}
"""Profile -> how it is trained; the last two as in STEP Sec. 4.1."""


def schedule(profile: str = "lesson") -> TrainConfig:
    """Return how a profile is trained. raises: FormatError for an unknown one

    >>> schedule("paper").optimiser, schedule("paper").lr
    ('adam', 5e-05)
    """
    return chosen(SCHEDULES, profile)


def clip_settings(profile: str = "lesson") -> Settings:
    """Return the dials of the synthetic clips that a profile is trained on.

    Actors are a tenth smaller than usual at ``lesson``: then the 11 cuboids overlap them as much as the boxes
    of UCF101-24 (mean best IoU .356 for both; .410 with the usual ones).
    raises: FormatError for an unknown profile
    """
    if profile == "smoke":
        return Settings.smoke()
    if profile == "lesson":
        return replace(Settings.lesson(), target_scale=0.9)
    schedule(profile)
    return Settings.large()
