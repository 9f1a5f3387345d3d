"""Untrimmed feature sequences with exact action segments: three stages of a backbone without its video.

A video is a latent signal, frame by frame. While an action lasts the latent shows that something is done,
which class it is, and how far it has come; spells that look like action but belong to no class lie between.
Each stage is the latent blurred by a receptive field, taken at its stride, mixed by a fixed matrix and cut at
zero. Like those of a backbone, fine stages are sharp in time and say little of the class, coarse stages say
much of the class and blur the ends. Arrays are equal on every machine up to rounding, segments to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated

import numpy as np

from stad_lite.data.synthetic.dataset import split_seeds, video_id
from stad_lite.data.synthetic.numerics import uniform, whole
from stad_lite.errors import UnknownVideoError
from stad_lite.records import Annotations, Segment, VideoAnnotation
from stad_lite.settings import AtLeastOne, Between, Channels, Frames, Share, Weight, check, conflict

STRIDES = (2, 4, 8)
"""Frames for one step of each stage (SP-TAD Sec. 3.1.1)."""
LATENT = 16
"""Numbers a frame of the latent signal."""


@dataclass(frozen=True)
class SequenceSettings:
    """What the sequences are made of; every field is a dial.

    frames: shortest and longest video
    fps: frames a second
    classes: number of classes, in pairs that resemble each other
    classes_per_video: fewest and most classes that occur in one video
    span: shortest and longest action in frames; lengths are uniform in their logarithm
    span_spread: 1 uses all of ``span``, 0 makes every action last its geometric mean
    gap: shortest and longest pause between actions in frames, uniform in the logarithm
    distractors: share of the pauses that hold a spell of no class
    likeness: how far the two classes of a pair agree, 0 to 1
    semantics: how clearly each stage tells one class from another
    blur: receptive field of each stage in frames
    noise: standard deviation of the noise of each stage, before the cut at zero
    drift: amplitude of the slow change of the background
    dip: share of the long actions that fade for a few frames
    channels: of each stage
    """

    frames: tuple[Frames, Frames] = (192, 320)
    fps: Annotated[float, Between(0.1, 1000)] = 10.0
    classes: AtLeastOne = 6
    classes_per_video: tuple[AtLeastOne, AtLeastOne] = (1, 2)
    span: tuple[Frames, Frames] = (5, 96)
    span_spread: Share = 1.0
    gap: tuple[Frames, Frames] = (3, 48)
    distractors: Share = 0.4
    likeness: Share = 0.4
    semantics: tuple[Weight, Weight, Weight] = (0.5, 0.8, 1.2)
    blur: tuple[Frames, Frames, Frames] = (2, 8, 20)
    noise: tuple[Weight, Weight, Weight] = (0.6, 0.5, 0.35)
    drift: Weight = 0.3
    dip: Share = 0.4
    channels: tuple[Channels, Channels, Channels] = (24, 32, 48)

    @classmethod
    def smoke(cls) -> SequenceSettings:
        """Videos of 48 to 96 frames with a few actions of two classes: for tests."""
        return cls(frames=(48, 96), classes=2, span=(6, 40), channels=(8, 8, 8))

    @classmethod
    def lesson(cls) -> SequenceSettings:
        """Videos of 19 to 32 seconds with actions of half a second to ten: what the chapter trains on."""
        return cls()

    def __post_init__(self) -> None:
        check(self)
        for name in ("frames", "classes_per_video", "span", "gap"):
            low, high = getattr(self, name)
            if low > high:
                raise conflict(self, name, remedy="give the smaller one first")
        if self.span[1] > self.frames[0]:
            raise conflict(self, "span", "frames", remedy="the shortest video must hold the longest action")
        if self.classes % 2 or self.classes_per_video[1] > self.classes:
            remedy = "give an even number, no less than occur in a video"
            raise conflict(self, "classes", "classes_per_video", remedy=remedy)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names; neighbours, from the first on, are the pairs that resemble each other."""
        return tuple(f"action-{number + 1}" for number in range(self.classes))


@dataclass(frozen=True, eq=False)
class FeatureSequence:
    """One video.

    stages: (channels, steps) float32 of each stage, finest first; step i of a stage covers the frames from
        i * stride on, and ``frames`` is a multiple of the coarsest stride
    segments: in seconds, in order of time
    latent: (frames, LATENT) what the stages were made of
    """

    settings: SequenceSettings
    seed: int
    frames: int
    stages: tuple[np.ndarray, ...]
    segments: tuple[Segment, ...]
    latent: np.ndarray

    def annotation(self) -> VideoAnnotation:
        """Return the segments as a record."""
        return _annotation(self.settings, self.frames, self.segments)


def _annotation(settings: SequenceSettings, frames: int, segments: tuple[Segment, ...]) -> VideoAnnotation:
    return VideoAnnotation(
        num_frames=frames, fps=settings.fps, duration=frames / settings.fps, segments=segments
    )


@dataclass(frozen=True)
class _Spell:
    """Something that is done from frame ``start`` to ``end``; ``label`` is None for a distractor."""

    start: int
    end: int
    label: int | None


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, 77, stream))))


def _log_uniform(rng: np.random.Generator, low: float, high: float, spread: float = 1.0) -> int:
    place = 0.5 + spread * (float(rng.random()) - 0.5)
    return round(math.exp(math.log(low) + place * (math.log(high) - math.log(low))))


def draw_spells(settings: SequenceSettings, seed: int) -> tuple[int, list[_Spell]]:
    """Return the number of frames of a video and what is done in it, in order of time."""
    rng = _generator(seed, 0)
    coarse = STRIDES[-1]
    frames = whole(rng, *settings.frames) // coarse * coarse
    frames = max(frames, -(-settings.span[1] // coarse) * coarse)
    count = whole(rng, *settings.classes_per_video)
    present = rng.permutation(settings.classes)[:count]
    spells: list[_Spell] = []
    place = 0
    while True:
        gap = _log_uniform(rng, *settings.gap)
        length = _log_uniform(rng, *settings.span, settings.span_spread)
        label, tricked = int(present[whole(rng, 0, count - 1)]), rng.random() < settings.distractors
        if place + gap + length > frames:
            if any(spell.label is not None for spell in spells):
                return frames, spells
            gap, length = 0, min(length, frames - place)
        if tricked and gap >= 12:
            inside = max(4, gap // 2)
            begin = place + (gap - inside) // 2
            spells.append(_Spell(begin, begin + inside, None))
        spells.append(_Spell(place + gap, place + gap + length, label))
        place += gap + length


@lru_cache(maxsize=8)
def _world(classes: int, likeness: float, channels: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Return what all videos share: unit vectors of "something is done" and of its beginning and end
    (3, LATENT), of the classes (classes, LATENT), and the mixing matrix of each stage."""
    rng = _generator(0, 1)
    basis = np.linalg.qr(rng.normal(size=(LATENT, LATENT)))[0]
    common, rest = basis[:3], basis[3:]
    pairs = rng.normal(size=(classes // 2, len(rest))).repeat(2, 0)
    own = rng.normal(size=(classes, len(rest)))
    mixed = math.sqrt(likeness) * pairs + math.sqrt(1 - likeness) * own
    vectors = mixed / np.linalg.norm(mixed, axis=1, keepdims=True) @ rest
    matrices = [rng.normal(size=(LATENT, width)) / math.sqrt(2) for width in channels]
    return common, vectors, *matrices


def _envelope(rng: np.random.Generator, length: int, dip: float) -> np.ndarray:
    """Return how strongly an action shows: quick at both ends, in long ones perhaps with a fade."""
    shape = np.minimum(1.0, np.minimum(np.arange(length) + 1, length - np.arange(length)) / 2.0)
    fades, place = rng.random() < dip, float(rng.random())
    if fades and length >= 16:
        width = max(3, length // 8)
        begin = 3 + int(place * (length - width - 6))
        shape[begin : begin + width] *= 0.35
    return shape * uniform(rng, 0.8, 1.25)


def _latent(settings: SequenceSettings, seed: int, frames: int, spells: list[_Spell]) -> list[np.ndarray]:
    """Return the latent without classes and the classes' part of it, each (frames, LATENT)."""
    rng = _generator(seed, 2)
    (done, begins, ends), vectors, *_ = _world(settings.classes, settings.likeness, settings.channels)
    knots = rng.normal(size=(frames // 12 + 3, LATENT)) * settings.drift
    place = np.arange(frames) / 12
    left, part = place.astype(int), (place - place.astype(int))[:, None]
    common = knots[left] * (1 - part) + knots[left + 1] * part
    classes = np.zeros((frames, LATENT))
    for spell in spells:
        span, length = slice(spell.start, spell.end), spell.end - spell.start
        shape = _envelope(rng, length, settings.dip)[:, None]
        phase = ((np.arange(length) + 0.5) / length)[:, None]
        odd = rng.normal(size=LATENT)
        common[span] += shape * (1.5 * done + (1 - phase) * begins + phase * ends)
        meaning = odd / np.linalg.norm(odd) if spell.label is None else vectors[spell.label]
        classes[span] += 2.0 * shape * meaning
    return [common, classes]


def _blurred(signal: np.ndarray, width: int, stride: int) -> np.ndarray:
    """Return the mean over ``width`` frames around the middle of every step. returns: (steps, channels)"""
    ends = np.pad(signal, ((width, width), (0, 0)), mode="edge")
    sums = np.concatenate([np.zeros((1, signal.shape[1])), ends.cumsum(0)])
    first = np.arange(0, len(signal), stride) + width + (stride - width) // 2
    return (sums[first + width] - sums[first]) / width


def sequence(settings: SequenceSettings, seed: int) -> FeatureSequence:
    """Return one video's features and segments. seed: whole number >= 0

    >>> video = sequence(SequenceSettings.smoke(), seed=0)
    >>> [stage.shape for stage in video.stages], video.frames
    ([(8, 28), (8, 14), (8, 7)], 56)
    """
    frames, spells = draw_spells(settings, seed)
    common, classes = _latent(settings, seed, frames, spells)
    rng = _generator(seed, 3)
    world = _world(settings.classes, settings.likeness, settings.channels)
    stages = []
    for number, stride in enumerate(STRIDES):
        seen = common + settings.semantics[number] * classes
        mixed = _blurred(seen, max(1, settings.blur[number]), stride) @ world[2 + number]
        noisy = mixed + settings.noise[number] * rng.normal(size=mixed.shape)
        stages.append(np.ascontiguousarray(np.maximum(noisy, 0).T, dtype=np.float32))
    segments = _segments(settings, spells)
    return FeatureSequence(settings, seed, frames, tuple(stages), segments, common + classes)


def _segments(settings: SequenceSettings, spells: list[_Spell]) -> tuple[Segment, ...]:
    return tuple(
        Segment(settings.class_names[spell.label], spell.start / settings.fps, spell.end / settings.fps)
        for spell in spells
        if spell.label is not None
    )


@dataclass(frozen=True, eq=False)
class SequenceSource:
    """The videos of one split as features; a ``stad_lite.data.features.FeatureSource``.

    annotations: segments in seconds
    strides: frames for one step of each stage
    """

    settings: SequenceSettings
    annotations: Annotations
    seeds: dict[str, int] = field(repr=False)
    strides: tuple[int, ...] = STRIDES

    @property
    def videos(self) -> tuple[str, ...]:
        """The ids."""
        return tuple(self.annotations.videos)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return self.settings.channels

    def num_frames(self, video: str) -> int:
        """Return the number of frames. raises: UnknownVideoError"""
        return draw_spells(self.settings, self._seed(video))[0]

    def fps(self, video: str) -> float:
        """Return the frames a second. raises: UnknownVideoError"""
        self._seed(video)
        return self.settings.fps

    def features(self, video: str) -> tuple[np.ndarray, ...]:
        """Return (channels, steps) float32 of each stage, finest first. raises: UnknownVideoError"""
        return sequence(self.settings, self._seed(video)).stages

    def _seed(self, video: str) -> int:
        if video not in self.seeds:
            raise UnknownVideoError("the split has no such video", video=video, remedy="see videos")
        return self.seeds[video]


def sequence_source(
    settings: SequenceSettings, videos: int | Iterable[int], split: str = "train"
) -> SequenceSource:
    """Return the videos of a split; nothing is computed before features are asked for.

    videos: how many, or the numbers of the videos within the split
    split: train, val or test; no two share a seed
    raises: StadError

    >>> source = sequence_source(SequenceSettings.smoke(), 2, "val")
    >>> source.videos, source.features(source.videos[0])[0].dtype
    (('val/1000000', 'val/1000001'), dtype('float32'))
    """
    seeds = {video_id(split, seed): seed for seed in split_seeds(split, videos)}
    annotated = {}
    for name, seed in seeds.items():
        frames, spells = draw_spells(settings, seed)
        annotated[name] = _annotation(settings, frames, _segments(settings, spells))
    return SequenceSource(
        settings, Annotations("synthetic-sequences", settings.class_names, annotated), seeds
    )
