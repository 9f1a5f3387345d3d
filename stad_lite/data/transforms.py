"""Flip, crop and colour distortion of whole clips: what is drawn for one, and where its boxes go.

A clip's pixels stay as they are stored; ``systems.seen`` changes those of a whole batch as they were drawn.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError, UnknownLabelError
from stad_lite.tubes import Tube

CROP_OVERLAPS = (None, 0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
"""Smallest IoU between crop and boxes, drawn once a clip (SSD's choices); None keeps the whole frame."""


@dataclass(frozen=True, eq=False)
class Sample:
    """The actors of a clip (``sample`` makes one from tubes).

    size: (height, width) of its frames in pixels
    boxes: (n, t, 4) float xyxy pixels; zeros where an actor is not there
    present: (n, t) bool, whether the actor has a box in the frame
    labels: (n,) int indices of classes
    known: (t,) bool, whether the frame's actors are known, None for all
    raises: FormatError where the shapes do not agree
    """

    size: tuple[int, int]
    boxes: np.ndarray
    present: np.ndarray
    labels: np.ndarray
    known: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.labels), *self.present.shape[1:])
        expected = {"present": shape, "boxes": (*shape, 4)}
        if self.known is not None:
            expected["known"] = shape[1:]
        for name, wanted in expected.items():
            if getattr(self, name).shape != wanted:
                raise FormatError(f"{name} has shape {getattr(self, name).shape}, not {wanted}")


class Change(NamedTuple):
    """How a clip is shown; None where it never is shown otherwise.

    mirror: whether a mirror shows it
    window: top, left, height and width of the part that is shown at full size, as the mirror shows it
    colours: (3, 4) factors of red, green and blue, and grey levels that are added (``recolouring``)
    """

    mirror: bool
    window: tuple[int, int, int, int] | None = None
    colours: np.ndarray | None = None


def sample(
    size: tuple[int, int],
    tubes: Sequence[Tube],
    classes: Sequence[str],
    numbers: Sequence[int] | np.ndarray,
) -> Sample:
    """Return the tubes on some frames as a ``Sample``; those that miss all of them are left out.

    size: (height, width) of the frames
    classes: gives each label its index
    numbers: (t,) numbers of the frames in the video
    raises: UnknownLabelError

    >>> tube = Tube(1, np.array([[0., 0., 4., 4.]] * 2), "run")
    >>> sample((8, 8), [tube], ["run"], range(4)).present
    array([[False,  True,  True, False]])
    """
    numbers = np.asarray(numbers)
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
        size,
        np.array(boxes).reshape(*shape, 4),
        np.array(present, dtype=bool).reshape(shape),
        np.array(labels, dtype=np.int64),
    )


def flip(clip: Sample) -> Sample:
    """Return the clip's mirror image: x runs backwards."""
    mirrored = box_ops.mirrored(clip.boxes, clip.size[1])
    return replace(clip, boxes=np.where(clip.present[..., None], mirrored, 0.0))


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
    boxes = np.where(inside[..., None], boxes, 0.0)
    return replace(clip, size=(height, width), boxes=boxes, present=inside)


def scale(clip: Sample, height: int, width: int) -> Sample:
    """Return the clip at another size (aspect not kept)."""
    h, w = clip.size
    return replace(clip, size=(height, width), boxes=clip.boxes * np.array([width / w, height / h] * 2))


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


def recolouring(
    brightness: float = 0.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    hue: float = 0.0,
    channels: tuple[int, int, int] = (0, 1, 2),
) -> np.ndarray:
    """Return how colours change: (3, 4) factors of red, green and blue, and what is added to each.

    brightness: grey levels to add
    contrast: factor about 0
    saturation: factor about the grey of the same luma
    hue: degrees by which colours turn about the grey axis, at constant luma (in YIQ)
    channels: order of the channels afterwards

    >>> recolouring(brightness=7, contrast=2).round().astype(int).tolist()
    [[2, 0, 0, 14], [0, 2, 0, 14], [0, 0, 2, 14]]
    """
    angle = np.deg2rad(hue)
    turn = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mix = np.eye(3)
    mix[1:, 1:] = turn
    mix = contrast * np.linalg.solve(_YIQ, mix @ _YIQ)[list(channels)]
    return np.column_stack([mix, mix @ np.full(3, float(brightness))]).astype(np.float32)


_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


@dataclass(frozen=True)
class Augment:
    """Random changes for training; one draw serves the whole clip, which keeps its size.

    flip: probability of the mirror image
    crop: ``none``, or ``overlap``: SSD's crops, .3 to 1 of each side, aspect .5 to 2, with a smallest IoU to
        the boxes
    photometric: probability of each of the colour distortions
    swap: probability that the channels change places
    brightness: largest number of grey levels added or taken
    contrast, saturation: ranges of the factors
    hue: largest turn in degrees

    >>> tube = Tube(0, np.array([[10., 10., 50., 50.]] * 4), "run")
    >>> clip = sample((60, 80), [tube], ["run"], range(4))
    >>> clip, change = Augment(crop="overlap")(clip, np.random.default_rng(1))
    >>> clip.size, change.window
    ((60, 80), (3, 4, 51, 41))
    """

    flip: float = 0.5
    crop: Literal["none", "overlap"] = "none"
    photometric: float = 0.5
    swap: float = 0.0
    brightness: float = 32.0
    contrast: tuple[float, float] = (0.5, 1.5)
    saturation: tuple[float, float] = (0.5, 1.5)
    hue: float = 18.0

    def __call__(self, clip: Sample, rng: np.random.Generator) -> tuple[Sample, Change]:
        """Return the actors as they are shown, and how; the same generator state gives the same."""
        size, window = clip.size, None
        if self.crop == "overlap":
            window = overlap_window(clip, rng)
            clip = scale(crop(clip, *window), *size)
        colours = self.colours(rng)
        mirror = bool(rng.random() < self.flip)
        if mirror and window:
            top, left, height, width = window
            window = top, size[1] - left - width, height, width
        changes_colours = self.photometric > 0 or self.swap > 0
        change = Change(mirror, window, colours if changes_colours else None)
        return flip(clip) if mirror else clip, change

    def colours(self, rng: np.random.Generator) -> np.ndarray:
        """Draw how colours change (``recolouring``)."""
        applies = rng.random(4) < self.photometric
        brightness = rng.uniform(-self.brightness, self.brightness)
        contrast, saturation = rng.uniform(*self.contrast), rng.uniform(*self.saturation)
        hue = rng.uniform(-self.hue, self.hue)
        order = rng.permutation(3)
        a, b, c = order if rng.random() < self.swap else (0, 1, 2)
        return recolouring(
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
