"""Settings of CFAD: what the detector is made of, how it is trained, how its outputs become tubes.

What the paper leaves open is our choice, and is marked so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from stad_lite.schedule import TrainConfig, chosen
from stad_lite.settings import (
    AtLeastOne,
    Between,
    Channels,
    Count,
    Frames,
    Group,
    Layers,
    Scale,
    Share,
    Side,
    Weight,
    conflict,
)

Several = Annotated[int, Between(2, 4096)]
"""Of what has a first and a last one."""


@dataclass(frozen=True)
class Input(Group):
    """What CFAD sees of a video.

    backbone: ``i3d`` to Mixed_5b (the paper's), or ``small`` (2-D, stride 4, then convolutions over time)
    stream: ``rgb``, or ``early``: RGB with the flow to the next frame stacked behind it (Sec. 4.3)
    flow_scale: pixels a frame that count as 1 (ours)
    pretrained: profile of the small backbone pretrained on synthetic frames, "" for random weights (ours)
    frozen: the backbone is not trained; maps of a small one are computed once and kept as float16
    frozen_norms: I3D's batch norms keep their published statistics and are not trained (ours)
    size: (height, width) of frames, pixels (not in the paper)
    length: T, the frames that a video is resampled to (Sec. 4.1)
    samples: N, the features interpolated over a proposal (Sec. 4.1)
    trimmed: the whole clip is the one proposal, for sets whose videos are cut to the action
    """

    backbone: Literal["small", "i3d"] = "small"
    stream: Literal["rgb", "early"] = "rgb"
    flow_scale: Scale = 4.0
    pretrained: Literal["", "smoke", "lesson"] = "lesson"
    frozen: bool = True
    frozen_norms: bool = True
    size: tuple[Side, Side] = (64, 64)
    length: Several = 32
    samples: Several = 16
    trimmed: bool = False


@dataclass(frozen=True)
class Spans(Group):
    """Temporal proposals, as in R-C3D (all numbers ours, after its settings).

    span_lengths: lengths of the 1-D anchors in frames
    span_width: channels of the proposal network
    span_positive, span_negative: temporal IoU from which an anchor is positive, below which negative
    span_sampled: anchors a video in the loss, at most half of them positive
    span_nms: temporal IoU above which the lower proposal goes
    span_score: a proposal needs this objectness
    spans: most proposals of a video in inference
    train_spans: proposals of a video that the detector is trained on besides the true spans
    span_match: temporal IoU from which a proposal shows a true tube; between ``span_negative`` and it the
        tube is neither there nor absent
    clock: what the normalised time of Eq. 4 runs over when a proposal is trained on: the true ``tube`` (to
        the letter), or the proposed ``span``, as in inference; true spans know no difference
    proposal_epochs: epochs in which the proposal network is trained alone, before all is (Sec. 4.1)
    """

    span_lengths: tuple[Annotated[float, Between(1, 4096)], ...] = (8.0, 12.0, 16.0, 20.0, 24.0, 28.0)
    span_width: Channels = 64
    span_positive: Share = 0.7
    span_negative: Share = 0.3
    span_sampled: AtLeastOne = 64
    span_nms: Share = 0.8
    span_score: Share = 0.05
    spans: AtLeastOne = 8
    train_spans: Count = 1
    span_match: Share = 0.5
    clock: Literal["tube", "span"] = "tube"
    proposal_epochs: Count = 4


@dataclass(frozen=True)
class Architecture(Group):
    """The coarse module: its two branches and what they say (CFAD Sec. 3.2).

    width: channels of its convolutions (ours)
    convolutions: 3-D convolutions behind the non-local block of each branch (ours)
    shortcut: past each of them, where the channels agree (ours, for a short training)
    pool: cells along each side that the non-local block looks at as one (ours, for a CPU)
    factorised: a 3-D convolution is one in space, then one in time (ours, for a CPU)
    branches: ``both``, or the ``direct`` or the ``difference`` branch alone
    order: k, of the polynomials (Table 1)
    anchors: sizes found by k-means (Sec. 4.1)
    """

    width: Channels = 64
    convolutions: Layers = 1
    shortcut: bool = True
    pool: Annotated[int, Between(1, 64)] = 2
    factorised: bool = True
    branches: Literal["both", "direct", "difference"] = "both"
    order: Annotated[int, Between(0, 32)] = 4
    anchors: Annotated[int, Between(1, 64)] = 6


@dataclass(frozen=True)
class Matching(Group):
    """What the anchors of the coarse module learn (CFAD Sec. 3.2).

    segment: K, frames of a matching segment (Sec. 4.1)
    position: which segment tells positives, 0 the first (Sec. 3.2), -1 the last
    positive, negative: mean IoU with a segment from which an anchor is positive, below which negative (ours)
    best_anchor: every true tube has its best anchor too, however low their IoU (ours)
    sampled: anchors of a span in the classification loss, at most a quarter of them positive (ours)
    """

    segment: Frames = 6
    position: Annotated[int, Between(-4096, 4096)] = 0
    positive: Share = 0.5
    negative: Share = 0.3
    best_anchor: bool = True
    sampled: AtLeastOne = 64


@dataclass(frozen=True)
class Refinement(Group):
    """The refine module (CFAD Sec. 3.3).

    epsilon: overlap at which the greedy labelling stops (Sec. 4.1)
    alpha: importance from which a sample is a key (Fig. 4b sweeps .15 to .45)
    selection: ``learned``; ``uniform`` or ``random`` keys, as many as the learned ones; ``all`` samples; or
        ``none``, no refinement
    refined: samples of a span that the box proposals are trained on, 0 for all (ours)
    box_positive, box_negative: IoU from which an anchor is positive, below which negative (ours)
    box_score: a box proposal needs this score (ours)
    sigma: reach of the search area in widths and heights of the coarse box (Eq. 7)
    through: the tube is interpolated through the boxes at ``all`` samples, refined and coarse (Sec. 3.3 to
        the letter), or at the ``keys`` and the ends of the span alone, as the labels of Eq. 5 rebuild it
    interpolation: ``spline`` (the paper's, piece-wise cubic) or ``linear``
    """

    epsilon: Share = 0.8
    alpha: Share = 0.25
    selection: Literal["learned", "uniform", "random", "all", "none"] = "learned"
    refined: Count = 6
    box_positive: Share = 0.5
    box_negative: Share = 0.3
    box_score: Share = 0.05
    sigma: Weight = 0.8
    through: Literal["all", "keys"] = "all"
    interpolation: Literal["spline", "linear"] = "spline"


@dataclass(frozen=True)
class Tubes(Group):
    """What becomes of coarse and refined tubes (CFAD Sec. 4.1).

    min_score: a coarse tube needs this class score (ours)
    considered: best coarse tubes of a proposal that enter the suppression (ours)
    tube_nms: tube IoU above which the lower tube goes
    suppression: a tube goes because of a better one of its ``class``, or of ``all`` classes (the paper does
        not say)
    most: tubes that are kept
    most_in: of each ``proposal``, as the coarse module sees one at a time, or of the whole ``video``; the
        paper can be read either way
    """

    min_score: Share = 0.02
    considered: AtLeastOne = 40
    tube_nms: Share = 0.2
    suppression: Literal["class", "all"] = "class"
    most: AtLeastOne = 3
    most_in: Literal["proposal", "video"] = "proposal"


@dataclass(frozen=True)
class Loss(Group):
    """The weights of the terms, all 1 in the paper where it names them (Eq. 2).

    span_weight, class_weight, tube_weight, key_weight, box_weight: of the terms
    """

    span_weight: Weight = 1.0
    class_weight: Weight = 1.0
    tube_weight: Weight = 1.0
    key_weight: Weight = 1.0
    box_weight: Weight = 1.0


@dataclass(frozen=True)
class CfadConfig(Loss, Tubes, Refinement, Matching, Architecture, Spans, Input):
    """CFAD as the paper describes it (no code was published). raises: FormatError"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for low, high in _PAIRS:
            if getattr(self, low) > getattr(self, high):
                raise conflict(self, low, high, remedy=f"give {low} at most {high}")
        if not self.span_lengths:
            raise conflict(self, "span_lengths", remedy="give lengths in frames")
        if self.length % self.time_stride or self.length < 2 * self.time_stride:
            remedy = f"give a multiple of {self.time_stride}, at least twice"
            raise conflict(self, "length", "backbone", remedy=remedy)
        if min(self.size) < 2 * self.space_stride:  # norms of a single cell leave nothing
            raise conflict(self, "size", "backbone", remedy=f"give sides of {2 * self.space_stride} or more")

    @property
    def time_stride(self) -> int:
        """Frames that one step of the features stands for."""
        return 8 if self.backbone == "i3d" else 1

    @property
    def space_stride(self) -> int:
        """Pixels that one cell of the features stands for."""
        return 32 if self.backbone == "i3d" else 8

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return 3 if self.stream == "rgb" else 5

    @property
    def refines(self) -> bool:
        """Whether there is a refinement at all."""
        return self.selection != "none"

    def thawed(self) -> CfadConfig:
        """Return the same for a start without published weights: batch norms are trained."""
        return replace(self, frozen_norms=False)

    @classmethod
    def smoke(cls) -> CfadConfig:
        """16 frames of 48 x 48 pixels, six samples, few channels: seconds on a CPU."""
        return cls(
            pretrained="smoke",
            size=(48, 48),
            length=16,
            samples=6,
            span_lengths=(6.0, 10.0, 14.0),
            span_width=16,
            spans=4,
            proposal_epochs=2,
            width=16,
            order=2,
            sampled=32,
            refined=3,
            considered=20,
        )

    @classmethod
    def lesson(cls) -> CfadConfig:
        """32 frames of 64 x 64 pixels on kept features of a frozen backbone that sees both streams.

        119 CPU seconds on 400 clips. Five seeds, 100 clips of ``test``: where the spans are given, a coarse
        tube IoU of .52, refined .66, the right class on .42 of the matched anchors; video-mAP 33 / 28 / 9 at
        .2 / .3 / .5, v-MABO 51. Command:

        python -m stad_lite.reproduce.sweep cfad --variants base --seeds 5
        """
        return cls(stream="early", proposal_epochs=1, pool=4, sampled=20, alpha=0.15, class_weight=2.0)

    @classmethod
    def large(cls) -> CfadConfig:
        """64 frames of 112 x 112 pixels, the small backbone trained along, from scratch: minutes on a GPU."""
        return cls(
            stream="early",
            pretrained="",
            frozen=False,
            size=(112, 112),
            length=64,
            span_lengths=(12.0, 18.0, 26.0, 34.0, 44.0, 56.0),
            proposal_epochs=1,
            factorised=False,
            sampled=20,
            alpha=0.15,
            class_weight=2.0,
        )

    @classmethod
    def paper(cls) -> CfadConfig:
        """UCF101-24: I3D to Mixed_5b end to end, T = 96, N = 16, k = 4, K = 6, sigma = .8 (Sec. 4).

        79,811,148 parameters for 24 classes. The paper's figures: video-mAP 79.4 / 76.7 / 62.7 / 25.5 at
        .2 / .3 / .5 / .5:.95 from RGB, with flow 81.6 / 78.1 / 64.6 / 26.7; 7.6 ms a frame. It starts from
        Kinetics-600 weights; those that are published for PyTorch are of Kinetics-400. For JHMDB-21 and
        UCFSports: length 32, samples 6 and 8, order 2, trimmed.
        """
        return cls(
            backbone="i3d",
            pretrained="",
            frozen=False,
            size=(224, 224),
            length=96,
            span_lengths=(16.0, 24.0, 32.0, 48.0, 64.0, 80.0, 96.0),
            span_width=512,
            proposal_epochs=5,
            width=512,
            convolutions=2,
            shortcut=False,
            pool=1,
            factorised=False,
            refined=0,
        )


_PAIRS = (
    ("span_negative", "span_positive"),
    ("span_negative", "span_match"),
    ("negative", "positive"),
    ("box_negative", "box_positive"),
)

SCHEDULES: dict[str, TrainConfig] = {
    "smoke": TrainConfig(steps=8, batch=2, lr=2e-3, clip_norm=5.0, checkpoint_every=8),
    "lesson": TrainConfig(steps=700, batch=4, lr=1.5e-3, warm_up=20, clip_norm=5.0, checkpoint_every=300),
    "large": TrainConfig(steps=900, batch=4, lr=1.5e-3, warm_up=50, clip_norm=5.0, amp=True),
    "paper": TrainConfig(
        epochs=25,
        batch=8,
        optimiser="sgd",
        lr=1e-3,
        lr_factors=(("backbone", 0.1),),
        warm_up=100,
        clip_norm=10.0,
        checkpoint_every=500,
    ),
}
"""Profile -> how it is trained; of ``paper`` SGD and the batch of 8 are the paper's, the rest is ours."""


def schedule(profile: str = "lesson") -> TrainConfig:
    """Return how a profile is trained. raises: FormatError for an unknown one

    >>> schedule("paper").optimiser, schedule("paper").batch
    ('sgd', 8)
    """
    return chosen(SCHEDULES, profile)
