"""The settings of the synthetic benchmark: its size, its classes and its dials."""

from __future__ import annotations

import hashlib
import json
import math
import numbers
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

from stad_lite.errors import StadError

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
    """

    frames: int = 32
    height: int = 64
    width: int = 64
    flow: bool = True
    actors: tuple[int, int] = (1, 3)
    actor_height: tuple[float, float] = (0.28, 0.47)
    target_scale: float = 1.0
    displacement: float = 1.0
    acceleration: float = 0.3
    smoothness: float = 0.5
    actions: tuple[int, int] = (1, 1)
    span: tuple[int, int] = (10, 28)
    span_spread: float = 1.0
    corrupt_rgb: float = 0.0
    corrupt_flow: float = 0.0
    corrupt_share: float = 1.0
    texture: float = 0.12
    noise: float = 2.0
    shake: float = 2.0
    scale_drift: float = 0.28
    pause: float = 0.25
    camouflage: float = 0.25
    occluder: float = 0.4

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
        for field in fields(self):
            self._check_type(field.name, getattr(self, field.name))
        for name, (low, high) in _RANGES.items():
            self._check_range(name, low, high)
        for name in ("actors", "actor_height", "actions", "span"):
            low, high = getattr(self, name)
            if low > high:
                raise _refusal(name, (low, high), "give the smaller one first")
        if self.span[1] > self.frames - 2:
            remedy = f"at most {self.frames - 2}, so that the actor is there before and after"
            raise _refusal("span", self.span, remedy)
        tallest = self.actor_height[1] * self.target_scale
        if tallest > 0.9 or self.actor_height[0] * self.target_scale * self.height < 5.0:
            remedy = "actor_height * target_scale must lie between 5 pixels and .9 of the frame"
            raise _refusal("actor_height", self.actor_height, remedy)

    def _check_type(self, name: str, value: object) -> None:
        default = type(self).__dataclass_fields__[name].default
        if isinstance(default, tuple):
            if not isinstance(value, tuple | list) or len(value) != 2:
                raise _refusal(name, value, "give a pair, smallest and largest")
            object.__setattr__(self, name, tuple(_number(name, v, default[0]) for v in value))
        else:
            object.__setattr__(self, name, _number(name, value, default))

    def _check_range(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not low <= number <= high:
                raise _refusal(name, value, f"choose from {low} to {high}")

    @property
    def unit(self) -> float:
        """Pixels of this frame for one pixel of a frame 64 pixels on its shorter side."""
        return min(self.height, self.width) / 64.0

    @property
    def key(self) -> str:
        """The settings as a short hash: the name of their folder in the cache."""
        text = json.dumps({"version": RENDER_VERSION, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_RANGES: dict[str, tuple[float, float]] = {
    "frames": (4, 4096),
    "height": (24, 1024),
    "width": (24, 1024),
    "actors": (0, 8),
    "actor_height": (0.02, 0.9),
    "target_scale": (0.1, 3.0),
    "displacement": (0.0, 4.0),
    "acceleration": (0.0, 1.0),
    "smoothness": (0.0, 1.0),
    "actions": (1, 8),
    "span": (2, 4094),
    "span_spread": (0.0, 1.0),
    "corrupt_rgb": (0.0, 255.0),
    "corrupt_flow": (0.0, 64.0),
    "corrupt_share": (0.0, 1.0),
    "texture": (0.0, 0.5),
    "noise": (0.0, 64.0),
    "shake": (0.0, 8.0),
    "scale_drift": (0.0, 0.7),
    "pause": (0.0, 1.0),
    "camouflage": (0.0, 1.0),
    "occluder": (0.0, 1.0),
}


def _refusal(name: str, value: object, remedy: str) -> StadError:
    return StadError(f"the setting {name} is {value!r}", remedy=remedy)


def _number(name: str, value: object, like: object) -> int | float | bool:
    """Return the value as the type of the default, so that equal settings have equal keys."""
    if isinstance(like, bool) or isinstance(value, bool):
        if isinstance(like, bool) and isinstance(value, bool):
            return value
        raise _refusal(name, value, "True or False stands for flow and nothing else")
    if not isinstance(value, numbers.Integral if isinstance(like, int) else numbers.Real):
        raise _refusal(name, value, f"give a number of type {type(like).__name__}")
    number = float(value)
    if not math.isfinite(number):
        raise _refusal(name, value, "give a finite number")
    return int(number) if isinstance(like, int) else number
