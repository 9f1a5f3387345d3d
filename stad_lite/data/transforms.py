"""Flip, crop, scale and colour distortion of whole clips: one draw a clip, boxes and flow with it.

Each transform is a plain function with explicit numbers; ``Augment`` draws the numbers. Nothing is
changed in place.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError, UnknownLabelError
from stad_lite.tubes import Tube

CROP_OVERLAPS = (None, 0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
"""Smallest IoU between crop and boxes, drawn once a clip (SSD's choices); None keeps the whole frame."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A clip with the boxes of its actors (``sample`` makes one from tubes).

    frames: (t, h, w, 3) uint8 RGB
    boxes: (n, t, 4) float xyxy pixels; zeros where an actor is not there
    present: (n, t) bool, whether the actor has a box in the frame
    labels: (n,) int indices of classes
    flow: (t, h, w, 2) float pixels right and down to the next frame, or None
    known: (t,) bool, whether the frame's actors are known, None for all
    raises: FormatError where the shapes do not agree
    """

    frames: np.ndarray
    boxes: np.ndarray
    present: np.ndarray
    labels: np.ndarray
    flow: np.ndarray | None = None
    known: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8:
            raise FormatError(
                f"frames are {self.frames.dtype} {self.frames.shape}", remedy="give (t, h, w, 3) uint8"
            )
        length, actors = len(self.frames), len(self.labels)
        expected = {"boxes": (actors, length, 4), "present": (actors, length)}
        if self.flow is not None:
            expected["flow"] = (*self.frames.shape[:3], 2)
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise FormatError(f"{name} has shape {getattr(self, name).shape}, not {shape}")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.frames.shape[1], self.frames.shape[2]


def sample(
    frames: np.ndarray,
    tubes: Sequence[Tube] = (),
    classes: Sequence[str] = (),
    numbers: Sequence[int] | np.ndarray | None = None,
    flow: np.ndarray | None = None,
) -> Sample:
    """Return frames and tubes as a ``Sample``; tubes that miss all its frames are left out.

    frames: (t, h, w, 3) uint8 RGB
    classes: gives each label its index
    numbers: (t,) numbers of the frames in the video, None for 0, 1, ...
    flow: (t, h, w, 2) float pixels
    raises: UnknownLabelError, FormatError

    >>> tube = Tube(1, np.array([[0., 0., 4., 4.]] * 2), "run")
    >>> sample(np.zeros((4, 8, 8, 3), np.uint8), [tube], ["run"]).present
    array([[False,  True,  True, False]])
    """
    numbers = np.arange(len(frames)) if numbers is None else np.asarray(numbers)
    boxes, present, labels = [], [], []
    for index, tube in enumerate(tubes):
        there = (numbers >= tube.start) & (numbers < tube.end)
        if there.any():
            if tube.label not in classes:
                raise UnknownLabelError(f"label {tube.label!r} is not among the classes", tube=index)
            row = np.zeros((len(numbers), 4))
            row[there] = tube.boxes[numbers[there] - tube.start]
            boxes.append(row)
            present.append(there)
            labels.append(list(classes).index(tube.label))
    shape = (len(labels), len(numbers))
    return Sample(
        frames,
        np.array(boxes).reshape(*shape, 4),
        np.array(present, dtype=bool).reshape(shape),
        np.array(labels, dtype=np.int64),
        flow,
    )


def flip(clip: Sample) -> Sample:
    """Return the clip's mirror image: x runs backwards, and the flow's u changes its sign."""
    width = clip.size[1]
    mirrored = box_ops.mirrored(clip.boxes, width)
    flow = None if clip.flow is None else clip.flow[:, :, ::-1] * np.array([-1, 1], clip.flow.dtype)
    boxes = np.where(clip.present[..., None], mirrored, 0.0)
    return replace(clip, frames=np.ascontiguousarray(clip.frames[:, :, ::-1]), boxes=boxes, flow=flow)


def crop(clip: Sample, top: int, left: int, height: int, width: int) -> Sample:
    """Return a window of the clip; a box stays where its centre is inside, cut to the window.

    Actors without a box left stay as rows whose ``present`` is all False.
    raises: FormatError where the window is empty or leaves the frame
    """
    h, w = clip.size
    if not (0 <= top < top + height <= h and 0 <= left < left + width <= w):
        raise FormatError(f"the window {height}x{width} at ({top}, {left}) does not lie in the {h}x{w} frame")
    centre = (clip.boxes[..., :2] + clip.boxes[..., 2:]) / 2 - [left, top]
    inside = ((centre >= 0) & (centre < [width, height])).all(-1) & clip.present
    boxes = box_ops.clip(clip.boxes - [left, top, left, top], width, height)
    inside &= ((boxes[..., 2:] - boxes[..., :2]) > 0).all(-1)
    window = (slice(None), slice(top, top + height), slice(left, left + width))
    return replace(
        clip,
        frames=clip.frames[window],
        boxes=np.where(inside[..., None], boxes, 0.0),
        present=inside,
        flow=None if clip.flow is None else clip.flow[window],
    )


def scale(clip: Sample, height: int, width: int) -> Sample:
    """Return the clip at another size (aspect not kept); boxes and flow are scaled along."""
    h, w = clip.size
    if (height, width) == (h, w):
        return clip
    factor = np.array([width / w, height / h])
    flow = clip.flow
    if flow is not None:
        flow = (resize(flow, height, width) * factor.astype(np.float32)).astype(flow.dtype)
    boxes = clip.boxes * np.tile(factor, 2)
    return replace(clip, frames=resize(clip.frames, height, width), boxes=boxes, flow=flow)


def resize(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return images at another size: linear between pixel centres, averaging where they shrink.

    images: (..., h, w, c) uint8 or float
    returns: (..., height, width, c) of the same type

    >>> resize(np.array([[[0.], [4.]]]), 1, 4)[0, :, 0]
    array([0., 1., 3., 4.])
    """
    dtype = images.dtype
    work: Any = np.float64 if dtype == np.float64 else np.float32
    rows = _resampling(images.shape[-3], height).astype(work)
    columns = _resampling(images.shape[-2], width).astype(work)
    *lead, h, w, c = images.shape
    tall = rows @ images.astype(work).reshape(*lead, h, w * c)
    wide = columns @ tall.reshape(*lead, height, w, c)
    return np.clip(np.rint(wide), 0, 255).astype(dtype) if dtype == np.uint8 else wide.astype(dtype)


@functools.lru_cache(maxsize=64)
def _resampling(source: int, target: int) -> np.ndarray:
    """(target, source) weights of a triangle as wide as the larger of the two pixels."""
    reach = max(source / target, 1.0)
    centres = (np.arange(target) + 0.5) * source / target
    weights = np.maximum(0, 1 - np.abs(np.arange(source) + 0.5 - centres[:, None]) / reach)
    return weights / weights.sum(1, keepdims=True)


def photometric(
    clip: Sample,
    brightness: float = 0.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    hue: float = 0.0,
    channels: tuple[int, int, int] = (0, 1, 2),
) -> Sample:
    """Return the clip with other colours, the same in all frames; boxes and flow stay.

    brightness: grey levels to add
    contrast: factor about 0
    saturation: factor about the grey of the same luma
    hue: degrees by which colours turn about the grey axis, at constant luma (in YIQ)
    channels: order of the channels afterwards
    """
    angle = np.deg2rad(hue)
    turn = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mix = np.eye(3)
    mix[1:, 1:] = turn
    mix = contrast * np.linalg.solve(_YIQ, mix @ _YIQ)[list(channels)]
    offset = mix @ np.full(3, float(brightness))
    if np.allclose(mix, np.eye(3)) and np.allclose(offset, 0):
        return clip
    frames = clip.frames.astype(np.float32) @ mix.T.astype(np.float32)
    frames += offset.astype(np.float32) + 0.5
    np.clip(frames, 0, 255, out=frames)
    return replace(clip, frames=frames.astype(np.uint8))


_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


@dataclass(frozen=True)
class Augment:
    """Random transforms for training; one draw serves the whole clip.

    size: (height, width) of the result
    flip: probability of the mirror image
    crop: ``none``; ``window``: one of ``size`` anywhere (the clip must be at least as large);
        ``overlap``: SSD's crops, .3 to 1 of each side, aspect .5 to 2, with a smallest IoU to the boxes
    brightness: largest number of grey levels added or taken
    contrast, saturation: ranges of the factors
    hue: largest turn in degrees
    swap: probability that the channels change places
    photometric: probability of each of the colour distortions

    >>> clip = sample(np.zeros((4, 60, 80, 3), np.uint8))
    >>> Augment((32, 32), crop="overlap")(clip, np.random.default_rng(0)).size
    (32, 32)
    """

    size: tuple[int, int]
    flip: float = 0.5
    crop: str = "none"
    brightness: float = 32.0
    contrast: tuple[float, float] = (0.5, 1.5)
    saturation: tuple[float, float] = (0.5, 1.5)
    hue: float = 18.0
    swap: float = 0.0
    photometric: float = 0.5

    def __call__(self, clip: Sample, rng: np.random.Generator) -> Sample:
        """Return the transformed clip; the same generator state gives the same result."""
        if self.crop == "window":
            top, left = (
                int(rng.integers(0, have - want + 1)) for have, want in zip(clip.size, self.size, strict=True)
            )
            clip = crop(clip, top, left, *self.size)
        elif self.crop == "overlap":
            clip = crop(clip, *overlap_window(clip, rng))
        elif self.crop != "none":
            raise FormatError(f"no crop is called {self.crop!r}", remedy="choose none, window or overlap")
        clip = self._distort(clip, rng)  # pixel by pixel, so cheaper after the crop
        if rng.random() < self.flip:
            clip = flip(clip)
        return scale(clip, *self.size)

    def _distort(self, clip: Sample, rng: np.random.Generator) -> Sample:
        applies = rng.random(4) < self.photometric
        brightness = rng.uniform(-self.brightness, self.brightness)
        contrast, saturation = rng.uniform(*self.contrast), rng.uniform(*self.saturation)
        hue = rng.uniform(-self.hue, self.hue)
        order = rng.permutation(3)
        a, b, c = order if rng.random() < self.swap else (0, 1, 2)
        return photometric(
            clip,
            brightness if applies[0] else 0.0,
            contrast if applies[1] else 1.0,
            saturation if applies[2] else 1.0,
            hue if applies[3] else 0.0,
            (int(a), int(b), int(c)),
        )


def overlap_window(clip: Sample, rng: np.random.Generator, trials: int = 50) -> tuple[int, int, int, int]:
    """Draw a crop that overlaps every box of the clip by a drawn amount.

    returns: (top, left, height, width); the whole frame where no trial succeeds or none is wanted
    Source: SSD section 2.2, data augmentation, here with all boxes of the clip.
    """
    h, w = clip.size
    whole = (0, 0, h, w)
    least = CROP_OVERLAPS[int(rng.integers(len(CROP_OVERLAPS)))]
    if least is None:
        return whole
    boxes = clip.boxes[clip.present]
    for _ in range(trials):
        height, width = round(h * rng.uniform(0.3, 1)), round(w * rng.uniform(0.3, 1))
        top, left = int(rng.integers(0, h - height + 1)), int(rng.integers(0, w - width + 1))
        if not 0.5 <= height / width <= 2:
            continue
        window = np.array([left, top, left + width, top + height], dtype=np.float64)
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        kept = ((centre >= window[:2]) & (centre < window[2:])).all(1)
        if not len(boxes) or (kept.any() and box_ops.iou(boxes, window).min() >= least):
            return top, left, height, width
    return whole


def to_unit(frames: np.ndarray) -> np.ndarray:
    """Return frames as I3D takes them: float32 in [-1, 1], uint8 0 -> -1, 255 -> 1."""
    return frames.astype(np.float32) / 127.5 - 1
