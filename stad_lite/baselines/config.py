"""Settings of the dense detector: what it sees, how large it is, how it is trained, decoded and linked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from stad_lite.linking import TRIMS
from stad_lite.nets.inputs import FLOW_SCALE, PIXELS
from stad_lite.nets.layers import Norm
from stad_lite.nets.vgg import CHANNELS, DEPTH, check_stages
from stad_lite.schedule import TrainConfig, chosen
from stad_lite.settings import (
    AtLeastOne,
    Between,
    Channels,
    Count,
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

MODALITIES = {"rgb": ("rgb",), "flow": ("flow",), "both": ("rgb", "flow")}
"""Modality -> the streams that it looks at."""
SMALL: dict[str, Any] = {"head_groups": 0, "channels": (8, 16, 32), "flow_stack": 9, "flow_gap": 2}


@dataclass(frozen=True)
class Architecture(Group):
    """What the network is: two streams or one, the backbone of each, the head on a window of frames.

    modality: ``rgb``, ``flow`` or ``both``
    fusion: of two streams: ``early`` joins their features before time is looked at, ``late`` averages the
        raw outputs of two whole detectors that are trained together
    frames: boxes of a detection, on as many consecutive frames
    flow_stack: flow maps that the backbone sees together, an odd number: a frame's own and its neighbours'
    flow_gap: frames from one map of the stack to the next
    context: dilations of convolutions over time, each of which sees as many frames further on either side
    depth, channels, norm, last_dilation: of the backbone of each stream (``nets.vgg.VGG``)
    hidden: channels of the head
    head_groups: of the head's group norm, 0 for one a channel. With 8 the classes are often not told apart
        for the first 400 steps, with 0 after 150; either lets two processes equal one
    """

    modality: Annotated[str, OneOf(MODALITIES)] = "both"
    fusion: Literal["early", "late"] = "early"
    frames: Frames = 1
    flow_stack: Frames = 1
    flow_gap: Frames = 1
    context: tuple[Frames, ...] = ()
    depth: tuple[Layers, ...] = (1, 2, 2)
    channels: tuple[Channels, ...] = (32, 32, 32)
    norm: Norm = "group"
    last_dilation: Annotated[int, Between(1, 16)] = 2
    hidden: Channels = 64
    head_groups: Count = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.flow_stack % 2 == 0:
            raise conflict(self, "flow_stack", remedy="give an odd number")

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that the detector looks at."""
        return MODALITIES[self.modality]

    @property
    def margin(self) -> int:
        """Frames before and after a clip whose flow is stacked on the clip's own."""
        return self.flow_gap * (self.flow_stack // 2) if "flow" in self.streams else 0


@dataclass(frozen=True)
class Input(Group):
    """Size, length and scale of what goes in.

    size: (height, width) that videos are scaled to
    clip: frames of a training clip, at least ``frames``
    normalise: how RGB is scaled, a name in ``nets.inputs.PIXELS``, and flow along with it
    flow_scale: pixels a frame that count as much as half of RGB's range
    """

    size: tuple[Side, Side] = (64, 64)
    clip: Frames = 1
    normalise: Annotated[str, OneOf(PIXELS)] = "unit"
    flow_scale: Scale = FLOW_SCALE


@dataclass(frozen=True)
class Loss(Group):
    """Which cells are positive, and the weights of the terms.

    shrink: cells in this middle part of a box are positive (1: all that lie inside)
    alpha, gamma: of the focal loss of the actionness; alpha below 0 weighs none, gamma 0 is cross entropy
    class_weight, box_weight: of these terms of the loss, beside 1 for the actionness
    """

    shrink: Annotated[float, Between(0.01, 1)] = 0.6
    alpha: Annotated[float, Between(-1, 1)] = -1.0
    gamma: Annotated[float, Between(0, 10)] = 2.0
    class_weight: Weight = 1.0
    box_weight: Weight = 2.0


@dataclass(frozen=True)
class Augmentation(Group):
    """How clips are changed in training.

    flip: probability of the mirror image in training
    crop: ``none``, or ``overlap`` for SSD's random crops (``data.transforms.Augment``)
    photometric: probability of each colour distortion in training
    """

    flip: Share = 0.5
    crop: Literal["none", "overlap"] = "none"
    photometric: Share = 0.0


@dataclass(frozen=True)
class Decoding(Group):
    """Raw outputs to the detections of a window.

    min_score, nms, keep: detections of a window need this actionness, go where a better one overlaps more
        than ``nms`` (mean over the frames), and at most ``keep`` stay
    """

    min_score: Share = 0.02
    nms: Share = 0.5
    keep: AtLeastOne = 20


@dataclass(frozen=True)
class Linking(Group):
    """Detections to tubes.

    linking: ``online`` links the boxes of each frame, ``tubelets`` the tubelets themselves
    trim: name of a trim of the finished tubes (``linking.TRIMS``), empty for none
    """

    linking: Literal["online", "tubelets"] = "online"
    trim: Annotated[str, OneOf(("", *TRIMS))] = ""


@dataclass(frozen=True)
class DenseConfig(Linking, Decoding, Augmentation, Loss, Input, Architecture):
    """A single-stage detector of frames (``frames`` = 1) or tubelets (``frames`` = K), every cell of a map.

    raises: FormatError
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stages(self.depth, self.channels, self.size)
        if self.frames > self.clip:
            raise conflict(self, "frames", "clip", remedy="give 1 <= frames <= clip")

    def thawed(self) -> DenseConfig:
        """Return the same for a start without published weights: pixels in [-1, 1]."""
        return replace(self, normalise="unit")

    @classmethod
    def smoke(cls, **changes: Any) -> DenseConfig:
        """48 x 48 pixels: for tests and a chapter's quick run, seconds."""
        return cls(**{**SMALL, "size": (48, 48), "hidden": 16, "channels": (8, 8, 16), **changes})

    @classmethod
    def lesson(cls, **changes: Any) -> DenseConfig:
        """What the chapters train on the synthetic benchmark: one frame, nine flow maps around it."""
        return cls(**{**SMALL, **changes})

    @classmethod
    def large(cls, **changes: Any) -> DenseConfig:
        """112 x 112 pixels, eight frames a clip, twice the channels: minutes on a GPU."""
        sizes = {"size": (112, 112), "clip": 8, "channels": (16, 32, 64), "hidden": 128}
        return cls(**{**SMALL, **sizes, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> DenseConfig:
        """The sizes of ACT (Kalogeiton et al., Sec. 4.1): VGG16, 300 x 300 pixels, six frames, late fusion.

        One map at stride 16 in place of SSD's six, so this is a detector of that size and not ACT itself.
        """
        sizes = {"fusion": "late", "frames": 6, "clip": 6, "size": (300, 300), "hidden": 512, "norm": "none"}
        network = {"depth": DEPTH, "channels": CHANNELS, "last_dilation": 1, "linking": "tubelets"}
        seen = {"normalise": "bgr", "crop": "overlap", "photometric": 0.5}
        return cls(**{**sizes, **network, **seen, **changes})


SCHEDULES = {
    "smoke": TrainConfig(steps=40, batch=16, lr=5e-3, warm_up=5, clip_norm=50.0),
    "lesson": TrainConfig(steps=700, batch=16, lr=5e-3, warm_up=50, clip_norm=50.0),
    "large": TrainConfig(steps=1000, batch=8, lr=5e-3, warm_up=50, clip_norm=50.0, amp=True),
    "paper": TrainConfig(
        epochs=12, batch=8, optimiser="sgd", lr=1e-3, schedule="step", weight_decay=5e-4, warm_up=500
    ),
}
"""Profile -> how the detector is trained. ``paper``: SSD's optimiser, as ACT trains with it; length and
batch are our choice."""


def schedule(profile: str) -> TrainConfig:
    """Return how a profile is trained. raises: FormatError for an unknown one

    >>> schedule("lesson").steps
    700
    """
    return chosen(SCHEDULES, profile)
