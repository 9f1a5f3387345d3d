"""Detectors made to order: what one with known faults would say of synthetic clips.

Each fault has a dial, and luck is drawn in the same order whatever the dials say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stad_lite.data.synthetic.scene import Scene
from stad_lite.data.synthetic.settings import CLASSES
from stad_lite.linking import Tubelets
from stad_lite.records import Annotations, Predictions, VideoPredictions
from stad_lite.tubes import Tube

Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Frames (n,), boxes (n, 4) xyxy pixels and class scores (n, classes) of detections."""


@dataclass(frozen=True)
class Noise:
    """Faults of a detector that sees frames.

    jitter: standard deviation of the boxes' sides, in box sizes
    misses: share of frames on which an actor is not found
    score: standard deviation of the scores
    confusion: share of boxes under another class
    idle: score of an idle actor over that of an acting one
    false_boxes: boxes of nobody, a frame
    """

    jitter: float = 0.04
    misses: float = 0.1
    score: float = 0.1
    confusion: float = 0.05
    idle: float = 0.5
    false_boxes: float = 0.5

    def times(self, level: float) -> Noise:
        """Return all dials but the idle actors' score turned up together."""
        names = ("jitter", "misses", "score", "confusion", "false_boxes")
        return replace(self, **{name: level * getattr(self, name) for name in names})


def boxes_seen(scene: Scene, noise: Noise, seed: int) -> Found:
    """Return the boxes that are found in a clip, idle actors' and nobody's included."""
    rng = np.random.default_rng(seed)
    parts = [
        _actor(body, action, noise, rng) for body, action in zip(scene.presence(), scene.tubes(), strict=True)
    ]
    return _joined([*parts, _nobody(scene, scene.settings.frames, noise, rng)])


def tubelets_seen(scene: Scene, noise: Noise, seed: int, length: int = 6) -> Tubelets:
    """Return tubelets from every frame with the same faults; half of the jitter's variance is shared."""
    rng = np.random.default_rng(seed)
    parts = []
    for body, action in zip(scene.presence(), scene.tubes(), strict=True):
        starts, boxes = tubelets_along(body, length, noise.jitter, 0.5, rng)
        seen = _actor(body, action, replace(noise, misses=0.0), rng)[2]
        scores = np.stack([seen[start : start + length].mean(0) for start in starts])
        kept = rng.random(len(starts)) >= noise.misses
        parts.append((starts[kept], boxes[kept], scores[kept]))
    starts, ghosts, scores = _nobody(scene, scene.settings.frames - length, noise, rng)
    parts.append((starts, np.tile(ghosts[:, None], (1, length, 1)), scores))
    return Tubelets(*_joined(parts))


def tubelets_along(
    body: Tube, length: int, jitter: float, shared: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return one tubelet from every frame of a body: starts (n,), boxes (n, length, 4).

    shared: the part of the noise's variance that is the same for all tubelets on a frame
    """
    size = np.tile(body.boxes[:, 2:] - body.boxes[:, :2], 2)
    common = rng.normal(size=size.shape)
    starts = np.arange(len(body) - length + 1)
    index = starts[:, None] + np.arange(length)
    own = rng.normal(size=(*index.shape, 4))
    error = np.sqrt(shared) * common[index] + np.sqrt(1 - shared) * own
    return body.start + starts, _upright(body.boxes[index] + jitter * size[index] * error)


def shaken(boxes: np.ndarray, jitter: float, rng: np.random.Generator) -> np.ndarray:
    """Return boxes (n, 4) whose sides are off by ``jitter`` box sizes."""
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return _upright(boxes + jitter * size * rng.normal(size=boxes.shape))


def _upright(boxes: np.ndarray) -> np.ndarray:
    """Boxes with sides of a pixel or more."""
    boxes[..., 2:] = np.maximum(boxes[..., 2:], boxes[..., :2] + 1)
    return boxes


def _actor(body: Tube, action: Tube, noise: Noise, rng: np.random.Generator) -> Found:
    count = len(body)
    top = 0.8 * np.where(np.isin(body.frames, action.frames), 1, noise.idle)
    top = top + noise.score * rng.normal(size=count)
    confused = rng.random(count) < noise.confusion
    label = np.where(confused, rng.integers(len(CLASSES), size=count), CLASSES.index(action.label))
    boxes = shaken(body.boxes, noise.jitter, rng)
    seen = rng.random(count) >= noise.misses
    scores = _class_scores(label, top, rng)
    return body.frames[seen], boxes[seen], scores[seen]


def _nobody(scene: Scene, frames: int, noise: Noise, rng: np.random.Generator) -> Found:
    start = np.repeat(np.arange(frames), rng.poisson(noise.false_boxes, size=frames))
    room = (scene.settings.width - 24, scene.settings.height - 24)
    corner = rng.uniform(0, room, size=(len(start), 2))
    boxes = np.hstack([corner, corner + rng.uniform(12, 24, corner.shape)])
    label = rng.integers(len(CLASSES), size=len(start))
    return start, boxes, _class_scores(label, rng.uniform(0.1, 0.6, size=len(start)), rng)


def _class_scores(label: np.ndarray, top: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The top score for the label, and a little for every other class."""
    table = rng.uniform(0.01, 0.04, size=(len(label), len(CLASSES)))
    table[np.arange(len(label)), label] = np.clip(top, 0.04, 0.99)
    return table


def _joined(parts: Sequence[tuple[np.ndarray, ...]]) -> Any:
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


@dataclass(frozen=True)
class Habits:
    """Faults of a detector that says tubes.

    noise: pixels by which a tube is off, and half as much again on each frame
    missed, loose, wrong, twice: shares of the true tubes that are not found, lie aside, have another class,
        are said twice
    junk: invented tubes a video
    """

    noise: float = 1.0
    missed: float = 0.1
    loose: float = 0.1
    wrong: float = 0.1
    twice: float = 0.1
    junk: int = 1


def tubes_said(truth: Annotations, habits: Habits, seed: int) -> Predictions:
    """Return what a detector with these habits says of clips of 64 x 64 pixels and 32 frames."""
    rng, videos = np.random.default_rng([seed, 1]), {}
    for number, (name, video) in enumerate(truth.videos.items()):
        said = [one for tube in video.tubes or () for one in _said(tube, truth.classes, habits, rng)]
        said += _invented(truth.classes, habits, [seed, 2, number])
        videos[name] = VideoPredictions(tubes=tuple(said))
    return Predictions(truth.classes, videos)


def _said(tube: Tube, classes: Sequence[str], habits: Habits, rng: np.random.Generator) -> list[Tube]:
    luck, shake = rng.random(7), rng.normal(size=(2, 4))
    trembling = rng.normal(size=(len(tube), 4))
    if luck[0] < habits.missed:
        return []
    offset = habits.noise * (shake[0] + 0.5 * trembling)
    if luck[1] < habits.loose:
        offset = offset + 0.4 * np.tile(tube.boxes[:, 2:] - tube.boxes[:, :2], 2)
    turn = 1 + int(luck[2] * (len(classes) - 1)) if luck[3] < habits.wrong else 0
    label = classes[(classes.index(tube.label) + turn) % len(classes)]
    said = _moved(tube, offset, label, 0.4 + 0.6 * luck[5], late=int(4 * luck[4]))
    again = _moved(tube, offset + shake[1], label, 0.3 + 0.5 * luck[5])
    return [said, again] if luck[6] < habits.twice else [said]


def _moved(tube: Tube, offset: np.ndarray, label: str, score: float, late: int = 0) -> Tube:
    boxes = _upright(np.round(tube.boxes + offset, 2)[late:])
    return Tube(tube.start + late, boxes, label, float(score))


def _invented(classes: Sequence[str], habits: Habits, seed: Sequence[int]) -> Iterator[Tube]:
    """Tubes of nothing, with scores that are lower on the whole."""
    rng = np.random.default_rng(seed)
    for _ in range(habits.junk):
        x, y, w, h = rng.uniform((0, 0, 8, 12), (44, 36, 20, 28))
        start, length = rng.integers((0, 6), (16, 16))
        boxes = np.round(np.tile([x, y, x + w, y + h], (length, 1)), 2)
        yield Tube(int(start), boxes, str(rng.choice(list(classes))), float(0.8 * rng.random()))
