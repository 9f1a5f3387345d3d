"""The settings of the synthetic benchmark: its size, its classes and its dials."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Annotated, NamedTuple

from stad_lite.settings import Between, Share, check, conflict

RENDER_VERSION = 2
"""Part of the cache key; to be raised by whoever changes a pixel, a box or a flow vector."""

FPS = 25.0
"""Frames a second that the annotations state."""


class Appearance(NamedTuple):
    """How an actor looks: hue of the clothes (turns, low and high) and direction of the stripes."""

    name: str
    hue: tuple[float, float]
    stripes_across: bool


class Motion(NamedTuple):
    """How the arm angle changes: period in frames (low and high) and the share of it spent rising."""

    name: str
    period: tuple[float, float]
    rise: float


APPEARANCES = (
    Appearance("warm", (0.0, 0.11), stripes_across=True),
    Appearance("cool", (0.5, 0.63), stripes_across=False),
)
MOTIONS = (
    Motion("wave", (20.0, 26.0), rise=0.5),
    Motion("flap", (7.0, 9.0), rise=0.5),
    Motion("chop", (12.0, 15.0), rise=0.8),
)
CLASSES = tuple(f"{look.name}-{motion.name}" for look in APPEARANCES for motion in MOTIONS)
"""Appearance x motion: the hue is read off one frame, the motion off several."""

SPLITS = {"train": 0, "val": 1_000_000, "test": 2_000_000}
"""First seed of every split; a split owns ``SEEDS_PER_SPLIT`` seeds, so none is in two splits."""
SEEDS_PER_SPLIT = 1_000_000

_Side = Annotated[int, Between(24, 1024)]
_Actors = Annotated[int, Between(0, 8)]
_Height = Annotated[float, Between(0.02, 0.9)]
_Actions = Annotated[int, Between(1, 8)]
_Span = Annotated[int, Between(2, 4094)]


@dataclass(frozen=True)
class Settings:
    """What a clip of the synthetic benchmark is made of; every field is a dial.

    The same seed under two settings shows the same actors wherever the dials leave them alone.

    frames, height, width: of a clip; frames and pixels
    flow: whether optical flow is rendered too
    actors: fewest and most actors in a clip
    actor_height: smallest and largest actor, as shares of the frame's height
    target_scale: factor on the actors' height (flow subnet: small and big targets)
    displacement: factor on the amplitude of the trajectories (STEP); they are shrunk where they would
        leave the frame, so the effect levels off above 2
    acceleration: 0 for an even pace along the trajectory, 1 for stop and go (STEP)
    smoothness: 1 for smooth trajectories, 0 for ones with a kink every few frames (CFAD)
    actions: fewest and most actions of one actor, one after the other
    span: shortest and longest action in frames
    span_spread: 1 uses all of ``span``, 0 makes every action last its midpoint (SP-TAD)
    corrupt_rgb: standard deviation of colour casts on blocks of the frame, grey levels (PCSC)
    corrupt_flow: end-point error of wrong vectors on blocks of the flow, pixels (PCSC)
    corrupt_share: share of the frames, in one run drawn for each stream, that is corrupted
    texture: amplitude of the background's fine texture, share of full white
    noise: standard deviation of the pixel noise, grey levels
    shake: amplitude of the camera's jitter, pixels of a frame 64 pixels high
    scale_drift: an actor grows and shrinks by exp(+-scale_drift)
    pause: probability that an actor stops on its way for a while
    camouflage: probability that an actor's clothes take on the background's colour
    occluder: probability of a post between camera and actors
    context: probability that an action's motion is the one that the ground's hue stands for, a third of the
        circle for each; at 0 the ground tells nothing of the class (STEP)
    raises: FormatError
    """

    frames: Annotated[int, Between(4, 4096)] = 32
    height: _Side = 64
    width: _Side = 64
    flow: bool = True
    actors: tuple[_Actors, _Actors] = (1, 3)
    actor_height: tuple[_Height, _Height] = (0.28, 0.47)
    target_scale: Annotated[float, Between(0.1, 3.0)] = 1.0
    displacement: Annotated[float, Between(0.0, 4.0)] = 1.0
    acceleration: Share = 0.3
    smoothness: Share = 0.5
    actions: tuple[_Actions, _Actions] = (1, 1)
    span: tuple[_Span, _Span] = (10, 28)
    span_spread: Share = 1.0
    corrupt_rgb: Annotated[float, Between(0.0, 255.0)] = 0.0
    corrupt_flow: Annotated[float, Between(0.0, 64.0)] = 0.0
    corrupt_share: Share = 1.0
    texture: Annotated[float, Between(0.0, 0.5)] = 0.12
    noise: Annotated[float, Between(0.0, 64.0)] = 2.0
    shake: Annotated[float, Between(0.0, 8.0)] = 2.0
    scale_drift: Annotated[float, Between(0.0, 0.7)] = 0.28
    pause: Share = 0.25
    camouflage: Share = 0.25
    occluder: Share = 0.4
    context: Share = 0.0

    @classmethod
    def smoke(cls) -> Settings:
        """16 frames of 48x48 with one or two actors: for tests and a chapter's quick run."""
        return cls(frames=16, height=48, width=48, actors=(1, 2), span=(6, 14))

    @classmethod
    def lesson(cls) -> Settings:
        """32 frames of 64x64 with one to three actors: what the chapters train on."""
        return cls()

    @classmethod
    def large(cls) -> Settings:
        """64 frames of 112x112: the size of clip that the papers' small networks take."""
        return cls(frames=64, height=112, width=112, span=(10, 56))

    def __post_init__(self) -> None:
        check(self)
        for name in ("actors", "actor_height", "actions", "span"):
            low, high = getattr(self, name)
            if low > high:
                raise conflict(self, name, remedy="give the smaller one first")
        if self.span[1] > self.frames - 2:
            remedy = "give at most frames - 2, so that the actor is there before and after"
            raise conflict(self, "span", "frames", remedy=remedy)
        tallest = self.actor_height[1] * self.target_scale
        if tallest > 0.9 or self.actor_height[0] * self.target_scale * self.height < 5.0:
            remedy = "actor_height * target_scale must lie between 5 pixels and .9 of the frame"
            raise conflict(self, "actor_height", "target_scale", "height", remedy=remedy)

    @property
    def unit(self) -> float:
        """Pixels of this frame for one pixel of a frame 64 pixels on its shorter side."""
        return min(self.height, self.width) / 64.0

    @property
    def key(self) -> str:
        """The settings as a short hash: the name of their folder in the cache."""
        dials = asdict(self)
        if not self.context:  # the clips are those from before this dial was there
            del dials["context"]
        text = json.dumps({"version": RENDER_VERSION, **dials}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
