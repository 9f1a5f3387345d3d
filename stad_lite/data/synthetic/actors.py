"""Actors: little people of six capsules, their looks, their actions and their exact boxes.

Body coordinates have their origin at the hips, y downwards, and the body's height as unit. Every
part of the body is a capsule that a similarity transform (place, rotation, scale) carries from frame
to frame; boxes and flow follow from these transforms alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stad_lite.data.synthetic.numerics import (
    between_knots,
    cosine,
    exponential,
    hsv_to_rgb,
    sine,
    uniform,
    wander,
    whole,
)
from stad_lite.data.synthetic.settings import APPEARANCES, CLASSES, MOTIONS, Motion, Settings

ARM_RANGE = (0.25, 2.55)
"""Arm angles in radians, from hanging (0) towards straight up (pi), that every motion sweeps evenly."""


@dataclass(frozen=True)
class Paint:
    """How a part is coloured: a triangle wave between two colours along its length or across it.

    first, second: (3,) grey levels in [0, 255]
    period: of the wave, in body heights
    along: whether the colour changes along the part, else across it
    """

    first: np.ndarray
    second: np.ndarray
    period: float
    along: bool


@dataclass(frozen=True)
class Part:
    """A capsule: all points within ``radius`` of a segment, moved by one similarity a frame.

    joint: (frames + 1, 2) xy pixels, where the segment starts
    axis: (frames + 1, 2) unit vectors along the segment
    scale: (frames + 1,) pixels per unit of length and radius
    """

    joint: np.ndarray
    axis: np.ndarray
    scale: np.ndarray
    length: float
    radius: float
    paint: Paint

    def extent(self) -> np.ndarray:
        """Return the exact bounding box in every frame. returns: (frames + 1, 4) xyxy pixels"""
        tip = self.joint + self.axis * (self.scale * self.length)[:, None]
        reach = (self.scale * self.radius)[:, None]
        low, high = np.minimum(self.joint, tip) - reach, np.maximum(self.joint, tip) + reach
        return np.concatenate([low, high], axis=1)


@dataclass(frozen=True)
class Action:
    """What an actor does from frame ``start`` to frame ``end`` (exclusive)."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Actor:
    """One actor in all frames of a clip and one frame beyond, to which the last flow points.

    actions: in the order of time; before, between and after them the actor is idle
    parts: legs, torso, head, arms, in the order of painting
    arm: (frames + 1,) place of the arms in [0, 1] between the ends of ``ARM_RANGE``
    """

    actions: tuple[Action, ...]
    parts: tuple[Part, ...]
    arm: np.ndarray

    def extent(self) -> np.ndarray:
        """Return the exact amodal box, not clipped. returns: (frames + 1, 4) xyxy pixels"""
        extents = [part.extent() for part in self.parts]
        low = np.minimum.reduce([extent[:, :2] for extent in extents])
        high = np.maximum.reduce([extent[:, 2:] for extent in extents])
        return np.concatenate([low, high], axis=1)


@dataclass(frozen=True)
class Pose:
    """Where the body is and how it is held.

    hips: (frames + 1, 2) xy pixels of the frame
    height: (frames + 1,) pixels of the frame
    lean: (frames + 1,) radians
    swing: (frames + 1,) radians by which both legs stand further apart than in standing
    arm: (frames + 1,) in [0, 1]
    skew: constant difference of the two arms, radians
    """

    hips: np.ndarray
    height: np.ndarray
    lean: np.ndarray
    swing: np.ndarray
    arm: np.ndarray
    skew: float


@dataclass(frozen=True)
class Walk:
    """The part of an actor that does not depend on where it stands.

    offset: (frames + 1, 2) excursion from its place, pixels
    height: (frames + 1,) pixels, before the camera's zoom
    lean, swing: (frames + 1,) radians
    """

    offset: np.ndarray
    height: np.ndarray
    lean: np.ndarray
    swing: np.ndarray


def arm_law(phase: np.ndarray, rise: float) -> np.ndarray:
    """Return the arms' place in [0, 1] at a phase in turns: up in ``rise`` of a turn, then down.

    Whatever the rise, the place is uniform in [0, 1] when the phase is, so one frame does not tell
    one motion from another.

    >>> arm_law(np.array([0.0, 0.4, 0.8, 0.9]), rise=0.8)
    array([0. , 0.5, 1. , 0.5])
    """
    phase = phase - np.floor(phase)
    return np.where(phase < rise, phase / rise, (1.0 - phase) / (1.0 - rise))


def act(
    rng: np.random.Generator,
    settings: Settings,
    look: int,
    spans: list[tuple[int, int]],
    told: list[int | None],
) -> tuple[tuple[Action, ...], np.ndarray]:
    """Draw a motion for every span and return the actions and the arms' place in every frame.

    spans: (start, end) frames; the arms are still outside of them and never jump
    told: the motion that a span has in place of the one that is drawn, None for that one
    returns: actions; (frames + 1,) in [0, 1]
    """
    place = float(rng.random())
    arm = np.full(settings.frames + 1, place)
    actions = []
    for (start, end), known in zip(spans, told, strict=True):
        number = whole(rng, 0, len(MOTIONS) - 1)
        number = number if known is None else known
        motion: Motion = MOTIONS[number]
        rises = rng.random() < motion.rise
        phase = motion.rise * place if rises else 1.0 - (1.0 - motion.rise) * place
        turns = np.arange(1, end - start + 1) / uniform(rng, *motion.period)
        arm[start + 1 : end + 1] = arm_law(phase + turns, motion.rise)
        place = float(arm[end])
        arm[end:] = place
        actions.append(Action(start, end, CLASSES[look * len(MOTIONS) + number]))
    return tuple(actions), arm


def draw_spans(rng: np.random.Generator, settings: Settings) -> list[tuple[int, int]]:
    """Draw when the actor acts: spans with at least one idle frame before, between and after."""
    low, high = settings.span
    wanted = whole(rng, *settings.actions)
    draws = rng.random(wanted) - 0.5
    middle, spread = (low + high) / 2.0, settings.span_spread * (high - low + 1)
    lengths = [min(max(round(middle + spread * float(d)), low), high) for d in draws]
    while len(lengths) > 1 and sum(lengths) + len(lengths) + 1 > settings.frames:
        lengths.pop()
    free = settings.frames - sum(lengths) - len(lengths) - 1
    cuts = np.floor(np.sort(rng.random(wanted)[: len(lengths)]) * (free + 1)).astype(int)
    spans, used = [], 1
    for cut, length in zip(cuts.tolist(), lengths, strict=True):
        spans.append((used + cut, used + cut + length))
        used += length + 1
    return spans


def draw_walk(rng: np.random.Generator, settings: Settings) -> Walk:
    """Draw the way an actor goes from its place, its size, its lean and its steps."""
    count = settings.frames + 1
    low, high = settings.actor_height
    height = uniform(rng, low, high) * settings.target_scale * settings.height
    turn = 2.0 * np.pi / 32.0
    clock = _pace(rng, settings)
    cycles, phases = 0.3 + 0.9 * rng.random(2), 2.0 * np.pi * rng.random(2)
    reach = (0.35 + 0.65 * rng.random(2)) * 11.0 * settings.unit * settings.displacement
    offset = reach * (sine(clock[:, None] * turn * cycles + phases) - sine(phases))
    kinks = wander(rng, count, spacing=3, smooth=False)
    offset = offset + (1.0 - settings.smoothness) * reach * kinks
    times = np.arange(count)
    drift = sine(times * turn * uniform(rng, 0.3, 1.0) + uniform(rng, 0.0, 2.0 * np.pi))
    lean = uniform(rng, 0.02, 0.12) * sine(times * turn * uniform(rng, 0.5, 2.0) + rng.random())
    step = sine(2.0 * np.pi * (times / uniform(rng, 9.0, 14.0) + rng.random()))
    walking = rng.random(count // 8 + 2) < 0.5  # some of the time, whatever the arms do
    effort = between_knots(walking.astype(np.float64), 8, count)
    return Walk(offset, height * exponential(settings.scale_drift * drift), lean, 0.4 * effort * step)


def _pace(rng: np.random.Generator, settings: Settings) -> np.ndarray:
    """Return the clock of the trajectory: even, or fast and slow, or stopped. returns: (frames + 1,)"""
    times = np.arange(settings.frames + 1)
    wave = sine(2.0 * np.pi * (times / uniform(rng, 10.0, 18.0) + rng.random()))
    pace = 1.0 + settings.acceleration * wave
    stops = rng.random() < settings.pause
    length = uniform(rng, 0.15, 0.35) * settings.frames
    start = uniform(rng, 0.0, settings.frames - length)
    if stops:
        pace = np.where((times >= start) & (times < start + length), 0.0, pace)
    return np.concatenate([[0.0], np.cumsum(pace[:-1])])


def draw_look(
    rng: np.random.Generator, settings: Settings, background: np.ndarray
) -> tuple[int, dict[str, Paint]]:
    """Draw an appearance and the paint of the parts. background: (3,) its mean colour"""
    look = whole(rng, 0, len(APPEARANCES) - 1)
    appearance = APPEARANCES[look]
    hue = uniform(rng, *appearance.hue)
    bright = 255.0 * hsv_to_rgb(hue, uniform(rng, 0.65, 0.9), uniform(rng, 0.8, 1.0))
    dark = 255.0 * hsv_to_rgb(hue, uniform(rng, 0.7, 0.95), uniform(rng, 0.2, 0.35))
    trousers = 255.0 * hsv_to_rgb(uniform(rng, 0.0, 1.0), 0.25, uniform(rng, 0.15, 0.45))
    skin = 255.0 * hsv_to_rgb(0.07, uniform(rng, 0.25, 0.55), uniform(rng, 0.5, 0.95))
    hidden = uniform(rng, 0.6, 0.85) * (rng.random() < settings.camouflage)
    colours = [colour + hidden * (background - colour) for colour in (bright, dark, trousers, skin)]
    bright, dark, trousers, skin = colours
    return look, {
        "leg": Paint(trousers, 0.55 * trousers, 0.80, along=True),
        "torso": Paint(bright, dark, 0.15, along=appearance.stripes_across),
        "head": Paint(skin, 0.8 * skin, 0.12, along=False),
        "arm": Paint(bright, skin, 0.60, along=True),
    }


def build_parts(pose: Pose, paint: dict[str, Paint]) -> tuple[Part, ...]:
    """Return the six parts of the body in a pose, from the ones painted first to the last."""
    upright = np.zeros_like(pose.lean)
    low, high = ARM_RANGE
    lift = low + (high - low) * pose.arm
    stance = 0.10
    return (
        _limb(pose, (-0.065, 0.02), stance + pose.swing, -1.0, 0.36, 0.062, paint["leg"]),
        _limb(pose, (0.065, 0.02), stance + pose.swing, 1.0, 0.36, 0.062, paint["leg"]),
        _limb(pose, (0.0, -0.03), upright + np.pi, 1.0, 0.26, 0.115, paint["torso"]),
        _limb(pose, (0.0, -0.465), upright + np.pi, 1.0, 0.03, 0.085, paint["head"]),
        _limb(pose, (-0.125, -0.31), lift - pose.skew, -1.0, 0.27, 0.052, paint["arm"]),
        _limb(pose, (0.125, -0.31), lift + pose.skew, 1.0, 0.27, 0.052, paint["arm"]),
    )


def _limb(
    pose: Pose,
    joint: tuple[float, float],
    angle: np.ndarray,
    side: float,
    length: float,
    radius: float,
    paint: Paint,
) -> Part:
    """Place a part. joint: body coordinates; angle: (frames + 1,) from hanging, outwards on ``side``"""
    cos, sin = cosine(pose.lean), sine(pose.lean)
    joint_x = pose.hips[:, 0] + pose.height * (cos * joint[0] - sin * joint[1])
    joint_y = pose.hips[:, 1] + pose.height * (sin * joint[0] + cos * joint[1])
    direction = pose.lean - side * angle  # a hanging part turned by -angle points to the right
    axis = np.stack([-sine(direction), cosine(direction)], axis=1)
    place = np.stack([joint_x, joint_y], axis=1)
    return Part(place, axis, pose.height, length, radius, paint)
